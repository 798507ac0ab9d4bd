//! Who this client is at an authorization server: stored ▶ registered by hand ▶ metadata document ▶ dynamic registration
//! (R2, CL-20). A client that the configuration names is the only one that is meant, whatever is stored.

use secrecy::SecretString;
use thv_client::client_authentication::{AuthMethodChoice, ClientCredentials};
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use crate::credentials::{Credentials, IdentityKind, StoredRegistration, public_client};
use crate::error::LoginError;
use crate::settings::{AuthSettings, CALLBACK_PORT};

/// A way of being known at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// As the configuration says.
    Preregistered,
    /// As it was registered dynamically before.
    Stored,
    /// By its metadata document.
    MetadataDocument,
    /// Yet to be registered.
    Register,
}

/// The client on one rung.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) kind: IdentityKind,
    pub(crate) client: ClientCredentials,
    /// What the redirect URI has to be, if that is fixed.
    pub(crate) redirect_uri: Option<String>,
}

/// Which rungs there are, and which have broken.
pub(crate) struct Ladder<'a> {
    settings: &'a AuthSettings,
    server: &'a AuthorizationServerMetadata,
    /// Those that the server refused in this login, with its reason: none is tried twice, so there is no loop.
    broken: Vec<(Rung, String)>,
}

impl Rung {
    /// All of them, the best first.
    pub(crate) const ORDER: [Self; 4] =
        [Self::Preregistered, Self::Stored, Self::MetadataDocument, Self::Register];

    /// The way, for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Preregistered => "client registered by hand",
            Self::Stored => "earlier dynamic registration",
            Self::MetadataDocument => "client ID metadata document",
            Self::Register => "dynamic registration",
        }
    }

    /// Who the client is there, for people.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Preregistered => "the configured client",
            Self::Stored => "the stored registration",
            Self::MetadataDocument => "the client ID metadata document",
            Self::Register => "the new registration",
        }
    }
}

impl<'a> Ladder<'a> {
    pub(crate) fn new(settings: &'a AuthSettings, server: &'a AuthorizationServerMetadata) -> Self {
        Self { settings, server, broken: Vec::new() }
    }

    /// The server does not accept this client on `rung`.
    pub(crate) fn refused(&mut self, rung: Rung, reason: String) {
        self.broken.push((rung, reason));
    }

    /// The first rung that holds.
    ///
    /// # Errors
    /// [`LoginError::NoIdentity`].
    pub(crate) fn next(&self, credentials: &Credentials) -> Result<Rung, LoginError> {
        let holds = |rung: &Rung| {
            self.offer(*rung, credentials).is_ok() && !self.broken.iter().any(|(broken, _)| broken == rung)
        };
        Rung::ORDER.into_iter().find(holds).ok_or_else(|| LoginError::NoIdentity {
            issuer: self.server.issuer.clone(),
            reasons: self.reasons(credentials),
        })
    }

