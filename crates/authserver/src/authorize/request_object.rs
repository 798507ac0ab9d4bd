//! Request objects (RFC 9101) are not supported; OpenID Connect Core §6 names the errors.

use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;

use super::single;
use crate::respond::RedirectError;

pub(super) fn refuse(params: &Params) -> Result<(), RedirectError> {
    for name in ["request", "request_uri"] {
        if single(params, name)?.is_some() {
            let description = format!("the parameter {name} is not supported");
            return Err(RedirectError::new(
                ErrorCode::InvalidRequest,
                "request_object_unsupported",
                description,
            ));
        }
    }
    Ok(())
}
