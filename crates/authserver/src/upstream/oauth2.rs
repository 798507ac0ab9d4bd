//! `oauth2` upstream: an authorization server without ID tokens (U2).

pub(super) mod identity;

use std::collections::BTreeMap;

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::Value;
use thv_client::member_path::MemberPath;
use thv_client::token_request::{AuthMethodChoice, ClientCredentials, TokenEndpoint, TokenRequestError};
use thv_client::token_response::{TokenMembers, TokenResponse, TokenResponseShape};
use thv_client::userinfo::{self, UserInfoError};
use thv_clock::SharedClock;
use thv_egress::Client as Egress;
use thv_oauth::params;
use thv_oauth::pkce::METHOD_S256;
use thv_store::records::UpstreamTokens;

use self::identity::{Identity, acceptable_subject};
use super::{UpstreamError, UpstreamLogin, UpstreamRequest, subject as namespaced};

/// A plain OAuth 2.0 upstream, as configured.
#[derive(Clone, Debug)]
pub struct OAuth2Settings {
    /// Where the browser is sent.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens are redeemed.
    pub token_endpoint: String,
    /// Who we are there.
    pub client_id: String,
    /// Our secret there; a public client without.
    pub client_secret: Option<SecretString>,
    /// Our callback, as registered there.
    pub redirect_uri: String,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// Where it is asked who the user is.
    pub userinfo: Option<UserInfo>,
    /// Where the members of a non-standard token response are.
    pub token_paths: Option<TokenResponsePaths>,
    /// Where the token response says who the user is. Goes before `userinfo`.
    pub identity_from_token: Option<IdentityPaths>,
    /// Further parameters of the authorization request.
    pub additional_params: BTreeMap<String, String>,
}

/// A request that answers who the owner of an access token is. Fields are dot paths; the first with a text counts.
#[derive(Clone, Debug)]
pub struct UserInfo {
    /// Where it goes.
    pub endpoint: String,
    /// GET or POST.
    pub method: Method,
    /// Further header fields.
    pub additional_headers: BTreeMap<String, String>,
    /// Fields that identify the user.
    pub subject_fields: Vec<String>,
    /// Fields with a display name.
    pub name_fields: Vec<String>,
    /// Fields with an e-mail address.
    pub email_fields: Vec<String>,
}

/// Dot paths to the user inside a token response; `@upstreamjwt` reads the JWT that the path has reached.
#[derive(Clone, Debug)]
pub struct IdentityPaths {
    /// What identifies the user.
    pub subject: String,
    /// The display name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
}

/// Dot paths to the members of a non-standard token response.
#[derive(Clone, Debug)]
pub struct TokenResponsePaths {
    /// The access token.
    pub access_token: String,
    /// The granted scope.
    pub scope: Option<String>,
    /// The refresh token.
    pub refresh_token: Option<String>,
    /// The lifetime in seconds.
    pub expires_in: Option<String>,
}

impl TokenResponsePaths {
    fn parse(&self) -> TokenMembers {
        let optional = |path: &Option<String>| path.as_deref().map(MemberPath::parse);
        TokenMembers {
            access_token: MemberPath::parse(&self.access_token),
            scope: optional(&self.scope),
            refresh_token: optional(&self.refresh_token),
            expires_in: optional(&self.expires_in),
        }
    }
}

/// A plain OAuth 2.0 upstream.
pub struct OAuth2Upstream {
    settings: OAuth2Settings,
    egress: Egress,
    clock: SharedClock,
    token_endpoint: TokenEndpoint,
}

impl OAuth2Upstream {
    /// An upstream that is reached through `egress`.
    pub fn new(settings: OAuth2Settings, egress: Egress, clock: SharedClock) -> Self {
        let client = ClientCredentials {
            client_id: settings.client_id.clone(),
            secret: settings.client_secret.clone(),
            method: AuthMethodChoice::Unknown,
        };
        let shape = match &settings.token_paths {
            Some(paths) => TokenResponseShape::Mapped(paths.parse()),
            None => TokenResponseShape::Lenient,
        };
        let token_endpoint =
            TokenEndpoint::new(egress.clone(), settings.token_endpoint.clone(), client, shape);
        Self { settings, egress, clock, token_endpoint }
    }

    pub(super) fn authorization_url(&self, request: &UpstreamRequest<'_>) -> Result<String, UpstreamError> {
        let settings = &self.settings;
        AuthorizationRequest {
            endpoint: &settings.authorization_endpoint,
            client_id: &settings.client_id,
            redirect_uri: &settings.redirect_uri,
            scopes: &settings.scopes,
            additional_params: &settings.additional_params,
            nonce: None,
        }
        .url(request)
    }

    pub(super) async fn redeem(
        &self,
        upstream: &str,
        code: &str,
        verifier: &SecretString,
    ) -> Result<UpstreamLogin, UpstreamError> {
        let tokens =
            self.token_endpoint.exchange_code(code, &self.settings.redirect_uri, verifier, &[]).await?;
        let Identity { subject, name, email } = self.identify(&tokens).await?;
        let tokens = stored_tokens(upstream, &subject, tokens, &self.clock);
        Ok(UpstreamLogin { subject: namespaced(upstream, &subject, name, email), tokens: Some(tokens) })
    }

