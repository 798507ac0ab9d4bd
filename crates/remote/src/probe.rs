//! Asking the server for its challenge, when no client's request has brought one.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use thv_egress::{Client, EgressError, Request};
use thv_oauth::received_challenge::ReceivedChallenge;

use crate::challenge::challenge_of;

const WITHIN: Duration = Duration::from_secs(10);
/// Changes nothing at a server that answers it, and opens no session.
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":"probe","method":"ping"}"#;

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

/// The challenge of a server that wants a login. Whatever else it says, discovery goes without.
pub(crate) async fn challenge(egress: &Client, url: &str) -> Option<ReceivedChallenge> {
    probe(egress, url, HeaderMap::new()).await.ok().filter(Probed::is_refusal)?.challenge
}

/// A GET, and where that is not refused, a POST: a server may look at who asks only then.
pub(crate) async fn probe(egress: &Client, url: &str, mut headers: HeaderMap) -> Result<Probed, EgressError> {
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    let get = Request { method: Method::GET, url, headers: headers.clone(), body: Bytes::new() };
    let probed = send(egress, get).await?;
    if probed.is_refusal() {
        return Ok(probed);
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    send(egress, Request { method: Method::POST, url, headers, body: Bytes::from_static(PING) }).await
}

async fn send(egress: &Client, request: Request<'_>) -> Result<Probed, EgressError> {
    let (status, headers) = egress.head(request, WITHIN).await?;
    Ok(Probed { status, challenge: challenge_of(&headers) })
}
