//! `POST /oauth/token`: the grants; beside it the endpoints where tokens are revoked and introspected.

mod authorization_code;
mod client_authentication;
pub(crate) mod client_keys;
mod introspection;
mod issue;
mod issued;
mod refresh_token;
mod revocation;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_oauth::resource::ResourceIndicator;
use thv_telemetry::metrics::GrantType;

use self::client_authentication::Presented;
use crate::authorize::resource::select;
use crate::respond::EndpointError;
use crate::server::{AuthServer, Source};

impl AuthServer {
    pub(crate) async fn token(&self, request: &Request<Bytes>, source: Source) -> Response<Bytes> {
        let mut grant_type = GrantType::Other;
        match self.try_token(request, source, &mut grant_type).await {
            Ok(response) => {
                self.inner.metrics.token_grant(grant_type, "success");
                response
            }
            Err(error) => {
                self.inner.metrics.token_grant(grant_type, error.code.as_str());
                error.into_response()
            }
        }
    }

    async fn try_token(
        &self,
        request: &Request<Bytes>,
        source: Source,
        grant_type: &mut GrantType,
    ) -> Result<Response<Bytes>, EndpointError> {
        let form = form(request)?;
        let presented = Presented::from_request(request.headers(), &form)?;
        match form.one("grant_type")? {
            Some("authorization_code") => {
                *grant_type = GrantType::AuthorizationCode;
                self.authorization_code(&form, &presented, source).await
            }
            Some("refresh_token") => {
                *grant_type = GrantType::RefreshToken;
                self.refresh_token(&form, &presented, source).await
            }
            Some(_) => Err(EndpointError::new(
                ErrorCode::UnsupportedGrantType,
                "grant_type_unsupported",
                "supported are authorization_code and refresh_token",
            )),
            None => Err(EndpointError::invalid_request(
                "grant_type_missing",
                "the parameter grant_type is missing",
            )),
        }
    }

    /// There is no such grant. A client that is unknown as well is told so, because that is what makes it register anew;
    /// no document is fetched to find out.
    async fn no_grant(&self, presented: &Presented, what: &str, source: Source) -> EndpointError {
        let known = self.inner.clients.is_known(presented.client_id(), source.addr).await;
        if known {
            EndpointError::new(
                ErrorCode::InvalidGrant,
                "grant_unknown",
                format!("the {what} is unknown, expired, used before or revoked"),
            )
        } else {
            presented.refused("client_unknown", "the client is not known to this server")
        }
    }
}

/// The resources of a token request: what was granted, or a part of it (AS-34).
fn narrowed_resources(
    form: &Params,
    granted: &[String],
    audiences: &[ResourceIndicator],
) -> Result<Vec<String>, EndpointError> {
    let requested: Vec<&str> = form.all("resource").collect();
    if requested.is_empty() {
        return Ok(granted.to_vec());
    }
    let selected = select(&requested, audiences);
    selected.ok().filter(|selected| selected.iter().all(|resource| granted.contains(resource))).ok_or_else(
        || {
            EndpointError::new(
                ErrorCode::InvalidTarget,
                "resource_not_granted",
                "a token request may name only resources of the authorization request",
            )
        },
    )
}

/// The parameters in the body.
fn form(request: &Request<Bytes>) -> Result<Params, EndpointError> {
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(Params::parse(request.body())?);
    }
    let description = "the body must be application/x-www-form-urlencoded";
    Err(EndpointError::invalid_request("content_type", description))
}

/// The token that a request to revoke or to introspect is about. A hint at its type is not needed: no token can be taken
/// for one of the other type.
fn presented_token(form: &Params) -> Result<&str, EndpointError> {
    let missing = || EndpointError::invalid_request("token_missing", "the parameter token is missing");
    form.one("token")?.ok_or_else(missing)
}
