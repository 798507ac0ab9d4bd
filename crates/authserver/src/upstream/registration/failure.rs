//! Why we are no client of an upstream.

use std::sync::Arc;

use thv_client::client_authentication::NoCommonAuthMethod;
use thv_client::identification::IdentificationError;
use thv_client::metadata::MetadataError;
use thv_client::registration::RegistrationError;
use thv_store::StoreError;

/// Why we are no client of an upstream. Cloned for everybody who asks before the next attempt.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::upstream) enum Unregistered {
    /// Its metadata cannot be had.
    #[error("the upstream's metadata cannot be had")]
    Metadata(#[from] MetadataError),
    /// No way to become its client is open.
    #[error("there is no way to become a client of the upstream")]
    Identification(#[from] IdentificationError),
    /// It does not accept the way in which the configured client could authenticate.
    #[error("we cannot authenticate to the upstream")]
    AuthMethod(#[from] NoCommonAuthMethod),
    /// The registration did not succeed.
    #[error("registering at the upstream failed")]
    Registration(#[source] Arc<RegistrationError>),
    /// The store does not answer.
    #[error("the registration cannot be read or kept")]
    Store(#[source] Arc<StoreError>),
    /// Another replica is at it for longer than we wait, or changed the row time and again.
    #[error("another replica is changing the registration")]
    Busy,
    /// The upstream does not confirm that it knows the registration.
    #[error("the upstream does not confirm that it knows the registration")]
    Unconfirmed,
    /// The first attempt is under way.
    #[error("the registration at the upstream is under way")]
    NotYet,
    /// The work ended without an outcome.
    #[error("registering at the upstream was interrupted")]
    Interrupted,
}

impl Unregistered {
    /// Whether it may succeed later by itself.
    pub(in crate::upstream) fn is_temporary(&self) -> bool {
        match self {
            Self::Metadata(error) => error.is_temporary(),
            Self::Registration(error) => error.is_temporary(),
            Self::Identification(_) | Self::AuthMethod(_) | Self::Unconfirmed => false,
            Self::Store(_) | Self::Busy | Self::NotYet | Self::Interrupted => true,
        }
    }
}

impl From<RegistrationError> for Unregistered {
    fn from(error: RegistrationError) -> Self {
        Self::Registration(Arc::new(error))
    }
}

impl From<StoreError> for Unregistered {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
