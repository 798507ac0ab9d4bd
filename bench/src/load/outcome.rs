//! What a load run found.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Window;
use super::plan::RefreshChain;

/// The figures of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Requests inside the window.
    pub(crate) requests: usize,
    /// Requests per second.
    pub(crate) throughput: f64,
    /// CPU time that the server used inside the window, per request.
    pub(crate) cpu_micros_per_request: Option<f64>,
    /// CPU time that the server's store used inside the window, per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store_cpu_micros_per_request: Option<f64>,
    /// Share of the window in which the server was on a core; well below 1, something else was the bottleneck.
    pub(crate) server_busy: Option<f64>,
    /// How long answers took.
    pub(crate) latency: Latency,
    /// The newest token of each refresh token family, for the next run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) chains: Vec<RefreshChain>,
}

/// Exact quantiles in microseconds: every sample is kept, nothing is put into buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Outcome {
    /// Sums up one latency for each request of the window.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
    pub(super) fn of(
        mut latencies: Vec<Duration>,
        window: Window,
        [cpu, store_cpu]: [Option<Duration>; 2],
    ) -> Self {
        latencies.sort_unstable();
        let requests = latencies.len();
        let per_request = |cpu: Duration| cpu.as_secs_f64() * 1e6 / requests.max(1) as f64;
        Self {
            requests,
            throughput: requests as f64 / window.seconds(),
            cpu_micros_per_request: cpu.map(per_request),
            store_cpu_micros_per_request: store_cpu.map(per_request),
            server_busy: cpu.map(|cpu| cpu.as_secs_f64() / window.seconds()),
            latency: Latency::of(&latencies),
            chains: Vec::new(),
        }
    }
}

impl Latency {
    /// From sorted samples.
    fn of(sorted: &[Duration]) -> Self {
        let per_mille = |share: usize| {
            let rank = (sorted.len() * share).div_ceil(1000).saturating_sub(1);
            sorted.get(rank).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
        };
        Self {
            p50: per_mille(500),
            p90: per_mille(900),
            p99: per_mille(990),
            p999: per_mille(999),
            max: per_mille(1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let samples: Vec<_> = (1..=1000).map(Duration::from_micros).collect();
        let latency = Latency::of(&samples);
        assert_eq!(
            [latency.p50, latency.p90, latency.p99],
            [500.0, 900.0, 990.0].map(|us: f64| (us / 1e6) * 1e6)
        );
        assert!((latency.p999 - 999.0).abs() < 1e-6 && (latency.max - 1000.0).abs() < 1e-6);
    }

    #[test]
    fn quantiles_of_few_samples_are_samples() {
        assert_eq!(Latency::of(&[]), Latency::default());
        let one = Latency::of(&[Duration::from_micros(7)]);
        assert!((one.p50 - 7.0).abs() < 1e-9 && (one.max - 7.0).abs() < 1e-9);
    }
}
