//! `response_type` is `code`, `response_mode` is `query` (OAuth 2.1 has no other).

use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;

use super::single;
use crate::respond::RedirectError;

pub(super) fn check(params: &Params) -> Result<(), RedirectError> {
    match single(params, "response_type")? {
        Some("code") => {}
        Some(_) => {
            let description = "only response_type=code is supported";
            let code = ErrorCode::UnsupportedResponseType;
            return Err(RedirectError::new(code, "response_type_unsupported", description));
        }
        None => {
            let description = "the parameter response_type is missing";
            return Err(RedirectError::new(ErrorCode::InvalidRequest, "response_type_missing", description));
        }
    }
    match single(params, "response_mode")? {
        None | Some("query") => Ok(()),
        Some(_) => {
            let description = "only response_mode=query is supported";
            Err(RedirectError::new(ErrorCode::InvalidRequest, "response_mode_unsupported", description))
        }
    }
}
