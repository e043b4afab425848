//! The processor time, memory and limits of a process, as Linux's `/proc` tells them.

use std::fs;
use std::io;
use std::time::Duration;

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time in the program itself, and in the kernel on its behalf. Measured in steps of 10 ms.
    pub user: Duration,
    /// See `user`.
    pub system: Duration,
    /// How often one of its threads went to sleep.
    pub sleeps: u64,
    /// Memory that is in use now.
    pub resident_kb: u64,
}

impl Usage {
    /// Of the process with this id.
    ///
    /// # Errors
    ///
    /// The process has ended, or the system has no `/proc`.
    pub fn of(process: u32) -> io::Result<Self> {
        // Linux counts in hundredths of a second here, whatever it does inside.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is a name in parentheses, which may contain anything.
        let (_, fields) = stat.rsplit_once(')').ok_or(io::ErrorKind::InvalidData)?;
        let mut fields = fields.split_whitespace().skip(11).map(|field| field.parse::<u32>().ok());
        let mut time = || fields.next().flatten().map(|ticks| TICK * ticks);
        let (Some(user), Some(system)) = (time(), time()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut sleeps = 0;
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread may be gone by now.
            let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
            sleeps += number_after(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        }
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident_kb = number_after(&status, "VmRSS:").unwrap_or(0);
        Ok(Self { user, system, sleeps, resident_kb })
    }
}

/// How many files this process, and those that it starts, may have open.
pub fn max_open_files() -> Option<u64> {
    number_after(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files")
}

/// The number that follows on the line that begins so.
fn number_after(text: &str, start: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(start))?;
    rest.split_whitespace().next()?.parse().ok()
}
