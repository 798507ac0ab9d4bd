//! The load generator: keep-alive connections on one thread, closed loop for throughput, open loop for latency.
//!
//! It is a process of its own, so that it can be pinned away from the server. A [`Plan`] comes in on stdin, an
//! [`Outcome`] goes out on stdout. The first answer that is not a success ends the run: there is no figure with errors.

mod bridge;
mod closed;
mod open;
mod outcome;
mod plan;
mod requester;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::error::{BenchError, During as _};
use crate::process;

pub(crate) use bridge::Bridge;
pub(crate) use outcome::{Latency, Outcome};
pub(crate) use plan::{Pace, Plan, RefreshChain, Work};

use requester::Requester;

/// Reads the plan, drives the server, prints the outcome.
///
/// # Errors
/// When the plan cannot be read or an answer is not a success.
pub(crate) async fn run() -> Result<(), BenchError> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).during("reading the plan")?;
    let plan = serde_json::from_str(&text).during("reading the plan")?;
    let outcome = serde_json::to_string(&drive(plan).await?).during("writing the outcome")?;
    writeln!(std::io::stdout(), "{outcome}").during("writing the outcome")
}

async fn drive(plan: Plan) -> Result<Outcome, BenchError> {
    let requesters = Requester::open_all(plan.server, plan.work).await?;
    let window = Window::after(Duration::from_millis(plan.warmup_ms), Duration::from_millis(plan.measure_ms));
    let cpu = window.watch([plan.server_pid, plan.store_pid]);
    let finished = match plan.pace {
        Pace::Closed => closed::drive(requesters, window).await?,
        Pace::Open { requests_per_second } => open::drive(requesters, window, requests_per_second).await?,
    };
    let (latencies, requesters): (Vec<_>, Vec<_>) =
        finished.into_iter().map(|one| (one.latencies, one.requester)).unzip();
    let mut outcome = Outcome::of(latencies.concat(), window, cpu()?);
    outcome.chains = requesters.into_iter().filter_map(Requester::into_chain).collect();
    Ok(outcome)
}

/// What one connection brought home.
struct Finished {
    /// One latency per request of the window.
    latencies: Vec<Duration>,
    requester: Requester,
}

/// The part of the run that counts; what lies before warms the server up.
#[derive(Clone, Copy, Debug)]
struct Window {
    opens: Instant,
    closes: Instant,
}

impl Window {
    fn after(warmup: Duration, length: Duration) -> Self {
        let opens = Instant::now() + warmup;
        Self { opens, closes: opens + length }
    }

    fn contains(&self, instant: Instant) -> bool {
        self.opens <= instant && instant < self.closes
    }

    fn seconds(&self) -> f64 {
        (self.closes - self.opens).as_secs_f64()
    }

    /// Notes how much CPU time each process uses inside the window, on a thread of its own; what is returned waits for that.
    fn watch<const N: usize>(
        self,
        processes: [Option<u32>; N],
    ) -> impl FnOnce() -> Result<[Option<Duration>; N], BenchError> {
        let thread = std::thread::spawn(move || self.cpu_times(processes));
        move || {
            let died = |_| BenchError::Missing("the thread that reads CPU times died".into());
            thread.join().map_err(died)?
        }
    }

    /// CPU time that each process used inside the window. Blocks until the window has closed.
    fn cpu_times<const N: usize>(
        &self,
        processes: [Option<u32>; N],
    ) -> Result<[Option<Duration>; N], BenchError> {
        let read = || processes.map(|pid| pid.map(process::cpu_time));
        std::thread::sleep(self.opens.saturating_duration_since(Instant::now()));
        let before = read();
        std::thread::sleep(self.closes.saturating_duration_since(Instant::now()));
        let mut used = [None; N];
        for (used, (before, after)) in used.iter_mut().zip(before.into_iter().zip(read())) {
            if let (Some(before), Some(after)) = (before, after) {
                *used = Some(after?.saturating_sub(before?));
            }
        }
        Ok(used)
    }
}
