//! PKCE is required of every client, with S256 (AS-25, AS-27).

use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_oauth::pkce::CodeChallenge;

use super::single;
use crate::respond::RedirectError;

pub(super) fn check(params: &Params) -> Result<CodeChallenge, RedirectError> {
    let challenge = single(params, "code_challenge")?;
    let method = single(params, "code_challenge_method")?;
    let challenge = challenge.ok_or_else(|| {
        RedirectError::new(
            ErrorCode::InvalidRequest,
            "code_challenge_missing",
            "code challenge required (PKCE, S256)",
        )
    })?;
    CodeChallenge::parse(challenge, method).map_err(|error| {
        RedirectError::new(ErrorCode::InvalidRequest, "code_challenge_unacceptable", error.to_string())
    })
}
