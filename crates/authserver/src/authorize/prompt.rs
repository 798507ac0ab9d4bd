//! `prompt` (OpenID Connect Core §3.1.2.1): unknown values are ignored (AS-31).

use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_oauth::prompt::Prompt;

use super::single;
use crate::respond::RedirectError;

pub(super) fn check(params: &Params) -> Result<Prompt, RedirectError> {
    let prompt = single(params, "prompt")?.unwrap_or_default();
    Prompt::parse(prompt).map_err(|error| {
        RedirectError::new(ErrorCode::InvalidRequest, "prompt_contradictory", error.to_string())
    })
}
