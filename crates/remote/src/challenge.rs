//! The challenge among a response's header fields.

use http::header::{HeaderMap, WWW_AUTHENTICATE};
use thv_oauth::received_challenge::ReceivedChallenge;

/// The `Bearer` challenge to go by, if there is one.
pub(crate) fn challenge_of(headers: &HeaderMap) -> Option<ReceivedChallenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    ReceivedChallenge::bearer(&ReceivedChallenge::parse_all(values)).cloned()
}
