//! `state`: echoed exactly (AS-29), so it may come once and has a bound.

use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;

use super::single;
use crate::respond::RedirectError;

/// What clients send is some dozen characters; it is kept while the user logs in.
const MAX_LENGTH: usize = 2048;

pub(super) fn check(params: &Params) -> Result<(), RedirectError> {
    match single(params, "state")? {
        Some(state) if state.len() > MAX_LENGTH => {
            let description = format!("state has more than {MAX_LENGTH} characters");
            Err(RedirectError::new(ErrorCode::InvalidRequest, "state_too_long", description))
        }
        Some(_) | None => Ok(()),
    }
}

/// The state of an answer; one that was refused is not echoed.
pub(super) fn to_echo(params: &Params) -> Option<&str> {
    params.one("state").ok().flatten().filter(|state| state.len() <= MAX_LENGTH)
}
