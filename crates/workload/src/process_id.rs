//! A process and no later one with its number.

use std::fmt;
use std::io;
use std::str::FromStr;

use procfs::process::Process;

/// A process, told from a later one with the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId {
    /// Its number.
    pub(crate) pid: u32,
    /// Clock ticks from the system's start to its own (`proc_pid_stat(5)`, field 22).
    started: u64,
}

impl ProcessId {
    /// This process.
    pub(crate) fn own() -> io::Result<Self> {
        let stat = Process::myself().and_then(|process| process.stat()).map_err(io::Error::other)?;
        Ok(Self { pid: std::process::id(), started: stat.starttime })
    }

    /// Whether it still runs, as far as can be seen from here.
    pub(crate) fn is_alive(self) -> bool {
        let process = i32::try_from(self.pid).ok().and_then(|pid| Process::new(pid).ok());
        process
            .and_then(|process| process.stat().ok())
            .is_some_and(|stat| stat.starttime == self.started && stat.state != 'Z')
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.pid, self.started)
    }
}

impl FromStr for ProcessId {
    type Err = ();

    /// The end of the line is what shows that it was written completely.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, started) = text.strip_suffix('\n').and_then(|line| line.split_once(' ')).ok_or(())?;
        Ok(Self { pid: pid.parse().map_err(drop)?, started: started.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_as_it_was_written_and_not_in_parts() {
        let own = ProcessId::own().unwrap();
        let text = own.to_string();
        assert_eq!(text.parse(), Ok(own));
        for cut in 0..text.len() {
            assert_eq!(text[..cut].parse::<ProcessId>(), Err(()), "{cut}");
        }
    }

    #[test]
    fn another_process_with_the_same_number_is_not_the_same() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { started: own.started + 1, ..own }.is_alive());
        assert!(!ProcessId { pid: u32::MAX, ..own }.is_alive());
    }

    #[test]
    fn a_process_that_ended_is_not_alive_even_when_nobody_asked_for_its_result() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = Process::new(child.id().cast_signed()).unwrap();
        let id = ProcessId { pid: child.id(), started: process.stat().unwrap().starttime };
        assert!(id.is_alive());
        drop(child.stdin.take());
        while process.stat().unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert!(!id.is_alive());
        child.wait().unwrap();
    }
}
