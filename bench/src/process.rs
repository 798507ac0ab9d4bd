//! Server processes: started on one core, watched through `/proc`, killed when dropped.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{BenchError, During as _};

/// Ticks per second in `/proc/PID/stat`: `USER_HZ`, part of Linux's ABI.
const TICKS_PER_SECOND: u64 = 100;

/// Pause between two looks at a starting process: the resolution of the time to ready.
const POLL: Duration = Duration::from_micros(200);

/// Where a child's output goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// Its first line is read with [`Pinned::announced`].
    Announcement,
    /// Nowhere.
    Muted,
    /// To our stderr.
    Shown,
    /// To us, and what we write is its input: see [`Pinned::pipes`].
    Piped,
}

/// The variables of a process that must find nothing of ours: a home of its own, and the rest.
pub(crate) type Variables = Vec<(&'static str, OsString)>;

/// A child process that dies with this value.
pub(crate) struct Pinned {
    child: Child,
}

impl Pinned {
    /// Starts `program` on `core`.
    ///
    /// # Errors
    /// When `taskset` cannot be run.
    pub(crate) fn start<I, S>(
        core: usize,
        program: &Path,
        args: I,
        output: Output,
    ) -> Result<Self, BenchError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Self::spawn(core, program, args, output, None)
    }

    /// Starts `program` on `core` with `variables`, and of our own with `PATH` alone.
    ///
    /// # Errors
    /// When `taskset` cannot be run.
    pub(crate) fn start_apart<I, S>(
        core: usize,
        program: &Path,
        args: I,
        output: Output,
        variables: &Variables,
    ) -> Result<Self, BenchError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Self::spawn(core, program, args, output, Some(variables))
    }

    fn spawn<I, S>(
        core: usize,
        program: &Path,
        args: I,
        output: Output,
        apart: Option<&Variables>,
    ) -> Result<Self, BenchError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let (stdin, stdout, stderr) = match output {
            Output::Announcement => (Stdio::null(), Stdio::piped(), Stdio::inherit()),
            Output::Muted => (Stdio::null(), Stdio::null(), Stdio::null()),
            Output::Shown => (Stdio::null(), std::io::stderr().into(), Stdio::inherit()),
            Output::Piped => (Stdio::piped(), Stdio::piped(), Stdio::null()),
        };
        let mut command = Command::new("taskset");
        command.arg("-c").arg(core.to_string()).arg(program).args(args);
        if let Some(variables) = apart {
            command.env_clear();
            command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
            command.envs(variables.iter().map(|(name, value)| (name, value)));
        }
        let child = command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .during(format!("starting {} with taskset", program.display()))?;
        Ok(Self { child })
    }

    /// Waits until `ready` says so, looking every 200 µs. False when the process has ended before, or `patience` has.
    pub(crate) fn becomes(&mut self, patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
        let begun = Instant::now();
        while !ready() {
            if self.ended() || begun.elapsed() > patience {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// Its standard input and output, once.
    ///
    /// # Errors
    /// When they are not piped.
    pub(crate) fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout), BenchError> {
        let missing = || BenchError::Missing("the process has no pipes".into());
        self.child.stdin.take().zip(self.child.stdout.take()).ok_or_else(missing)
    }

    /// The address that the child prints on its first line.
    ///
    /// # Errors
    /// When the child ends or prints something else.
    pub(crate) fn announced(&mut self) -> Result<SocketAddr, BenchError> {
        let stdout = self.child.stdout.take();
        let stdout = stdout.ok_or_else(|| BenchError::Missing("the server's stdout is not piped".into()))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).during("reading the server's address")?;
        line.trim().parse().during(format!("reading the server's address in {line:?}"))
    }

    /// The process id; `taskset` has replaced itself by the program.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago, for a server that must be told its address.
///
/// # Errors
/// When there is none.
pub(crate) fn free_address() -> Result<SocketAddr, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("looking for a free port")?;
    listener.local_addr().during("looking for a free port")
}

/// CPU time that a process has used in all its threads, user and system; steps of 10 ms.
///
/// # Errors
/// When the process is gone.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, BenchError> {
    let stat =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).during("reading the server's CPU time")?;
    let ticks = ticks(&stat).ok_or_else(|| BenchError::Missing("/proc/PID/stat has no CPU times".into()))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// `utime` + `stime`: fields 14 and 15. The name in field 2 may contain spaces, so count from its closing bracket.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident now (`VmRSS`).
    pub(crate) resident_kib: u64,
    /// The most that was ever resident (`VmHWM`).
    pub(crate) peak_kib: u64,
    /// Of what is resident now, that which is no file's content (`RssAnon`).
    pub(crate) anonymous_kib: u64,
}

/// What a process keeps in memory.
///
/// # Errors
/// When the process is gone.
pub(crate) fn memory(pid: u32) -> Result<Memory, BenchError> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).during("reading the server's memory")?;
    let field = |name: &str| {
        kib(&status, name).ok_or_else(|| BenchError::Missing(format!("/proc/PID/status has no {name}")))
    };
    Ok(Memory {
        resident_kib: field("VmRSS:")?,
        peak_kib: field("VmHWM:")?,
        anonymous_kib: field("RssAnon:")?,
    })
}

fn kib(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_are_found_behind_a_name_with_spaces_and_brackets() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("42 (x) S 1"), None);
    }

    #[test]
    fn memory_is_read_from_the_named_line() {
        let status = "Name:\tthv\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(10240));
        assert_eq!(kib(status, "VmHWM:"), Some(20480));
        assert_eq!(kib(status, "VmSwap:"), None);
    }
}
