//! `resource` (RFC 8707): which of our resources the token is for. It may be repeated.

use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_oauth::resource::ResourceIndicator;

use crate::respond::RedirectError;

pub(super) fn targets(
    params: &Params,
    audiences: &[ResourceIndicator],
) -> Result<Vec<String>, RedirectError> {
    let requested: Vec<&str> = params.all("resource").collect();
    select(&requested, audiences).map_err(|unknown| {
        let known: Vec<&str> = audiences.iter().map(ResourceIndicator::as_str).collect();
        let description = format!("{unknown} is not a resource of this server; known: {}", known.join(", "));
        RedirectError::new(ErrorCode::InvalidTarget, "resource_unknown", description)
    })
}

/// The audiences meant by `requested`, written as we write them; none requested means the default one.
///
/// # Errors
/// The first requested resource that is none of ours.
pub(crate) fn select(requested: &[&str], audiences: &[ResourceIndicator]) -> Result<Vec<String>, String> {
    if requested.is_empty() {
        return Ok(audiences.first().map(|own| own.as_str().to_owned()).into_iter().collect());
    }
    let mut selected = Vec::new();
    for resource in requested {
        let exact = audiences.iter().find(|own| own.as_str() == *resource);
        let own = exact.or_else(|| audiences.iter().find(|own| own.equivalent_to(resource)));
        let own = own.ok_or_else(|| clipped(resource))?;
        if !selected.iter().any(|known| known == own.as_str()) {
            selected.push(own.as_str().to_owned());
        }
    }
    Ok(selected)
}

/// Enough of a foreign value to recognise it in an error description.
fn clipped(value: &str) -> String {
    value.chars().filter(|c| c.is_ascii_graphic() && *c != '"' && *c != '\\').take(120).collect()
}
