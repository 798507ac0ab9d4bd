//! Why a request failed: in full for the operator, in one sentence for everybody else.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use crate::address::SpecialUse;
use crate::connector::ConnectError;
use crate::judgement::Forbidden;

/// Why a request failed. Display and sources are for the operator's log. Strangers are told one and the same of everything
/// that depends on the network behind us, so that nobody can map it by asking us to fetch: neither which names resolve to
/// what, nor which ports are open, closed or filtered, nor what listens on them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EgressError {
    /// The text is no absolute URL, or carries user information.
    #[error("the URL cannot be dialled: {reason}")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The scheme is neither `https`, nor `http` where the policy lists an address that may be reached in the clear.
    #[error("the scheme is not https")]
    Scheme,
    /// The scheme is `http`, and the address is not among those that may be reached in the clear.
    #[error("{host} may not be reached by plain http")]
    Plaintext {
        /// The URL's host.
        host: String,
    },
    /// The host is, or resolves to, an address that may not be dialled. No packet was sent to any of its addresses.
    #[error(
        "{host} is at {address}, a special-use address ({special_use}) that egress.allowCidrs does not list"
    )]
    Refused {
        /// The URL's host.
        host: String,
        /// The first address that was refused.
        address: IpAddr,
        /// Its special use.
        special_use: SpecialUse,
    },
    /// The name could not be resolved.
    #[error("{host} could not be resolved")]
    Dns {
        /// The URL's host.
        host: String,
        /// What the resolver said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// None of the addresses accepted the connection.
    #[error("{host} could not be connected to")]
    Connect {
        /// The URL's host.
        host: String,
        /// What the last attempt met.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// TLS could not be established, or the certificate was not trusted.
    #[error("no trusted TLS connection to {host} could be made")]
    Tls {
        /// The URL's host.
        host: String,
        /// What the handshake met.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The deadline of the whole exchange passed.
    #[error("there was no complete response within {} ms", after.as_millis())]
    Timeout {
        /// [`crate::Limits::total`].
        after: Duration,
        /// Whether there was a connection, so that the request can have been sent.
        connected: bool,
    },
    /// The body exceeds its cap.
    #[error("the response body exceeds {limit} bytes")]
    TooLarge {
        /// [`crate::Limits::max_body`], in bytes.
        limit: usize,
    },
    /// The response carries a content coding, although none was asked for.
    #[error("the response carries a content coding")]
    Encoding,
    /// The peer does not speak HTTP/1.1, or broke off.
    #[error("the HTTP exchange with {host} failed")]
    Protocol {
        /// The URL's host.
        host: String,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl EgressError {
    /// Whether the peer can have acted on the request: false where it was never sent, because there was no connection or no
    /// TLS yet; true where it was or may have been, and the response was lost or cannot be used.
    pub const fn may_have_been_processed(&self) -> bool {
        match self {
            Self::Url { .. }
            | Self::Scheme
            | Self::Plaintext { .. }
            | Self::Refused { .. }
            | Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Tls { .. } => false,
            Self::Timeout { connected, .. } => *connected,
            Self::TooLarge { .. } | Self::Encoding | Self::Protocol { .. } => true,
        }
    }

    /// What became of an attempt to reach `host`.
    pub(crate) fn from_exchange(host: &str, error: hyper_util::client::legacy::Error) -> Self {
        let host = host.to_owned();
        if !error.is_connect() {
            return Self::Protocol { host, source: error.into() };
        }
        match connect_error(&error) {
            Some(&ConnectError::Forbidden(forbidden)) => Self::forbidden(&host, forbidden),
            Some(ConnectError::Dns(_)) => Self::Dns { host, source: error.into() },
            Some(ConnectError::Dial(_)) => Self::Connect { host, source: error.into() },
            // The connector itself succeeded, and the only step between it and a connection is the handshake.
            None => Self::Tls { host, source: error.into() },
        }
    }

    /// Why nothing is sent to the addresses of `host`.
    pub(crate) fn forbidden(host: &str, forbidden: Forbidden) -> Self {
        let host = host.to_owned();
        match forbidden {
            Forbidden::Address { address, special_use } => Self::Refused { host, address, special_use },
            Forbidden::Plaintext => Self::Plaintext { host },
        }
    }

    pub(crate) fn from_body(host: &str, error: hyper::Error) -> Self {
        Self::Protocol { host: host.to_owned(), source: error.into() }
    }
}

/// What the connector said, somewhere below the client's own error.
fn connect_error(error: &hyper_util::client::legacy::Error) -> Option<&ConnectError> {
    let mut cause = error.source();
    while let Some(current) = cause {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        cause = current.source();
    }
    None
}
