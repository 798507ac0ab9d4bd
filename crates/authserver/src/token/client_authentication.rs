//! Client authentication at the token endpoint and those beside it (RFC 6749 §2.3, RFC 7523 §2.2): exactly one method
//! (AS-122).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use thv_jose::digest::sha256;
use thv_jose::verify::peek_unverified;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::error::ErrorCode;
use thv_oauth::params::{self, Params};
use thv_store::records::GrantClient;

use crate::cimd::ResolveError;
use crate::clients::ClientRefusal;
use crate::limits::source_key;
use crate::respond::EndpointError;
use crate::server::{AuthServer, Source};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Proof that a client authenticated as it has to. Only [`AuthServer::authenticate_client`] makes one.
pub(super) struct ClientAuthenticated(());

/// The credentials in a request, not yet believed.
#[derive(Debug)]
pub(super) struct Presented {
    client_id: String,
    credential: Credential,
}

#[derive(Debug)]
enum Credential {
    None,
    Basic(SecretString),
    Post(SecretString),
    Assertion(SecretString),
}

impl Presented {
    /// Reads them; two at once are refused.
    pub(super) fn from_request(headers: &HeaderMap, form: &Params) -> Result<Self, EndpointError> {
        let basic = basic(headers)?;
        let (post, assertion) = (form.one("client_secret")?, form.one("client_assertion")?);
        if usize::from(basic.is_some()) + usize::from(post.is_some()) + usize::from(assertion.is_some()) > 1 {
            return Err(EndpointError::invalid_request(
                "client_authentication_repeated",
                "use exactly one client authentication method",
            ));
        }
        let named = form.one("client_id")?;
        let (implied, credential) = match (basic, post, assertion) {
            (Some((client_id, secret)), _, _) => (Some(client_id), Credential::Basic(secret)),
            (_, Some(secret), _) => (None, Credential::Post(SecretString::from(secret))),
            (_, _, Some(assertion)) => {
                if form.one("client_assertion_type")? != Some(ASSERTION_TYPE) {
                    let description = "client_assertion_type must be the jwt-bearer URN of RFC 7523";
                    return Err(EndpointError::invalid_request("client_assertion_type", description));
                }
                (assertion_subject(assertion), Credential::Assertion(SecretString::from(assertion)))
            }
            (None, None, None) => (None, Credential::None),
        };
        let client_id = match (implied, named) {
            (Some(implied), Some(named)) if implied != named => {
                let description = "the credentials are those of another client than client_id";
                return Err(EndpointError::new(ErrorCode::InvalidClient, "client_id_mismatch", description));
            }
            (Some(client_id), _) => client_id,
            (None, Some(named)) => named.to_owned(),
            (None, None) => {
                let description = "the parameter client_id is missing";
                return Err(EndpointError::new(ErrorCode::InvalidClient, "client_id_missing", description));
            }
        };
        Ok(Self { client_id, credential })
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether there is anything to check: a client that must authenticate cannot do without (RFC 6749 §2.3.1: an empty
    /// secret is no secret).
    pub(super) fn has_credential(&self) -> bool {
        match &self.credential {
            Credential::None => false,
            Credential::Basic(secret) | Credential::Post(secret) => !secret.expose_secret().is_empty(),
            Credential::Assertion(_) => true,
        }
    }

    /// Why a client that nobody can resolve is refused: for good, or because of a passing fault.
    fn unresolved(&self, refusal: &ClientRefusal) -> EndpointError {
        match refusal {
            ClientRefusal::Store(_)
            | ClientRefusal::Document(
                ResolveError::Fetch(_) | ResolveError::Busy(_) | ResolveError::Interrupted,
            ) => EndpointError::new(ErrorCode::TemporarilyUnavailable, refusal.reason(), refusal.to_string()),
            _ => self.refused(refusal.reason(), &refusal.to_string()),
        }
    }

    /// `invalid_client`, naming the scheme when the header was used (RFC 6749 §5.2).
    pub(super) fn refused(&self, reason: &'static str, description: &str) -> EndpointError {
        let basic = matches!(self.credential, Credential::Basic(_));
        EndpointError { basic, ..EndpointError::new(ErrorCode::InvalidClient, reason, description) }
    }
}

impl AuthServer {
    /// Checks `presented` against the client as it is known now, for requests that no grant speaks for.
    pub(super) async fn authenticate_known_client(
        &self,
        presented: &Presented,
        source: Source,
    ) -> Result<ClientAuthenticated, EndpointError> {
        // Anybody can register a key and sign with it, and the store remembers each assertion.
        let assertion = matches!(presented.credential, Credential::Assertion(_));
        if assertion && !self.inner.limits.assertions.take(source_key(source.addr)) {
            let description = "too many client assertions from this address";
            return Err(EndpointError::too_many("assertion_rate", description));
        }
        let client = self.inner.clients.resolve(presented.client_id(), source.addr).await;
        let client = client.map_err(|refusal| presented.unresolved(&refusal))?;
        self.authenticate_client(presented, &client.for_grant()).await
    }

    /// Checks `presented` against the client that the grant was made for.
    pub(super) async fn authenticate_client(
        &self,
        presented: &Presented,
        client: &GrantClient,
    ) -> Result<ClientAuthenticated, EndpointError> {
        if presented.client_id != client.client_id {
            return Err(EndpointError::new(
                ErrorCode::InvalidGrant,
                "grant_of_another_client",
                "it was issued to another client",
            ));
        }
        // With a shared secret there is nothing left to compare with.
        if !client.auth_method.is_shared_secret() && self.inner.clients.is_gone(&client.client_id).await? {
            return Err(presented.refused("client_unknown", "the client's registration was deleted"));
        }
        match (client.auth_method, &presented.credential) {
            (AuthMethod::None, Credential::None) => Ok(ClientAuthenticated(())),
            // The client declared a choice and cannot know which of its methods we prefer (AS-66).
            (AuthMethod::PrivateKeyJwt, Credential::None) if client.may_be_public => {
                Ok(ClientAuthenticated(()))
            }
            // RFC 6749 §2.3.1: an empty secret is no secret; some clients always send the header.
            (AuthMethod::None, Credential::Basic(secret)) if secret.expose_secret().is_empty() => {
                Ok(ClientAuthenticated(()))
            }
            (
                AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost,
                Credential::Basic(secret) | Credential::Post(secret),
            ) => match self.inner.clients.secret_digest(&client.client_id).await? {
                // Digests of high-entropy secrets: comparing them reveals nothing about the secret.
                Some(digest) if digest == sha256(secret.expose_secret().as_bytes()) => {
                    Ok(ClientAuthenticated(()))
                }
                Some(_) | None => Err(presented.refused("client_secret_wrong", "the client secret is wrong")),
            },
            (AuthMethod::PrivateKeyJwt, Credential::Assertion(assertion)) => {
                match self.verify_assertion(assertion, client).await {
                    Ok(()) => Ok(ClientAuthenticated(())),
                    // Told `invalid_client`, a client would give up its registration for a passing fault.
                    Err(error) if error.is_temporary() => Err(EndpointError::new(
                        ErrorCode::TemporarilyUnavailable,
                        error.reason(),
                        error.to_string(),
                    )),
                    Err(error) => Err(presented.refused(error.reason(), &error.to_string())),
                }
            }
            (expected, _) => {
                let description = format!("this client authenticates with {}", expected.as_str());
                Err(presented.refused("client_authentication_method", &description))
            }
        }
    }
}

/// The `Authorization: Basic` credentials, both parts form-decoded (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, SecretString)>, EndpointError> {
    let malformed = || EndpointError {
        basic: true,
        ..EndpointError::new(
            ErrorCode::InvalidClient,
            "basic_malformed",
            "the Authorization header is malformed",
        )
    };
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(malformed());
    }
    let (scheme, encoded) = line.to_str().ok().and_then(|line| line.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = SecretString::from(decoded.ok_or_else(malformed)?);
    let (client_id, secret) = decoded.expose_secret().split_once(':').ok_or_else(malformed)?;
    let client_id = params::decode(client_id.as_bytes()).map_err(|_| malformed())?;
    let secret = params::decode(secret.as_bytes()).map_err(|_| malformed())?;
    Ok(Some((client_id, SecretString::from(secret))))
}

/// Whom an assertion claims to be; `client_id` may then be left out (RFC 7521 §4.2).
fn assertion_subject(assertion: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Claims {
        sub: String,
    }
    peek_unverified::<Claims>(assertion).map(|claims| claims.sub)
}
