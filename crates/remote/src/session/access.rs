//! What a request is sent with.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use thv_clock::Timestamp;

use crate::credentials::renew_at;

/// A token, ready to be sent.
pub struct Access {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) origin: Origin,
    /// Whether a server has accepted it.
    proven: AtomicBool,
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From what was kept.
    Kept,
    /// From a refresh token.
    Renewed,
    /// From the user's login.
    LoggedIn,
    /// From the configuration.
    Configured,
}

/// The token has characters that no header field can carry.
#[derive(Debug)]
pub(super) struct UnusableToken;

impl Access {
    pub(super) fn bearer(
        name: HeaderName,
        token: &SecretString,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
        origin: Origin,
    ) -> Result<Self, UnusableToken> {
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| UnusableToken)?;
        value.set_sensitive(true);
        Ok(Self { name, value, issued_at, expires_at, origin, proven: AtomicBool::new(false) })
    }

    /// The header field.
    pub fn header(&self) -> (&HeaderName, &HeaderValue) {
        (&self.name, &self.value)
    }

    /// The server has accepted it: if it does not any more, that is news.
    pub(super) fn prove(&self) {
        // Read first: the field is written once, and read at every request.
        if !self.proven.load(Ordering::Relaxed) {
            self.proven.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }

    /// When it should be renewed.
    pub(super) fn renew_at(&self) -> Option<Timestamp> {
        renew_at(self.issued_at, self.expires_at)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("origin", &self.origin)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
