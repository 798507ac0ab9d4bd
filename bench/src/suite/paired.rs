//! Paired rounds: baseline and subject in turns within one run, so that drift of the machine hits both.

use serde::Serialize;

use super::bed::{Bed, Server};
use super::figures::Spread;
use crate::error::BenchError;
use crate::load::{Outcome, Pace, Plan, Work};

/// One of the two servers and the work that it is given.
pub(super) struct Side<'a> {
    name: &'static str,
    server: &'a Server,
    work: Work,
    store_pid: Option<u32>,
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
        Self { name, server, work, store_pid: None }
    }

    /// With the process of its store, whose CPU time is reported beside the server's.
    pub(super) fn with_store(self, pid: Option<u32>) -> Self {
        Self { store_pid: pid, ..self }
    }

    /// One run that is not reported.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn warm_up(&mut self, bed: &Bed<'_>) -> Result<(), BenchError> {
        self.run(bed, Pace::Closed).map(drop)
    }

    fn run(&mut self, bed: &Bed<'_>, pace: Pace) -> Result<Outcome, BenchError> {
        let mut outcome = bed.load(&Plan {
            server: self.server.address,
            server_pid: Some(self.server.process.pid()),
            store_pid: self.store_pid,
            work: self.work.clone(),
            pace,
            warmup_ms: bed.options.warmup_ms,
            measure_ms: bed.options.measure_ms,
        })?;
        // The families go on with their newest tokens, which have no place in a report.
        let newest = std::mem::take(&mut outcome.chains);
        if let Work::Refresh { chains, .. } = &mut self.work {
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

    /// 99th percentiles in microseconds, baseline and subject.
    pub(super) fn p99(&self) -> [Spread; 2] {
        [self.spread(|round| round.baseline.latency.p99), self.spread(|round| round.subject.latency.p99)]
    }

    /// How much later the subject's 99th percentile is, in microseconds.
    pub(super) fn added_p99(&self) -> Spread {
        self.spread(|round| round.subject.latency.p99 - round.baseline.latency.p99)
    }
}

fn cpu(outcome: &Outcome) -> f64 {
    outcome.cpu_micros_per_request.unwrap_or(f64::NAN)
}
