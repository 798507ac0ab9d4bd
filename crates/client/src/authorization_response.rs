//! The authorization response (RFC 6749 §4.1.2) and its `iss` (RFC 9207).

use secrecy::SecretString;
use thv_oauth::params::{Params, ParamsError};
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use crate::server_text;

/// Why a response brings no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It is no response that could be read.
    #[error("the authorization response cannot be read")]
    Malformed(#[source] ParamsError),
    /// It is from another server (CL-42). Nothing else of it was looked at.
    #[error(transparent)]
    Iss(#[from] IssError),
    /// It answers another request, or none (CL-44). Nothing but `iss` and `state` was looked at.
    #[error("the authorization response is for another login")]
    State,
    /// The server refused, or the user did (RFC 6749 §4.1.2.1).
    #[error("the authorization server refused with {error}{}", server_text::in_brackets(.description.as_deref()))]
    Refused {
        /// The error code.
        error: String,
        /// The server's own words.
        description: Option<String>,
    },
    /// Neither a code nor an error.
    #[error("the authorization response has no code")]
    NoCode,
}

/// The code of the response with these parameters (a query without `?`) to the request with this `state`. What is judged
/// first is who answers, then what is answered, and only then what the answer is.
///
/// # Errors
/// [`ResponseError`].
pub fn code(
    metadata: &AuthorizationServerMetadata,
    state: &str,
    query: &str,
) -> Result<SecretString, ResponseError> {
    let params = Params::parse(query.as_bytes()).map_err(ResponseError::Malformed)?;
    let one = |name| params.one(name).map_err(ResponseError::Malformed);
    check_iss(metadata, one("iss")?)?;
    if one("state")? != Some(state) {
        return Err(ResponseError::State);
    }
    if let Some(error) = one("error")? {
        let description = one("error_description")?;
        return Err(ResponseError::Refused {
            error: server_text::code(error, |_| false),
            description: description.and_then(|text| server_text::description(text, |_| false)),
        });
    }
    one("code")?.map(SecretString::from).ok_or(ResponseError::NoCode)
}

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
/// it, and be the server's issuer whenever it is there. Compared as raw strings (CL-43). Of a server whose endpoints alone are
/// known, the issuer is empty, and there is nothing to compare.
///
/// # Errors
/// [`IssError`].
pub fn check_iss(metadata: &AuthorizationServerMetadata, iss: Option<&str>) -> Result<(), IssError> {
    match iss {
        Some(iss) if iss == metadata.issuer || metadata.issuer.is_empty() => Ok(()),
        Some(_) => Err(IssError::Mismatch),
        None if metadata.authorization_response_iss_parameter_supported => Err(IssError::Missing),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn iss_is_judged_before_state_and_state_before_the_answer() {
        let issuer = "https://as.example";
        let metadata = AuthorizationServerMetadata {
            issuer: issuer.into(),
            authorization_response_iss_parameter_supported: true,
            ..Default::default()
        };
        let judge = |query: &str| code(&metadata, "s", query).map(|code| code.expose_secret().to_owned());
        let with_iss = |rest: &str| judge(&format!("iss=https%3A%2F%2Fas.example&{rest}"));
        assert_eq!(
            judge("iss=https://evil.example&state=x&error=access_denied"),
            Err(IssError::Mismatch.into())
        );
        assert_eq!(judge("state=s&code=c"), Err(IssError::Missing.into()));
        assert_eq!(with_iss("state=x&error=access_denied"), Err(ResponseError::State));
        assert_eq!(with_iss("code=c"), Err(ResponseError::State));
        let refused =
            ResponseError::Refused { error: "access_denied".into(), description: Some("no".into()) };
        assert_eq!(refused.to_string(), "the authorization server refused with access_denied (no)");
        assert_eq!(with_iss("state=s&code=c&error=access_denied&error_description=no"), Err(refused));
        assert_eq!(with_iss("state=s"), Err(ResponseError::NoCode));
        assert_eq!(with_iss("state=s&code=c"), Ok("c".to_owned()));
        let repeated = with_iss("state=s&code=c&code=d");
        assert!(matches!(repeated, Err(ResponseError::Malformed(_))), "{repeated:?}");
    }

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
