//! Asking the server for its challenge, when no client's request has brought one.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use thv_egress::{Client, EgressError, Request};
use thv_oauth::received_challenge::ReceivedChallenge;

use crate::challenge::challenge_of;

const WITHIN: Duration = Duration::from_secs(10);
/// What the server says.
#[derive(Clone, Debug)]
pub(crate) struct Probed {
    pub(crate) status: StatusCode,
    pub(crate) challenge: Option<ReceivedChallenge>,
}

impl Probed {
    /// Whether it wants a (better) token.
    pub(crate) fn is_refusal(&self) -> bool {
        match self.status {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::FORBIDDEN => self.challenge.is_some(),
            _ => false,
        }
    }
}

/// The challenge of a server that wants a login, asked with these header fields. Whatever else it says, discovery goes
/// without.
pub(crate) async fn challenge(egress: &Client, url: &str, headers: HeaderMap) -> Option<ReceivedChallenge> {
    probe(egress, url, headers).await.ok().filter(Probed::is_refusal)?.challenge
}

/// A POST of nothing. Servers look at who asks before they look at what is asked, and this is nothing in any version of the
/// protocol: whoever lets it pass opens no session and does no work. Many have no GET to ask.
pub(crate) async fn probe(egress: &Client, url: &str, mut headers: HeaderMap) -> Result<Probed, EgressError> {
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    let request = Request { method: Method::POST, url, headers, body: Bytes::new() };
    let (status, headers) = egress.head(request, WITHIN).await?;
    Ok(Probed { status, challenge: challenge_of(&headers) })
}