    async fn identify(&self, tokens: &TokenResponse) -> Result<Identity, UpstreamError> {
        if let Some(paths) = &self.settings.identity_from_token {
            let text = |path: &String| tokens.document.text(&MemberPath::parse(path));
            let subject = text(&paths.subject)
                .ok_or_else(|| UpstreamError::unacceptable("the token response names no subject"))?;
            return Ok(Identity {
                subject: acceptable_subject(subject)?,
                name: paths.name.as_ref().and_then(text).and_then(identity::displayable),
                email: paths.email.as_ref().and_then(text).and_then(identity::displayable),
            });
        }
        match &self.settings.userinfo {
            Some(userinfo) => {
                let user = userinfo.fetch(&self.egress, &tokens.access_token).await?;
                Identity::read(&user, &userinfo.subject_fields, &userinfo.name_fields, &userinfo.email_fields)
            }
            None => Ok(Identity::synthetic(&tokens.access_token)),
        }
    }

    /// Where the token response says whose it is, it must still be the same user's.
    pub(super) async fn refresh(
        &self,
        upstream: &str,
        refresh_token: &SecretString,
        subject: &str,
    ) -> Result<UpstreamTokens, UpstreamError> {
        let tokens = self.token_endpoint.refresh(refresh_token, None).await?;
        let paths = self.settings.identity_from_token.as_ref();
        let now_of = paths.and_then(|paths| tokens.document.text(&MemberPath::parse(&paths.subject)));
        if now_of.is_some_and(|now_of| now_of != subject) {
            return Err(UpstreamError::Refused { error: "the renewed tokens are another user's".to_owned() });
        }
        Ok(stored_tokens(upstream, subject, tokens, &self.clock))
    }
}

impl UserInfo {
    pub(super) async fn fetch(
        &self,
        egress: &Egress,
        access_token: &SecretString,
    ) -> Result<Value, UpstreamError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.additional_headers {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
                return Err(UpstreamError::unacceptable(format!("userInfo header {name:?} cannot be sent")));
            };
            headers.insert(name, value);
        }
        let claims =
            userinfo::fetch(egress, self.method.clone(), &self.endpoint, headers, access_token).await?;
        Ok(Value::Object(claims))
    }
}

/// An authorization request with PKCE (RFC 6749 §4.1.1, RFC 7636 §4.3).
pub(super) struct AuthorizationRequest<'a> {
    pub(super) endpoint: &'a str,
    pub(super) client_id: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) scopes: &'a [String],
    pub(super) additional_params: &'a BTreeMap<String, String>,
    pub(super) nonce: Option<&'a str>,
}

impl AuthorizationRequest<'_> {
    /// Its URL. The endpoint may come from metadata, and the browser goes there: no scheme but HTTP's will do.
    pub(super) fn url(&self, request: &UpstreamRequest<'_>) -> Result<String, UpstreamError> {
        if !self.endpoint.starts_with("https://") && !self.endpoint.starts_with("http://") {
            return Err(UpstreamError::unacceptable("the authorization endpoint is not an http(s) URL"));
        }
        let scope = self.scopes.join(" ");
        let prompt = prompt(request, self.additional_params.get("prompt").map(String::as_str));
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("state", request.state),
            ("code_challenge", request.code_challenge.as_str()),
            ("code_challenge_method", METHOD_S256),
        ];
        pairs.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
        pairs.extend(self.nonce.map(|nonce| ("nonce", nonce)));
        pairs.extend(prompt.as_deref().map(|prompt| ("prompt", prompt)));
        let additional = self.additional_params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.extend(additional.filter(|(name, _)| *name != "prompt"));
        Ok(params::append_query(self.endpoint, &pairs))
    }
}

/// What our own client asked for goes before what is configured; a configured `consent` is kept beside a `login`.
fn prompt(request: &UpstreamRequest<'_>, configured: Option<&str>) -> Option<String> {
    if request.prompt_none {
        return Some("none".to_owned());
    }
    if !request.prompt_login {
        return configured.map(str::to_owned);
    }
    let others =
        configured.unwrap_or_default().split(' ').filter(|value| !matches!(*value, "" | "login" | "none"));
    Some(std::iter::once("login").chain(others).collect::<Vec<_>>().join(" "))
}

/// The tokens as the vault keeps them.
pub(super) fn stored_tokens(
    upstream: &str,
    subject: &str,
    tokens: TokenResponse,
    clock: &SharedClock,
) -> UpstreamTokens {
    UpstreamTokens {
        provider: upstream.to_owned(),
        subject: subject.to_owned(),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_at: tokens.expires_in.map(|lifetime| clock.now() + lifetime),
        scopes: tokens.scope,
    }
}

impl From<TokenRequestError> for UpstreamError {
    fn from(error: TokenRequestError) -> Self {
        match error {
            TokenRequestError::Refused { error } => Self::Refused { error },
            TokenRequestError::Unreachable(_) | TokenRequestError::Unavailable { .. } => {
                Self::Unavailable(error.into())
            }
            TokenRequestError::Malformed { .. } => {
                Self::Unacceptable { what: "no tokens".to_owned(), source: Some(error.into()) }
            }
        }
    }
}

impl From<UserInfoError> for UpstreamError {
    fn from(error: UserInfoError) -> Self {
        if error.is_temporary() {
            Self::Unavailable(error.into())
        } else {
            Self::Unacceptable { what: "no user info".to_owned(), source: Some(error.into()) }
        }
    }
}
