//! Which program is in the way on a port.

use std::path::Path;

use procfs::net::{TcpState, tcp, tcp6};
use procfs::process::{FDTarget, Process, all_processes};

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// The name of its program, without arguments: these may be somebody's secrets.
    pub command: String,
}

impl Owner {
    /// For a message.
    pub fn describe(&self) -> String {
        format!("process {} ({})", self.pid, self.command)
    }
}

/// Which process listens on a TCP port of this machine, on whatever address. `None` when nobody does, or it cannot be told:
/// other users' processes hide their sockets.
pub fn who_listens(port: u16) -> Option<Owner> {
    let sockets = tcp().into_iter().chain(tcp6()).flatten();
    let listening =
        sockets.filter(|socket| socket.state == TcpState::Listen && socket.local_address.port() == port);
    let inodes: Vec<u64> = listening.map(|socket| socket.inode).collect();
    if inodes.is_empty() {
        return None;
    }
    let processes = all_processes().ok()?.filter_map(Result::ok);
    processes.into_iter().find(|process| has_socket(process, &inodes)).and_then(|process| owner(&process))
}

fn has_socket(process: &Process, inodes: &[u64]) -> bool {
    let is_one = |target: FDTarget| matches!(target, FDTarget::Socket(inode) if inodes.contains(&inode));
    process.fd().is_ok_and(|files| files.flatten().any(|file| is_one(file.target)))
}

fn owner(process: &Process) -> Option<Owner> {
    // The name in `stat` is cut off, and some programs change it for their threads.
    let program = process.cmdline().ok().and_then(|args| {
        Path::new(args.first()?).file_name().map(|name| name.to_string_lossy().into_owned())
    });
    let command = program.or_else(|| process.stat().ok().map(|stat| stat.comm))?;
    Some(Owner { pid: u32::try_from(process.pid).ok()?, command })
}
