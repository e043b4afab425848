//! What can be wrong with a data directory.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::format::Unreadable;

/// Why a data directory cannot be used: the path that is at fault, and the cause.
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    cause: Cause,
}

/// What is wrong with a path.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The operating system says so.
    System(io::Error),
    /// Something is there that is no file.
    NoFile,
    /// The file is of another release. It was left where it is.
    Foreign(Unreadable),
}

impl StoreError {
    pub(crate) fn new(path: &Path, cause: Cause) -> Self {
        Self { path: path.to_owned(), cause }
    }

    /// The system refused something with `path`.
    pub fn system(path: &Path, error: io::Error) -> Self {
        Self::new(path, Cause::System(error))
    }

    /// The path that is at fault.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it.
    pub const fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What the operator can do, where that is known.
    pub fn advice(&self) -> Option<&'static str> {
        use io::ErrorKind as Kind;
        let error = match &self.cause {
            Cause::NoFile => return Some("something else is in the way of this file: move it away"),
            Cause::Foreign(_) => return Some("start with the release that wrote it; nothing was changed"),
            Cause::System(error) => error,
        };
        Some(match error.kind() {
            Kind::StorageFull => "the disk is full: free some space",
            Kind::QuotaExceeded => "the quota is used up: free some space, or raise it",
            Kind::FileTooLarge => "it is larger than this process may write: raise its file size limit",
            Kind::PermissionDenied => {
                "make it readable and writable for the user that runs this node, and its directory, too"
            }
            Kind::ReadOnlyFilesystem => "its file system is read-only: remount it writable",
            Kind::IsADirectory | Kind::DirectoryNotEmpty => "a directory is in the way: move it away",
            Kind::NotADirectory | Kind::AlreadyExists => "a file is in the way: move it away",
            Kind::NotFound => "was its directory removed? create it again",
            Kind::InvalidFilename => "this path is too long, or not allowed",
            _ => return None,
        })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.cause {
            Cause::System(error) => error.fmt(f),
            Cause::NoFile => f.write_str("it is no file"),
            Cause::Foreign(unreadable) => unreadable.fmt(f),
        }
    }
}

impl core::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.cause {
            Cause::System(error) => Some(error),
            Cause::Foreign(unreadable) => Some(unreadable),
            Cause::NoFile => None,
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error.cause {
            Cause::System(error) => error.kind(),
            Cause::NoFile => io::ErrorKind::AlreadyExists,
            Cause::Foreign(_) => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
