//! `thv run` against other programs that do the same.

use super::bed::Bed;
use super::figures::Goal;
use super::footprint::REST;
use super::paired::{self, Side};
use super::peers::{OfLocal, OfRemote, Peers};
use super::report::Report;
use super::scenarios::tools_call_work;
use super::workload::{Home, Protection, Stored};
use crate::error::BenchError;
use crate::load::{Pace, Work};
use crate::process;
use crate::provider;

/// How many times as fast.
const FASTER: Goal = Goal::AtLeast(10.0);
/// Which share of the memory.
const SMALLER: Goal = Goal::AtMost(0.2);

/// In front of a remote server: the peers, over standard input and output, and `thv run` over HTTP, each with the same token.
pub(super) fn remote(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    let peers = Peers::find()?;
    let backend = bed.reading_backend(provider::ACCESS_TOKEN)?;
    let provider = bed.provider()?;
    let url = format!("http://{}/mcp", backend.address);
    for peer in [OfRemote::McpRemote, OfRemote::McpProxy] {
        let home = Home::new(Protection::KeyFile)?;
        let ours = home.run_remote(bed, backend.address, Stored::Token, provider.address)?.server;
        let mut bridge = peers.remote(bed, peer, &url, provider::ACCESS_TOKEN)?;
        let pids = [bridge.pid(), ours.process.pid()];
        let baseline = Side::bridge(peer.label(), &mut bridge);
        let subject = Side::new("thv", &ours, tools_call_work(bed, None));
        compare(bed, report, &format!("run and {}", peer.label()), [baseline, subject], pids)?;
    }
    Ok(())
}

/// In front of a local server that speaks over standard input and output: all over HTTP, with a session on each connection.
pub(super) fn local(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    let peers = Peers::find()?;
    let command = bed.stdio_server();
    for peer in [OfLocal::McpProxy, OfLocal::Supergateway] {
        let home = Home::new(Protection::KeyFile)?;
        let ours = home.run_command(bed, &command)?.server;
        let theirs = peers.local(bed, peer, &command)?;
        let pids = [theirs.process.pid(), ours.process.pid()];
        let baseline = Side::new(peer.label(), &theirs, in_sessions(bed));
        let subject = Side::new("thv", &ours, in_sessions(bed));
        compare(bed, report, &format!("stdio and {}", peer.label()), [baseline, subject], pids)?;
    }
    Ok(())
}

fn in_sessions(bed: &Bed<'_>) -> Work {
    let mut work = tools_call_work(bed, None);
    if let Work::Same { session, .. } = &mut work {
        *session = true;
    }
    work
}

/// Memory at rest, throughput, memory after the load. What is compiled while it runs is compiled before the first round.
fn compare(
    bed: &Bed<'_>,
    report: &mut Report,
    name: &str,
    [mut baseline, mut subject]: [Side<'_>; 2],
    pids: [u32; 2],
) -> Result<(), BenchError> {
    let memory = || Ok::<_, BenchError>([process::memory(pids[0])?, process::memory(pids[1])?]);
    std::thread::sleep(REST);
    let idle = memory()?;
    baseline.warm_up(bed)?;
    subject.warm_up(bed)?;
    let seen = paired::compare(bed, &mut baseline, &mut subject, Pace::Closed)?;
    report.throughput(name, &seen, Some(FASTER))?;
    report.memory(&format!("{name}: idle RSS"), seen.sides(), idle, SMALLER)?;
    report.memory(&format!("{name}: RSS after load"), seen.sides(), memory()?, SMALLER)
}
