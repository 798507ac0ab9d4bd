//! What is kept of a login between two runs: tokens, and who this client is at each authorization server.

mod grant;
mod keep;
mod registration;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use thv_client::client_authentication::{AuthMethodChoice, ClientCredentials};

pub use grant::Grant;
pub(crate) use grant::renew_at;
pub(crate) use keep::amend;
pub use keep::{Keep, KeepError, Turn};
pub use registration::StoredRegistration;

/// The version of the record.
const VERSION: u32 = 1;

/// One record for each workload: written as a whole, so that nothing is ever half there or left over. Secret as a whole, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credentials {
    version: u32,
    /// The login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// The user has logged out: no browser opens until they log in again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub logged_out: bool,
    /// Dynamic registrations by issuer (CL-28), apart from the identity by metadata document (T-6).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registrations: BTreeMap<String, StoredRegistration>,
    /// The metadata document's URL by which an issuer knows this client, also when nobody is logged in there. It outlives all
    /// dynamic registrations (T-6).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata_documents: BTreeMap<String, String>,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            version: VERSION,
            grant: None,
            logged_out: false,
            registrations: BTreeMap::new(),
            metadata_documents: BTreeMap::new(),
        }
    }
}

/// The kept record is none that this version can read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableCredentials {
    /// Not of the form. What the parser says would repeat parts of the record, so it is only told where.
    #[error("the stored login cannot be read (line {line}, column {column})")]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column.
        column: usize,
    },
    /// Written by a later version.
    #[error(
        "the stored login is of version {0}, which this program does not know: it was written by a later one"
    )]
    Version(u32),
}

impl From<serde_json::Error> for UnreadableCredentials {
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

/// What all versions have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Credentials {
    /// Writes the record.
    pub fn to_secret(&self) -> SecretString {
        // Strings, numbers and maps with string keys are always JSON.
        serde_json::to_string(self).unwrap_or_default().into()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`UnreadableCredentials`].
    pub fn from_secret(secret: &SecretString) -> Result<Self, UnreadableCredentials> {
        let json = secret.expose_secret();
        let Versioned { version } = serde_json::from_str(json)?;
        if version != VERSION {
            return Err(UnreadableCredentials::Version(version));
        }
        Ok(serde_json::from_str(json)?)
    }

    /// The issuers that know this client, those where it is registered first: that is lost elsewhere.
    pub(crate) fn known_at(&self) -> impl Iterator<Item = &str> {
        self.registrations.keys().chain(self.metadata_documents.keys()).map(String::as_str)
    }
}

/// By which way a server knows this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityKind {
    /// It was registered by hand.
    Preregistered,
    /// By its client ID metadata document.
    MetadataDocument,
    /// It registered dynamically (RFC 7591).
    Registered,
}

impl IdentityKind {
    /// For people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Preregistered => "registered by hand",
            Self::MetadataDocument => "client ID metadata document",
            Self::Registered => "dynamic registration",
        }
    }
}

/// A client without a secret.
pub(crate) fn public_client(client_id: &str) -> ClientCredentials {
    ClientCredentials {
        client_id: client_id.to_owned(),
        secret: None,
        assertion: None,
        method: AuthMethodChoice::None,
    }
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn exposed_option<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

#[cfg(test)]
mod tests;
