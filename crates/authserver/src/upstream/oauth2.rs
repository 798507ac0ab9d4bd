//! `oauth2` upstream: an authorization server without ID tokens (U2).

pub(super) mod identity;

use std::collections::BTreeMap;

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::Value;
use thv_client::member_path::MemberPath;
use thv_client::token_response::{TokenMembers, TokenResponse, TokenResponseShape};
use thv_client::userinfo;
use thv_egress::Client as Egress;
use thv_store::records::UpstreamTokens;

use self::identity::{Identity, acceptable_subject};
use super::provider::{Provider, ProviderSettings, UpstreamParts};
use super::{Outbound, UpstreamError, UpstreamLogin, UpstreamRequest, subject as namespaced};

/// A plain OAuth 2.0 upstream, as configured.
#[derive(Clone, Debug)]
pub struct OAuth2Settings {
    /// It as an authorization server, and us as its client.
    pub provider: ProviderSettings,
    /// Where it is asked who the user is.
    pub userinfo: Option<UserInfo>,
    /// Where the members of a non-standard token response are.
    pub token_paths: Option<TokenResponsePaths>,
    /// Where the token response says who the user is. Goes before `userinfo`.
    pub identity_from_token: Option<IdentityPaths>,
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
pub(super) struct OAuth2Upstream {
    userinfo: Option<UserInfo>,
    identity_from_token: Option<IdentityPaths>,
    provider: Provider,
}

impl OAuth2Upstream {
    pub(super) fn new(name: String, settings: OAuth2Settings, parts: UpstreamParts) -> Self {
        let OAuth2Settings { provider, userinfo, token_paths, identity_from_token } = settings;
        let shape = match &token_paths {
            Some(paths) => TokenResponseShape::Mapped(paths.parse()),
            None => TokenResponseShape::Lenient,
        };
        let provider = Provider::new(name, None, provider, shape, parts);
        Self { userinfo, identity_from_token, provider }
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.provider
    }

    pub(super) async fn authorization_url(
        &self,
        request: &UpstreamRequest<'_>,
    ) -> Result<Outbound, UpstreamError> {
        self.provider.authorization_url(request, None).await
    }

    pub(super) async fn redeem(
        &self,
        code: &str,
        verifier: &SecretString,
        client_id: Option<&str>,
    ) -> Result<UpstreamLogin, UpstreamError> {
        let issued = self.provider.exchange_code(code, verifier, client_id).await?;
        let Identity { subject, name, email } = self.identify(&issued.tokens).await?;
        let tokens = self.provider.stored_tokens(&subject, issued);
        Ok(UpstreamLogin {
            subject: namespaced(self.provider.name(), &subject, name, email),
            tokens: Some(tokens),
        })
    }

    async fn identify(&self, tokens: &TokenResponse) -> Result<Identity, UpstreamError> {
        if let Some(paths) = &self.identity_from_token {
            let text = |path: &String| tokens.document.text(&MemberPath::parse(path));
            let subject = text(&paths.subject)
                .ok_or_else(|| UpstreamError::unacceptable("the token response names no subject"))?;
            return Ok(Identity {
                subject: acceptable_subject(subject)?,
                name: paths.name.as_ref().and_then(text).and_then(identity::displayable),
                email: paths.email.as_ref().and_then(text).and_then(identity::displayable),
            });
        }
        match &self.userinfo {
            Some(userinfo) => {
                let user = userinfo.fetch(&self.provider.egress, &tokens.access_token).await?;
                Identity::read(&user, &userinfo.subject_fields, &userinfo.name_fields, &userinfo.email_fields)
            }
            None => Ok(Identity::synthetic(&tokens.access_token)),
        }
    }

    /// Where the token response says whose it is, it must still be the same user's.
    pub(super) async fn refresh(
        &self,
        refresh_token: &SecretString,
        subject: &str,
        client_id: Option<&str>,
    ) -> Result<UpstreamTokens, UpstreamError> {
        let issued = self.provider.refresh(refresh_token, client_id).await?;
        let paths = self.identity_from_token.as_ref();
        let now_of = paths.and_then(|paths| issued.tokens.document.text(&MemberPath::parse(&paths.subject)));
        if now_of.is_some_and(|now_of| now_of != subject) {
            return Err(self.provider.another_user());
        }
        Ok(self.provider.stored_tokens(subject, issued))
    }

    pub(super) async fn ready(&self) -> Result<(), String> {
        self.provider.ready().await.map(drop).map_err(|error| thv_telemetry::chain(&error))
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
