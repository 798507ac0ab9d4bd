//! The authorization code flow with PKCE, through the pages.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::browser::Browser;
use super::form::{self, Form};
use crate::client::Answer;
use crate::error::{BenchError, During as _};

/// Where codes are sent to; nobody listens there, the code is read from the redirect.
const REDIRECT_URI: &str = "http://127.0.0.1:9/callback";

const SCOPE: &str = "openid offline_access";

/// More pages than any login has.
const PAGES: usize = 8;

/// What discovery tells (RFC 8414 §2) and the identifier of the protected resource (RFC 9728 §2).
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) authorization: String,
    pub(crate) token: String,
    pub(crate) registration: String,
    pub(crate) resource: String,
}

/// Tokens of one login.
pub(crate) struct Grant {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// Length of the token response in bytes.
    pub(crate) response_bytes: usize,
}

/// A registered public client with a browser at hand.
pub(crate) struct PublicClient {
    /// As the authorization server issued it.
    pub(crate) client_id: String,
    browser: Browser,
    endpoints: Endpoints,
    logins: u64,
}

#[derive(Deserialize)]
struct ServerMetadata {
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: String,
}

#[derive(Deserialize)]
struct ResourceMetadata {
    resource: String,
}

#[derive(Deserialize)]
struct Registration {
    client_id: String,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    refresh_token: Option<String>,
}

impl Endpoints {
    /// Reads both metadata documents.
    ///
    /// # Errors
    /// When one is not served.
    pub(crate) async fn discover(server: SocketAddr) -> Result<Self, BenchError> {
        let mut browser = Browser::open(server, None).await?;
        let answer = browser.get("/.well-known/oauth-authorization-server").await?;
        let metadata: ServerMetadata = parse("discovery of the authorization server", &answer)?;
        let answer = browser.get("/.well-known/oauth-protected-resource/mcp").await?;
        let resource: ResourceMetadata = parse("discovery of the protected resource", &answer)?;
        Ok(Self {
            authorization: metadata.authorization_endpoint,
            token: metadata.token_endpoint,
            registration: metadata.registration_endpoint,
            resource: resource.resource,
        })
    }
}

impl PublicClient {
    /// Registers a client (RFC 7591 §3) from the source address that `number` selects.
    ///
    /// # Errors
    /// When the registration is refused.
    pub(crate) async fn register(
        server: SocketAddr,
        endpoints: &Endpoints,
        number: u32,
    ) -> Result<Self, BenchError> {
        let mut browser = Browser::open(server, Some(source(number))).await?;
        let metadata = serde_json::json!({
            "client_name": format!("bench {number}"),
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        });
        let answer = browser.post_json(&endpoints.registration, metadata.to_string()).await?;
        let registration: Registration = parse("the registration", &answer)?;
        Ok(Self { client_id: registration.client_id, browser, endpoints: endpoints.clone(), logins: 0 })
    }

    /// One complete login of a user whose browser has no cookies yet.
    ///
    /// # Errors
    /// When a page, the code or the token is refused.
    pub(crate) async fn log_in(&mut self) -> Result<Grant, BenchError> {
        self.logins += 1;
        self.browser.forget();
        // The harness needs verifiers that differ and are well formed (RFC 7636 §4.1), not ones that nobody can guess.
        let verifier = format!("{:064}", self.logins);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let state = format!("state-{}", self.logins);
        let query = form::encode(&[
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", REDIRECT_URI),
            ("scope", SCOPE),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &self.endpoints.resource),
        ]);
        let code = self.walk(format!("{}?{query}", self.endpoints.authorization)).await?;
        self.redeem(&code, &verifier).await
    }

    /// Follows redirects and submits forms until the redirect with the code appears.
    async fn walk(&mut self, start: String) -> Result<String, BenchError> {
        let mut page = start;
        let mut answer = self.browser.get(&page).await?;
        for _ in 0..PAGES {
            if answer.status.is_redirection() {
                let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
                let location = location.unwrap_or_default().to_owned();
                if let Some(query) =
                    location.strip_prefix(REDIRECT_URI).and_then(|rest| rest.strip_prefix('?'))
                {
                    return form::parameter(query, "code")
                        .ok_or_else(|| BenchError::Missing(format!("the login ended in {query}")));
                }
                answer = self.browser.get(&location).await?;
                page = location;
                continue;
            }
            let form = (answer.status == StatusCode::OK).then(|| String::from_utf8_lossy(&answer.body));
            let Some(form) = form.and_then(|html| Form::find(&html)) else {
                return Err(BenchError::unexpected(
                    format!("the login page {page}"),
                    answer.status,
                    &answer.body,
                ));
            };
            let fields: Vec<_> =
                form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            if !form.action.is_empty() {
                page = form.action;
            }
            answer = self.browser.submit(&page, &fields).await?;
        }
        Err(BenchError::Missing(format!("the login has no end: the last page was {page}")))
    }

    /// Exchanges the code (RFC 6749 §4.1.3).
    async fn redeem(&mut self, code: &str, verifier: &str) -> Result<Grant, BenchError> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client_id.as_str()),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", verifier),
            ("resource", self.endpoints.resource.as_str()),
        ];
        let answer = self.browser.submit(&self.endpoints.token, &fields).await?;
        let response: TokenResponse = parse("the token request", &answer)?;
        let refresh_token = response
            .refresh_token
            .ok_or_else(|| BenchError::Missing("the token response has no refresh token".into()))?;
        Ok(Grant { access_token: response.access_token, refresh_token, response_bytes: answer.body.len() })
    }
}

/// A loopback address per client, so that limits per source address see as many sources as there are clients.
fn source(number: u32) -> IpAddr {
    let [_, high, middle, low] = number.to_be_bytes();
    IpAddr::from([127, 64 | (high & 63), middle, low])
}

fn parse<T: DeserializeOwned>(step: &str, answer: &Answer) -> Result<T, BenchError> {
    if !answer.status.is_success() {
        return Err(BenchError::unexpected(step, answer.status, &answer.body));
    }
    serde_json::from_slice(&answer.body).during(format!("reading the answer to {step}"))
}
