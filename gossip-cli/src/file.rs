//! Files that are named on the command line: bounded in size and in time, whatever they are.

use core::time::Duration;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::thread;
use std::time::Instant;

/// The most that is read of a file for people.
const MAX_BYTES: u64 = 16 << 20;
/// How long a pipe may be silent before it has said anything, or in the middle.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a pipe is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// The text of a file, without a byte order mark.
///
/// A pipe is read to its end, and is not waited for longer than five seconds.
///
/// # Errors
///
/// It cannot be read, is too long, says nothing in time, or is not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let bytes = read_bytes(path)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not text (save it as UTF-8)"))?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), Into::into))
}

/// All of a file. As [`read_text`] otherwise.
///
/// # Errors
///
/// It cannot be read, is too long, or says nothing in time.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    read_checked(path, |_| Ok(()))
}

/// All of a file that holds a secret: only its owner and its group may read it.
///
/// # Errors
///
/// As [`read_bytes`]; or others may read it.
pub(crate) fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    read_checked(path, |metadata| {
        if is_open_to_others(metadata) {
            let shown = path.display();
            return Err(format!(
                "{shown} may be read or changed by all users of this machine (run chmod o= {shown})"
            ));
        }
        Ok(())
    })
}

#[cfg(unix)]
fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.is_file() && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o006 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Metadata) -> bool {
    false
}

fn read_checked(path: &Path, check: impl FnOnce(&Metadata) -> Result<(), String>) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let cannot = |error: &dyn core::fmt::Display| {
        format!("{shown} cannot be read: {error} (check its name and its mode)")
    };
    let mut file = open(path).map_err(|error| cannot(&error))?;
    let metadata = file.metadata().map_err(|error| cannot(&error))?;
    if metadata.is_dir() {
        return Err(format!("{shown} is a directory (name a file)"));
    }
    check(&metadata)?;
    read(&mut file, is_pipe(&metadata), PATIENCE).map_err(|error| match error {
        Unreadable::TooLong => {
            format!("{shown} is longer than {} MiB (name a file of lines of text)", MAX_BYTES >> 20)
        }
        Unreadable::Silent => {
            format!(
                "{shown} says nothing for {} s (name a file, or let something write to it)",
                PATIENCE.as_secs()
            )
        }
        Unreadable::Failed(error) => cannot(&error),
    })
}

/// Opens without waiting for a process at the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

enum Unreadable {
    TooLong,
    Silent,
    Failed(io::Error),
}

fn read(from: &mut impl Read, is_pipe: bool, patience: Duration) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut heard = Instant::now();
    loop {
        match from.read(&mut chunk) {
            // A pipe that is not open for writing yet reads as if it had ended.
            Ok(0) if !is_pipe || !bytes.is_empty() || heard.elapsed() >= patience => return Ok(bytes),
            Ok(0) => thread::sleep(LOOK),
            Ok(count) => {
                bytes.extend_from_slice(&chunk[..count]);
                heard = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if heard.elapsed() >= patience {
                    return Err(Unreadable::Silent);
                }
                thread::sleep(LOOK);
            }
            Err(error) => return Err(Unreadable::Failed(error)),
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Unreadable::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_without_end_is_refused() {
        let error = read_text(Path::new("/dev/zero")).unwrap_err();
        assert!(error.contains("longer than 16 MiB") && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("text");
        std::fs::write(&path, "\u{feff}10.0.0.1\r\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "10.0.0.1\r\n");
        std::fs::write(&path, b"\xff\xfe1\0").unwrap();
        assert!(read_text(&path).unwrap_err().contains("save it as UTF-8"));
        assert!(read_text(dir.path()).unwrap_err().contains("is a directory"));
        assert!(read_text(&dir.path().join("none")).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_not_waited_for_without_end() {
        struct Pipe(Vec<io::Result<&'static [u8]>>);
        impl Read for Pipe {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                let next = self.0.pop().unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))?;
                room[..next.len()].copy_from_slice(next);
                Ok(next.len())
            }
        }
        let wait = || Err(ErrorKind::WouldBlock.into());
        let mut pipe = Pipe(vec![Ok(b""), Ok(b"two"), wait(), Ok(b"one "), Ok(b""), wait()]);
        let read_all = read(&mut pipe, true, Duration::from_secs(60));
        assert!(matches!(read_all, Ok(bytes) if bytes == b"one two"));
        let silent = read(&mut Pipe(Vec::new()), true, Duration::ZERO);
        assert!(matches!(silent, Err(Unreadable::Silent)));
    }
}