    /// Whether this way is open here; if not, why not.
    pub(crate) fn offer(&self, rung: Rung, credentials: &Credentials) -> Result<(), &'static str> {
        let issuer = &self.server.issuer;
        // One that has accepted the document is believed even when its metadata can be read in part only.
        let takes_documents = self.server.client_id_metadata_document_supported
            || credentials.metadata_documents.contains_key(issuer);
        match (rung, &self.settings.client_id) {
            (Rung::Preregistered, Some(_)) => Ok(()),
            (Rung::Preregistered, None) => Err("no client_id is configured"),
            (_, Some(_)) => Err("a client_id is configured"),
            (Rung::Stored, None) if credentials.registrations.contains_key(issuer) => Ok(()),
            (Rung::Stored, None) => Err("this client has not been registered there"),
            (Rung::MetadataDocument, None) if !takes_documents => {
                Err("the server does not accept client ID metadata documents")
            }
            (Rung::MetadataDocument, None) if self.settings.no_cimd => {
                Err("--remote-auth-no-cimd forbids the metadata document")
            }
            (Rung::MetadataDocument, None) => Ok(()),
            (Rung::Register, None) if self.server.registration_endpoint.is_none() => {
                Err("the server has no registration endpoint")
            }
            (Rung::Register, None) if self.settings.no_dcr => {
                Err("--remote-auth-no-dcr forbids registration")
            }
            (Rung::Register, None) => Ok(()),
        }
    }

    /// Why no rung is left, in words.
    fn reasons(&self, credentials: &Credentials) -> String {
        let broken =
            self.broken.iter().map(|(rung, reason)| format!("{} was refused ({reason})", rung.describe()));
        let for_strangers = [Rung::MetadataDocument, Rung::Register].into_iter();
        let for_strangers = for_strangers.filter(|_| self.settings.client_id.is_none());
        let closed = for_strangers.filter_map(|rung| self.offer(rung, credentials).err().map(str::to_owned));
        broken.chain(closed).collect::<Vec<_>>().join("; ")
    }

    /// The registration at this server.
    pub(crate) fn stored<'c>(&self, credentials: &'c Credentials) -> Option<&'c StoredRegistration> {
        credentials.registrations.get(&self.server.issuer)
    }

    /// The port of the redirect URI that `rung` wants.
    pub(crate) fn port(&self, rung: Rung, credentials: &Credentials) -> u16 {
        let stored = self.stored(credentials).filter(|_| rung == Rung::Stored);
        let stored = stored.and_then(|registration| port_of(&registration.redirect_uri));
        stored.or(self.settings.callback_port).unwrap_or(CALLBACK_PORT)
    }

    /// Whether the server has been told of exactly the redirect URI with `port`; otherwise it has to take any port of this
    /// machine (RFC 8252 §7.3).
    pub(crate) fn knows_port(&self, rung: Rung, credentials: &Credentials, port: u16) -> bool {
        match rung {
            Rung::Register => true,
            Rung::MetadataDocument if self.settings.client_metadata_url.is_none() => port == CALLBACK_PORT,
            // Who names another document, or a client, names the port that belongs to it.
            Rung::MetadataDocument | Rung::Preregistered | Rung::Stored => {
                port == self.port(rung, credentials)
            }
        }
    }

    /// The client that the configuration names.
    pub(crate) fn preregistered(&self, secret: Option<&SecretString>) -> Identity {
        let method = match (secret, AuthMethodChoice::from_metadata(self.server)) {
            (None, _) => AuthMethodChoice::None,
            (Some(_), Ok(listed)) if listed != AuthMethodChoice::None && self.lists_methods() => listed,
            // A secret is given to be shown.
            (Some(_), _) => AuthMethodChoice::Unknown,
        };
        let client_id = self.settings.client_id.clone().unwrap_or_default();
        let client = ClientCredentials { client_id, secret: secret.cloned(), assertion: None, method };
        Identity { kind: IdentityKind::Preregistered, client, redirect_uri: None }
    }

    fn lists_methods(&self) -> bool {
        !self.server.token_endpoint_auth_methods_supported.is_empty()
    }

    /// The subject of the metadata document. It declares `none`: whatever the server lists first is for others (CL-24).
    pub(crate) fn by_document(&self) -> Identity {
        let client = public_client(self.settings.client_metadata_url());
        Identity { kind: IdentityKind::MetadataDocument, client, redirect_uri: None }
    }
}

impl Identity {
    /// A client that was registered dynamically.
    pub(crate) fn registered(stored: &StoredRegistration) -> Self {
        Self {
            kind: IdentityKind::Registered,
            client: stored.registration().credentials(None),
            redirect_uri: Some(stored.redirect_uri.clone()),
        }
    }
}

fn port_of(redirect_uri: &str) -> Option<u16> {
    redirect_uri.parse::<http::Uri>().ok()?.port_u16()
}
