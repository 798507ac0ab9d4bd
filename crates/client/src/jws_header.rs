//! A glance at a JOSE header before anything is verified: which key to look for.

use serde::Deserialize;
use thv_jose::digest::base64url_decode;
use thv_jose::verify::MAX_TOKEN_LEN;

/// The members that choose a key; nothing of it may be believed before the signature has been verified.
#[derive(Deserialize)]
pub(crate) struct JwsHeader {
    pub(crate) alg: Option<String>,
    pub(crate) kid: Option<String>,
}

impl JwsHeader {
    pub(crate) fn peek(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.').filter(|_| token.len() <= MAX_TOKEN_LEN)?;
        serde_json::from_slice(&base64url_decode(header)?).ok()
    }
}
