//! Paired rounds: baseline and subject in turns within one run, so that drift of the machine hits both.

use std::time::Duration;

use serde::Serialize;

use super::bed::{Bed, Server};
use super::figures::Spread;
use crate::error::BenchError;
use crate::load::{Bridge, Latency, Outcome, Pace, Plan, Work};

/// One of the two sides and how it is loaded.
pub(super) struct Side<'a> {
    name: &'static str,
    subject: Subject<'a>,
}

enum Subject<'a> {
    /// By a process of the load, which gives it this work.
    Server { server: &'a Server, work: Work, store_pid: Option<u32> },
    /// Through its pipes, as many calls at once as others have connections.
    Bridge(&'a mut Bridge),
}

/// Both outcomes of one round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    baseline: Outcome,
    subject: Outcome,
}

/// All rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    /// What baseline and subject are called.
    sides: [&'static str; 2],
    rounds: Vec<Round>,
}

/// Runs the rounds; who goes first alternates.
///
/// # Errors
/// When a run fails.
pub(super) fn compare(
    bed: &Bed<'_>,
    baseline: &mut Side<'_>,
    subject: &mut Side<'_>,
    pace: Pace,
) -> Result<Comparison, BenchError> {
    let mut rounds = Vec::new();
    for round in 0..bed.options.rounds {
        rounds.push(if round % 2 == 0 {
            let first = baseline.run(bed, pace)?;
            Round { baseline: first, subject: subject.run(bed, pace)? }
        } else {
            let first = subject.run(bed, pace)?;
            Round { baseline: baseline.run(bed, pace)?, subject: first }
        });
    }
    Ok(Comparison { sides: [baseline.name, subject.name], rounds })
}

impl<'a> Side<'a> {
    /// A server under the name that the report gives it.
    pub(super) fn new(name: &'static str, server: &'a Server, work: Work) -> Self {
        Self { name, subject: Subject::Server { server, work, store_pid: None } }
    }

    /// A server with the process of its store, whose CPU time is reported beside the server's.
    pub(super) fn with_store(
        name: &'static str,
        server: &'a Server,
        work: Work,
        store_pid: Option<u32>,
    ) -> Self {
        Self { name, subject: Subject::Server { server, work, store_pid } }
    }

    /// A bridge under the name that the report gives it.
    pub(super) fn bridge(name: &'static str, bridge: &'a mut Bridge) -> Self {
        Self { name, subject: Subject::Bridge(bridge) }
    }

    /// One run that is not reported.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn warm_up(&mut self, bed: &Bed<'_>) -> Result<(), BenchError> {
        self.run(bed, Pace::Closed).map(drop)
    }

    fn run(&mut self, bed: &Bed<'_>, pace: Pace) -> Result<Outcome, BenchError> {
        let (warmup_ms, measure_ms) = (bed.options.warmup_ms, bed.options.measure_ms);
        let (server, work, store_pid) = match (&mut self.subject, pace) {
            (Subject::Server { server, work, store_pid }, _) => (server, work, *store_pid),
            (Subject::Bridge(bridge), Pace::Closed) => {
                let millis = Duration::from_millis;
                return bridge.drive(bed.connections(), millis(warmup_ms), millis(measure_ms));
            }
            (Subject::Bridge(_), Pace::Open { .. }) => {
                return Err(BenchError::Missing("bridges are loaded in the closed loop only".into()));
            }
        };
        let mut outcome = bed.load(&Plan {
            server: server.address,
            server_pid: Some(server.process.pid()),
            store_pid,
            work: work.clone(),
            pace,
            warmup_ms,
            measure_ms,
        })?;
        // The families go on with their newest tokens, which have no place in a report.
        let newest = std::mem::take(&mut outcome.chains);
        if let Work::Refresh { chains, .. } = work {
            *chains = newest;
        }
        Ok(outcome)
    }
}

impl Comparison {
    fn spread(&self, of: impl Fn(&Round) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(of))
    }

    /// What baseline and subject are called.
    pub(super) fn sides(&self) -> [&'static str; 2] {
        self.sides
    }

    /// CPU microseconds per request of the subject's store, where that is a process of its own.
    pub(super) fn store_cpu_micros(&self) -> Option<Spread> {
        let each: Option<Vec<f64>> =
            self.rounds.iter().map(|round| round.subject.store_cpu_micros_per_request).collect();
        each.map(Spread::of)
    }

    /// Requests that the subject answered while it was measured.
    pub(super) fn subject_requests(&self) -> usize {
        self.rounds.iter().map(|round| round.subject.requests).sum()
    }

    /// The subject's throughput as a share of the baseline's.
    pub(super) fn throughput_ratio(&self) -> Spread {
        self.spread(|round| round.subject.throughput / round.baseline.throughput)
    }

    /// The baseline's CPU time per request as a share of the subject's: what the throughput ratio would be if nothing
    /// but the server's core limited either.
    pub(super) fn cpu_ratio(&self) -> Spread {
        self.spread(|round| cpu(&round.baseline) / cpu(&round.subject))
    }

    /// Requests per second, baseline and subject.
    pub(super) fn throughputs(&self) -> [Spread; 2] {
        [self.spread(|round| round.baseline.throughput), self.spread(|round| round.subject.throughput)]
    }

    /// CPU microseconds per request, baseline and subject.
    pub(super) fn cpu_micros(&self) -> [Spread; 2] {
        [self.spread(|round| cpu(&round.baseline)), self.spread(|round| cpu(&round.subject))]
    }

    /// Share of the time in which the server was on its core, baseline and subject.
    pub(super) fn busy(&self) -> [Spread; 2] {
        let busy = |outcome: &Outcome| outcome.server_busy.unwrap_or_default();
        [self.spread(|round| busy(&round.baseline)), self.spread(|round| busy(&round.subject))]
    }

    /// A quantile in microseconds: of baseline and subject, and how much later the subject's is.
    pub(super) fn quantile(&self, of: impl Fn(&Latency) -> f64) -> ([Spread; 2], Spread) {
        let [baseline, subject] =
            [|round: &Round| round.baseline.latency, |round: &Round| round.subject.latency];
        let each = [self.spread(|round| of(&baseline(round))), self.spread(|round| of(&subject(round)))];
        (each, self.spread(|round| of(&subject(round)) - of(&baseline(round))))
    }
}

fn cpu(outcome: &Outcome) -> f64 {
    outcome.cpu_micros_per_request.unwrap_or(f64::NAN)
}
