//! The authorization response's `iss` (RFC 9207).

use thv_oauth::server_metadata::AuthorizationServerMetadata;

/// Why a response must not be acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssError {
    /// The server announces `iss`, and the response has none.
    #[error("the authorization response lacks iss, which the server announces")]
    Missing,
    /// The response is from another server.
    #[error("the authorization response is from another issuer")]
    Mismatch,
}

/// Checks `iss`, before any token request and for error responses too (CL-42): it must be there when the server announces
/// it, and be the server's issuer whenever it is there. Compared as raw strings (CL-43).
///
/// # Errors
/// [`IssError`].
pub fn check_iss(metadata: &AuthorizationServerMetadata, iss: Option<&str>) -> Result<(), IssError> {
    match iss {
        Some(iss) if iss == metadata.issuer => Ok(()),
        Some(_) => Err(IssError::Mismatch),
        None if metadata.authorization_response_iss_parameter_supported => Err(IssError::Missing),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_42_cl_43_iss_is_compared_raw_and_required_when_announced() {
        let issuer = "https://as.example/t";
        let mut metadata = AuthorizationServerMetadata { issuer: issuer.into(), ..Default::default() };
        for announced in [false, true] {
            metadata.authorization_response_iss_parameter_supported = announced;
            assert_eq!(check_iss(&metadata, Some(issuer)), Ok(()));
            for other in [
                "https://as.example/t/",
                "https://AS.example/t",
                "https://as.example:443/t",
                "https://as.example/%74",
            ] {
                assert_eq!(check_iss(&metadata, Some(other)), Err(IssError::Mismatch), "{other}");
            }
            let absent = if announced { Err(IssError::Missing) } else { Ok(()) };
            assert_eq!(check_iss(&metadata, None), absent);
        }
    }
}
