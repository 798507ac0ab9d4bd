use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::label::{Label, Route, StatusClass};

/// Upper bounds in seconds: from a request answered out of memory to a tool that works for half a minute.
const BOUNDS: [f64; 11] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

type RouteAndStatus = [(&'static str, &'static str); 2];
type RouteOnly = [(&'static str, &'static str); 1];

/// Finished requests, by route and status class, and how long they took.
#[derive(Debug)]
pub struct Requests {
    routes: Vec<PerRoute>,
}

#[derive(Debug)]
struct PerRoute {
    by_status: Vec<Counter>,
    duration: Histogram,
}

impl Requests {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let counters = Family::<RouteAndStatus, Counter>::default();
        let durations = Family::<RouteOnly, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(BOUNDS)
        });
        registry.register("http_requests", "Requests answered, by route and status class", counters.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time from the end of a request's head to the head of its response, in seconds",
            durations.clone(),
        );
        let per_route = |route: &Route| PerRoute {
            by_status: StatusClass::ALL
                .iter()
                .map(|status| {
                    counters.get_or_create_owned(&[
                        (Route::NAME, route.text()),
                        (StatusClass::NAME, status.text()),
                    ])
                })
                .collect(),
            duration: durations.get_or_create_owned(&[(Route::NAME, route.text())]),
        };
        Self { routes: Route::ALL.iter().map(per_route).collect() }
    }

    /// Counts one request that was answered with `status` after `duration`.
    pub fn finished(&self, route: Route, status: u16, duration: Duration) {
        let Some(per_route) = self.routes.get(route.position()) else { return };
        if let Some(counter) = per_route.by_status.get(StatusClass::of(status).position()) {
            counter.inc();
        }
        per_route.duration.observe(duration.as_secs_f64());
    }
}
