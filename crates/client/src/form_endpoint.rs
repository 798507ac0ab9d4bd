//! Form requests of an authenticated client: the one place where client authentication is put into a request.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use thv_egress::{Client, EgressError, Limits, Response};
use thv_jose::client_assertion::CLIENT_ASSERTION_TYPE;
use thv_oauth::params;
use url::form_urlencoded::byte_serialize;

use crate::client_authentication::{AuthMethodChoice, ClientCredentials, CredentialsError};
use crate::error_response::{Judgement, judge};

/// The parameters that no text may repeat.
const SECRET_PARAMETERS: [&str; 7] =
    ["code", "code_verifier", "refresh_token", "client_secret", "client_assertion", "token", "subject_token"];

/// An answer, and the secrets that were sent for it.
pub(crate) struct Answer {
    pub(crate) response: Response,
    secrets: Vec<SecretString>,
}

impl Answer {
    /// Whether `text` has a secret that was sent.
    pub(crate) fn repeats_secret(&self, text: &str) -> bool {
        self.secrets
            .iter()
            .map(ExposeSecret::expose_secret)
            .any(|secret| !secret.is_empty() && text.contains(secret))
    }
}

/// Why there is no answer.
pub(crate) enum FormError {
    Unreachable(EgressError),
    Credentials(CredentialsError),
}

impl From<CredentialsError> for FormError {
    fn from(error: CredentialsError) -> Self {
        Self::Credentials(error)
    }
}

/// An endpoint and this client there. Redirects are not followed, so nothing that is sent reaches another host.
pub(crate) struct FormEndpoint {
    egress: Client,
    pub(crate) url: String,
    client: ClientCredentials,
    limits: Limits,
    /// That [`AuthMethodChoice::Unknown`] turned out to be the body.
    post_works: AtomicBool,
}

impl FormEndpoint {
    pub(crate) fn new(egress: Client, url: String, client: ClientCredentials, limits: Limits) -> Self {
        Self { egress, url, client, limits, post_works: AtomicBool::new(false) }
    }

    /// Sends `form` with the client's authentication.
    pub(crate) async fn send(&self, form: &[(&str, &str)]) -> Result<Answer, FormError> {
        match (self.client.method, &self.client.secret) {
            (AuthMethodChoice::PrivateKeyJwt, _) => self.send_assertion(form).await,
            (AuthMethodChoice::None, _) | (_, None) => self.send_in_body(None, form).await,
            (AuthMethodChoice::ClientSecretBasic, Some(secret)) => self.send_basic(secret, form).await,
            (AuthMethodChoice::ClientSecretPost, Some(secret)) => self.send_in_body(Some(secret), form).await,
            (AuthMethodChoice::Unknown, Some(secret)) => self.find_out(secret, form).await,
        }
    }

    /// Sends with Basic, then with the secret in the body, and remembers that the latter works. A server that refuses the
    /// client has not looked at the request (RFC 6749 §5.2), so it may be sent again.
    async fn find_out(&self, secret: &SecretString, form: &[(&str, &str)]) -> Result<Answer, FormError> {
        if self.post_works.load(Ordering::Relaxed) {
            return self.send_in_body(Some(secret), form).await;
        }
        let first = self.send_basic(secret, form).await?;
        if judge(&first) != Judgement::ClientRefused {
            return Ok(first);
        }
        let second = self.send_in_body(Some(secret), form).await?;
        match judge(&second) {
            Judgement::ClientRefused => return Ok(first),
            Judgement::Considered => self.post_works.store(true, Ordering::Relaxed),
            Judgement::None => {}
        }
        Ok(second)
    }

    async fn send_basic(&self, secret: &SecretString, form: &[(&str, &str)]) -> Result<Answer, FormError> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, basic(&self.client.client_id, secret)?)]);
        let mut answer = self.post(headers, form).await?;
        answer.secrets.push(secret.clone());
        Ok(answer)
    }

    /// Sends with the `client_id` in the body, and the secret if there is one to be sent there.
    async fn send_in_body(
        &self,
        secret: Option<&SecretString>,
        form: &[(&str, &str)],
    ) -> Result<Answer, FormError> {
        let mut form = form.to_vec();
        form.push(("client_id", &self.client.client_id));
        form.extend(secret.map(|secret| ("client_secret", secret.expose_secret())));
        self.post(HeaderMap::new(), &form).await
    }

    /// Sends with an assertion (RFC 7523 §2.2) and with the `client_id`, which is optional there but asked for by some.
    async fn send_assertion(&self, form: &[(&str, &str)]) -> Result<Answer, FormError> {
        let signer = self.client.assertion.as_ref().ok_or(CredentialsError::NoKey)?;
        let assertion = signer.sign(&self.client.client_id).map_err(CredentialsError::Sign)?;
        let mut form = form.to_vec();
        form.push(("client_id", &self.client.client_id));
        form.push(("client_assertion_type", CLIENT_ASSERTION_TYPE));
        form.push(("client_assertion", assertion.expose_secret()));
        self.post(HeaderMap::new(), &form).await
    }

    async fn post(&self, mut headers: HeaderMap, form: &[(&str, &str)]) -> Result<Answer, FormError> {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.egress.post_form(&self.url, headers, params::encode(form), self.limits).await;
        let secret = |(name, _): &&(&str, &str)| SECRET_PARAMETERS.contains(name);
        let secrets = form.iter().filter(secret).map(|(_, value)| SecretString::from(*value)).collect();
        Ok(Answer { response: response.map_err(FormError::Unreachable)?, secrets })
    }
}

/// HTTP Basic with both parts form-encoded first (RFC 6749 §2.3.1), so that a `:` or `%` in them survives.
fn basic(client_id: &str, secret: &SecretString) -> Result<HeaderValue, CredentialsError> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = SecretString::from(format!("{}:{}", encode(client_id), encode(secret.expose_secret())));
    let value = format!("Basic {}", STANDARD.encode(pair.expose_secret()));
    let mut value = HeaderValue::try_from(value).map_err(|_| CredentialsError::Header)?;
    value.set_sensitive(true);
    Ok(value)
}
