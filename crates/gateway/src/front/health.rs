//! `/health` and `/readyz`.

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use thv_proxy::ResponseBody;

use super::reply;

const METHODS: &str = "GET, HEAD";

/// One thing that the gateway needs, and whether it has it.
#[derive(Clone, Debug)]
pub struct Check {
    /// What it is: `store`, `keys`, `upstream corp`.
    pub name: String,
    /// Whether nothing works without it. An identity provider is not essential: who is logged in goes on working.
    pub essential: bool,
    /// What is wrong, for the log; nothing when all is well.
    pub failure: Option<String>,
}

/// The process is alive.
pub(super) fn live(method: &Method) -> Response<ResponseBody> {
    match *method {
        Method::GET | Method::HEAD => reply::json(StatusCode::OK, &json!({"status": "ok"})),
        _ => reply::method_not_allowed(METHODS),
    }
}

/// Whether requests can be served: 503 when something essential is missing. Reasons are in the log alone.
pub(super) fn ready(method: &Method, checks: &[Check]) -> Response<ResponseBody> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return reply::method_not_allowed(METHODS);
    }
    let mut status = (StatusCode::OK, "ok");
    let mut states = serde_json::Map::new();
    for check in checks {
        let state = if check.failure.is_none() { "ok" } else { "unavailable" };
        states.insert(check.name.clone(), Value::from(state));
        let Some(failure) = &check.failure else { continue };
        tracing::warn!(check = check.name, essential = check.essential, failure, "not ready");
        if check.essential {
            status = (StatusCode::SERVICE_UNAVAILABLE, "unavailable");
        } else if status.0 == StatusCode::OK {
            status = (StatusCode::OK, "degraded");
        }
    }
    reply::json(status.0, &json!({"status": status.1, "checks": states}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_something_essential_makes_us_unready() {
        let check = |essential, failure: Option<&str>| Check {
            name: "x".to_owned(),
            essential,
            failure: failure.map(str::to_owned),
        };
        let status = |checks: &[Check]| ready(&Method::GET, checks).status().as_u16();
        assert_eq!(status(&[]), 200);
        assert_eq!(status(&[check(true, None), check(false, Some("down"))]), 200);
        assert_eq!(status(&[check(true, Some("down")), check(false, Some("down"))]), 503);
    }
}
