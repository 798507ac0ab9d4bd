//! The process itself: size of the binary, time to ready, memory at rest and after many logins.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::bed::Bed;
use super::figures::{Figure, Goal, Spread};
use super::report::Report;
use super::subject;
use crate::error::{BenchError, During as _};
use crate::login::{Endpoints, PublicClient};
use crate::process::{self, Memory};

/// Logins that are under way at once.
const CROWD: u32 = 16;

/// How long a fresh server is left alone before its memory is read.
pub(super) const REST: Duration = Duration::from_secs(1);

/// Measures all of it; the memory figures are of one process.
pub(super) async fn measure(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    let size = std::fs::metadata(&bed.thv).during("reading the size of thv")?.len();
    report.add(Figure::judged(
        "process: binary",
        "MB",
        Spread::single(megabytes(size)),
        Goal::AtMost(30.0),
    ))?;

    let mut ready = Vec::new();
    for _ in 0..bed.options.starts {
        ready.push(subject::start(bed, None)?.ready_after.as_secs_f64() * 1e3);
    }
    report.add(Figure::judged("process: ready", "ms", Spread::of(ready), Goal::AtMost(50.0)))?;

    let server = subject::start(bed, None)?.server;
    std::thread::sleep(REST);
    let idle = process::memory(server.process.pid())?;
    report.add(Figure::judged("process: idle RSS", "MB", resident(idle), Goal::AtMost(20.0)))?;

    let (logins, clients) = bed.options.crowd();
    let start = Instant::now();
    log_in_everyone(server.address, logins, clients).await?;
    let seconds = start.elapsed().as_secs_f64();
    let after = process::memory(server.process.pid())?;
    let name = |what: &str| format!("process: {what} {logins} logins by {clients} clients");
    report.add(Figure::new(name("RSS after"), "MB", resident(after)))?;
    let peak = Spread::single(megabytes(after.peak_kib * 1024));
    report.add(Figure::new(name("peak RSS of"), "MB", peak))?;
    let grown = after.resident_kib.saturating_sub(idle.resident_kib) * 1024;
    let per_login = Spread::single(megabytes(grown) * 1e6 / f64::from(logins.max(1)));
    report.add(Figure::new("process: RSS growth per login", "bytes", per_login))?;
    let rate = Spread::single(f64::from(logins) / seconds);
    report.add(Figure::new("process: complete logins", "1/s", rate))
}

/// Spreads the logins evenly over the clients, [`CROWD`] clients at a time.
async fn log_in_everyone(server: SocketAddr, logins: u32, clients: u32) -> Result<(), BenchError> {
    let endpoints = Endpoints::discover(server).await?;
    let tasks: Vec<_> = (0..CROWD)
        .map(|first| {
            let endpoints = endpoints.clone();
            tokio::spawn(async move {
                for number in (first..clients).step_by(CROWD as usize) {
                    let mut client = PublicClient::register(server, &endpoints, number).await?;
                    // The first clients take one login more when the division leaves a rest.
                    for _ in 0..(logins / clients + u32::from(number < logins % clients)) {
                        client.log_in().await?;
                    }
                }
                Ok::<_, BenchError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.during("logging in")??;
    }
    Ok(())
}

/// What is resident, in megabytes.
pub(super) fn resident(memory: Memory) -> Spread {
    Spread::single(megabytes(memory.resident_kib * 1024))
}

/// What of it is no file's content, in megabytes.
pub(super) fn anonymous(memory: Memory) -> Spread {
    Spread::single(megabytes(memory.anonymous_kib * 1024))
}

/// Bytes in units of 10^6.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
