//! Token requests (RFC 6749 §4.1.3, §6) with client authentication (§2.3.1).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use thv_egress::{Client, EgressError, Limits};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::params;
use thv_oauth::server_metadata::AuthorizationServerMetadata;
use url::form_urlencoded::byte_serialize;

use crate::token_response::{self, TokenResponse, TokenResponseShape};

const LIMITS: Limits = Limits { total: Duration::from_secs(15), max_body: 256 * 1024 };

/// How the client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethodChoice {
    /// Not at all: `client_id` in the body.
    None,
    /// HTTP Basic.
    ClientSecretBasic,
    /// The secret in the body.
    ClientSecretPost,
    /// Nobody has said: Basic, which every server must support (RFC 6749 §2.3.1), and where that is refused, the body.
    Unknown,
}

/// The server accepts none of the methods that this client can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token endpoint accepts neither client_secret_basic nor client_secret_post")]
pub struct NoCommonAuthMethod;

impl AuthMethodChoice {
    /// The method for a client with a secret, by `token_endpoint_auth_methods_supported`: Basic before the body before none;
    /// Basic when the metadata is silent (RFC 8414 §2).
    ///
    /// # Errors
    /// When the server lists other methods only.
    pub fn from_metadata(metadata: &AuthorizationServerMetadata) -> Result<Self, NoCommonAuthMethod> {
        let supported = &metadata.token_endpoint_auth_methods_supported;
        let preferred = [
            (AuthMethod::ClientSecretBasic, Self::ClientSecretBasic),
            (AuthMethod::ClientSecretPost, Self::ClientSecretPost),
            (AuthMethod::None, Self::None),
        ];
        if supported.is_empty() {
            return Ok(Self::ClientSecretBasic);
        }
        let listed = |(method, _): &(AuthMethod, Self)| supported.iter().any(|name| name == method.as_str());
        preferred.into_iter().find(listed).map(|(_, choice)| choice).ok_or(NoCommonAuthMethod)
    }
}

/// Who the client is. One without a secret is public, whatever `method` says.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The identifier that the server gave it.
    pub client_id: String,
    /// The secret that the server gave it.
    pub secret: Option<SecretString>,
    /// How it shows the secret.
    pub method: AuthMethodChoice,
}

/// Why there are no tokens. None of the texts has anything that was sent.
#[derive(Debug, thiserror::Error)]
pub enum TokenRequestError {
    /// Nothing was received.
    #[error("the token endpoint could not be reached")]
    Unreachable(#[source] EgressError),
    /// It cannot answer now (429, 5xx, or an error code that says so).
    #[error("the token endpoint cannot answer at the moment ({reason})")]
    Unavailable {
        /// The status or error code.
        reason: String,
    },
    /// It refused (RFC 6749 §5.2).
    #[error("the token endpoint refused with {error}")]
    Refused {
        /// The error code; the status where there is none.
        error: String,
    },
    /// The answer is neither tokens nor an error.
    #[error("the token endpoint's answer is not acceptable: {what}")]
    Malformed {
        /// Which rule it breaks.
        what: String,
    },
}

/// A token endpoint and this client there. Redirects are not followed, so nothing that is sent reaches another host.
pub struct TokenEndpoint {
    egress: Client,
    url: String,
    client: ClientCredentials,
    shape: TokenResponseShape,
    /// That [`AuthMethodChoice::Unknown`] turned out to be the body.
    post_works: AtomicBool,
}

impl TokenEndpoint {
    /// The endpoint at `url`, which answers in `shape`.
    pub fn new(egress: Client, url: String, client: ClientCredentials, shape: TokenResponseShape) -> Self {
        Self { egress, url, client, shape, post_works: AtomicBool::new(false) }
    }

