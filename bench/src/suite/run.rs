//! `thv run` in front of a remote server, by itself: what it costs a request, how soon it answers, what it keeps in memory.

use std::time::Duration;

use super::bed::Bed;
use super::figures::{Figure, Goal, Spread};
use super::footprint::{REST, anonymous, resident};
use super::paired::{self, Side};
use super::report::Report;
use super::scenarios::tools_call_work;
use super::workload::{Home, Protection, Stored};
use crate::error::BenchError;
use crate::load::Pace;
use crate::process;
use crate::provider;

/// `tools/call` with the stored token added against the bare proxy, whose clients send the token themselves: throughput, then
/// latency at half of it.
pub(super) fn tools_call(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    for stored in [Stored::Token, Stored::Login] {
        let name = format!("run, {}", stored.label());
        let backend = bed.demanding_backend(provider::ACCESS_TOKEN)?;
        let provider = bed.provider()?;
        let baseline = bed.baseline(&["proxy", "--backend", &backend.address.to_string()])?;
        let home = Home::new(Protection::KeyFile)?;
        let server = home.run_remote(bed, backend.address, stored, provider.address)?.server;
        let with_token = tools_call_work(bed, Some(provider::ACCESS_TOKEN));
        let mut baseline = Side::new("baseline", &baseline, with_token);
        let mut subject = Side::new("thv", &server, tools_call_work(bed, None));

        let closed = paired::compare(bed, &mut baseline, &mut subject, Pace::Closed)?;
        report.throughput(&name, &closed, Some(Goal::AtLeast(0.70)))?;

        let requests_per_second = closed.throughputs()[1].median / 2.0;
        let open = paired::compare(bed, &mut baseline, &mut subject, Pace::Open { requests_per_second })?;
        report.latency(&name, &open, requests_per_second, Goal::AtMost(1000.0))?;
    }
    Ok(())
}

/// How long a fresh process is left alone before its memory is read. What Argon2id used goes with the thread that used it,
/// and the runtime ends such threads when they have been idle for ten seconds.
fn rest(protection: Protection) -> Duration {
    match protection {
        Protection::KeyFile => REST,
        Protection::Password => Duration::from_secs(10) + REST,
    }
}

/// The time from the start of the program to the first answer through it, and memory at rest.
pub(super) fn process(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    let backend = bed.demanding_backend(provider::ACCESS_TOKEN)?;
    let provider = bed.provider()?;
    for protection in [Protection::KeyFile, Protection::Password] {
        for stored in [Stored::Token, Stored::Login] {
            let home = Home::new(protection)?;
            drop(home.run_remote(bed, backend.address, stored, provider.address)?);
            let mut millis = Vec::new();
            for _ in 0..bed.options.starts {
                millis.push(home.start(bed)?.ready_after.as_secs_f64() * 1e3);
            }
            let of = format!("{}, {}", stored.label(), protection.label());
            let name = format!("run: first answer, {of}");
            report.add(Figure::judged(name, "ms", Spread::of(millis), Goal::AtMost(100.0)))?;

            let server = home.start(bed)?.server;
            std::thread::sleep(rest(protection));
            let memory = process::memory(server.process.pid())?;
            report.add(Figure::new(format!("run: idle RSS, {of}"), "MB", resident(memory)))?;
            report.add(Figure::new(format!("run: idle RSS, anonymous, {of}"), "MB", anonymous(memory)))?;
        }
    }
    Ok(())
}
