//! Error responses of the token endpoint and those like it (RFC 6749 §5.2), also where a server does not keep to the
//! standard.

use http::StatusCode;
use serde_json::{Map, Value};
use thv_egress::{Response, json};
use url::form_urlencoded;

use crate::form_endpoint::Answer;
use crate::server_text;

/// What kind of failure an answer is.
pub(crate) enum Failure {
    /// The server cannot answer now. It may have failed half-way, or a gateway before it may have stopped waiting.
    Unavailable { reason: String, may_have_been_processed: bool },
    /// It refused: the error code, or the status where there is none.
    Refused { error: String },
    /// It is no answer of such an endpoint.
    Malformed { what: String },
}

/// What an answer says about the request, whichever form endpoint it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// The client was not recognized.
    ClientRefused,
    /// The client was recognized, whatever became of its request.
    Considered,
    /// The server cannot answer now, or this is not its answer.
    None,
}

pub(crate) fn judge(answer: &Answer) -> Judgement {
    match failure(answer) {
        Some(Failure::Refused { error }) if error == "invalid_client" || error == "status 401" => {
            Judgement::ClientRefused
        }
        None | Some(Failure::Refused { .. }) => Judgement::Considered,
        Some(Failure::Unavailable { .. } | Failure::Malformed { .. }) => Judgement::None,
    }
}

/// What went wrong in the server's own words, for the log.
pub(crate) fn description(answer: &Answer) -> Option<String> {
    let document = document(&answer.response)?;
    let text = document.get("error_description")?.as_str()?;
    server_text::description(text, |text| answer.repeats_secret(text))
}

/// An error code. Whatever else is there says no more than that there is one.
fn error_code(answer: &Answer) -> Option<String> {
    match document(&answer.response)?.get("error")? {
        Value::Null | Value::Bool(false) => None,
        Value::String(code) if code.is_empty() => None,
        Value::String(code) => Some(server_text::code(code, |text| answer.repeats_secret(text))),
        _ => Some(server_text::unusable_code()),
    }
}

/// A server may send an error with status 200 (GitHub does), so the code is looked at first; what says "later" says so by
/// status or by code.
pub(crate) fn failure(answer: &Answer) -> Option<Failure> {
    let status = answer.response.status;
    let error = error_code(answer);
    let later = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    // 429, 502 and 503 are said instead of doing what was asked.
    let half_way = matches!(status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::GATEWAY_TIMEOUT);
    match error {
        Some(code) if later || matches!(code.as_str(), "temporarily_unavailable" | "server_error") => {
            let may_have_been_processed = code != "temporarily_unavailable" && (half_way || !later);
            Some(Failure::Unavailable { reason: code, may_have_been_processed })
        }
        Some(error) => Some(Failure::Refused { error }),
        None if later => Some(Failure::Unavailable {
            reason: format!("status {}", status.as_u16()),
            may_have_been_processed: half_way,
        }),
        None if status.is_success() => None,
        None if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) => {
            Some(Failure::Refused { error: format!("status {}", status.as_u16()) })
        }
        // A redirect, a firewall's page, a wrong path: not the server's judgement of the grant.
        None => Some(Failure::Malformed { what: format!("its status is {}", status.as_u16()) }),
    }
}

/// A JSON object, or a form as older servers send it whatever `Accept` says.
pub(crate) fn document(response: &Response) -> Option<Value> {
    if let Ok(members) = serde_json::from_slice::<Map<String, Value>>(&response.body) {
        return Some(Value::Object(members));
    }
    if json::is_json(&response.headers) {
        return None;
    }
    let members: Map<String, Value> = form_urlencoded::parse(&response.body)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    let is_form = ["access_token", "error"].iter().any(|name| members.contains_key(*name));
    is_form.then_some(Value::Object(members))
}