    /// Redeems an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5), with `extra` parameters.
    ///
    /// # Errors
    /// [`TokenRequestError`].
    pub async fn exchange_code(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &SecretString,
        extra: &[(&str, &str)],
    ) -> Result<TokenResponse, TokenRequestError> {
        let mut grant = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose_secret()),
        ];
        grant.extend_from_slice(extra);
        self.request(&grant).await
    }

    /// Renews tokens (RFC 6749 §6); without `scope` they keep the one that was granted.
    ///
    /// # Errors
    /// [`TokenRequestError`].
    pub async fn refresh(
        &self,
        refresh_token: &SecretString,
        scope: Option<&str>,
    ) -> Result<TokenResponse, TokenRequestError> {
        let mut grant =
            vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
        grant.extend(scope.map(|scope| ("scope", scope)));
        self.request(&grant).await
    }

    async fn request(&self, grant: &[(&str, &str)]) -> Result<TokenResponse, TokenRequestError> {
        let Some(secret) = &self.client.secret else { return self.send_in_body(None, grant).await };
        match self.client.method {
            AuthMethodChoice::None => self.send_in_body(None, grant).await,
            AuthMethodChoice::ClientSecretBasic => self.send_basic(secret, grant).await,
            AuthMethodChoice::ClientSecretPost => self.send_in_body(Some(secret), grant).await,
            AuthMethodChoice::Unknown => self.find_out(secret, grant).await,
        }
    }

    /// Sends with Basic, then with the secret in the body, and remembers that the latter works. A server that refuses the
    /// client has not looked at the grant (RFC 6749 §5.2), so the grant may be sent again.
    async fn find_out(
        &self,
        secret: &SecretString,
        grant: &[(&str, &str)],
    ) -> Result<TokenResponse, TokenRequestError> {
        if self.post_works.load(Ordering::Relaxed) {
            return self.send_in_body(Some(secret), grant).await;
        }
        let first = self.send_basic(secret, grant).await;
        if !is_client_refusal(&first) {
            return first;
        }
        let second = self.send_in_body(Some(secret), grant).await;
        if is_client_refusal(&second) {
            return first;
        }
        if matches!(second, Ok(_) | Err(TokenRequestError::Refused { .. })) {
            self.post_works.store(true, Ordering::Relaxed);
        }
        second
    }

    async fn send_basic(
        &self,
        secret: &SecretString,
        grant: &[(&str, &str)],
    ) -> Result<TokenResponse, TokenRequestError> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, basic(&self.client.client_id, secret)?)]);
        self.post(headers, grant).await
    }

    /// Sends with the `client_id` in the body, and the secret if there is one to be sent there.
    async fn send_in_body(
        &self,
        secret: Option<&SecretString>,
        grant: &[(&str, &str)],
    ) -> Result<TokenResponse, TokenRequestError> {
        let mut form = grant.to_vec();
        form.push(("client_id", &self.client.client_id));
        form.extend(secret.map(|secret| ("client_secret", secret.expose_secret())));
        self.post(HeaderMap::new(), &form).await
    }

    async fn post(
        &self,
        mut headers: HeaderMap,
        form: &[(&str, &str)],
    ) -> Result<TokenResponse, TokenRequestError> {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.egress.post_form(&self.url, headers, params::encode(form), LIMITS).await;
        let response = response.map_err(TokenRequestError::Unreachable)?;
        let outcome = token_response::read(&response, &self.shape, form);
        if let Err(error) = &outcome {
            tracing::warn!(
                token.endpoint = self.url,
                http.status = response.status.as_u16(),
                error = error as &dyn std::error::Error,
                error.description = token_response::description(&response, form),
                "a token request failed"
            );
        }
        outcome
    }
}

/// HTTP Basic with both parts form-encoded first (RFC 6749 §2.3.1), so that a `:` or `%` in them survives.
fn basic(client_id: &str, secret: &SecretString) -> Result<HeaderValue, TokenRequestError> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = SecretString::from(format!("{}:{}", encode(client_id), encode(secret.expose_secret())));
    let value = format!("Basic {}", STANDARD.encode(pair.expose_secret()));
    let mut value = HeaderValue::try_from(value).map_err(|_| TokenRequestError::Malformed {
        what: "the client's credentials cannot be sent".into(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_client_refusal(outcome: &Result<TokenResponse, TokenRequestError>) -> bool {
    matches!(outcome, Err(TokenRequestError::Refused { error }) if error == "invalid_client" || error == "status 401")
}
