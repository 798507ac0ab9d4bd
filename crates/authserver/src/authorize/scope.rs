//! `scope`: what is asked for, as far as the client may have it.
//!
//! A missing `scope` means everything the client may have (AS-32). Scopes that it may not have are left out, which the
//! token response's `scope` says (RFC 6749 §3.3); only when nothing at all is left is the request refused.

use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_oauth::scope::ScopeSet;

use super::single;
use crate::clients::Client;
use crate::respond::RedirectError;

pub(super) fn grantable(
    params: &Params,
    client: &Client,
    step_up: &ScopeSet,
) -> Result<ScopeSet, RedirectError> {
    let Some(requested) = single(params, "scope")? else { return Ok(client.scopes.clone()) };
    let requested = ScopeSet::parse(requested)
        .map_err(|error| RedirectError::new(ErrorCode::InvalidScope, "scope_malformed", error.to_string()))?;
    // Whoever may ask for anything may ask the user to log in somewhere (U10).
    let granted = requested.intersection(&client.scopes.union(step_up));
    if granted.is_empty() && !requested.is_empty() {
        let description =
            format!("none of the requested scopes can be granted; available are: {}", client.scopes);
        return Err(RedirectError::new(ErrorCode::InvalidScope, "scope_not_available", description));
    }
    Ok(granted)
}
