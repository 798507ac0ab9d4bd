//! What the authorization endpoint says before any browser is opened.

use thv_client::preflight::{ErrorPage, Preflight};

use super::Ended;
use crate::credentials::IdentityKind;
use crate::error::LoginError;

/// The redirect URI of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    /// Whether the server has been told of exactly this one.
    pub(super) is_known: bool,
    /// The port that was wanted, if another program has it.
    pub(super) taken: Option<u16>,
}

/// Whether to go on to the browser: `None`; or the answer, if there is one already.
///
/// # Errors
/// When this client had better not go there.
pub(super) fn judge(
    preflight: Preflight,
    kind: IdentityKind,
    address: Address,
) -> Result<Option<String>, Ended> {
    // The port matters only to a server that has to recognize it.
    let taken = address.taken.filter(|_| !address.is_known);
    match (preflight, taken) {
        (Preflight::Answered(query), _) => Ok(Some(query)),
        (Preflight::Open, _) => Ok(None),
        (Preflight::ClientRefused(page) | Preflight::RequestRefused(page), Some(port)) => {
            Err(Ended::PortRefused { port, reason: page.to_string() })
        }
        // A browser may fare better, but not if the port is wrong, too: then its user would wait in vain.
        (Preflight::Unknown(reason), Some(port)) => Err(Ended::PortRefused { port, reason }),
        (Preflight::Unknown(reason), None) => {
            tracing::debug!(reason, "the authorization endpoint did not tell whether it accepts this client");
            Ok(None)
        }
        (Preflight::ClientRefused(page), None) => Err(Ended::ClientRefused(page.to_string())),
        (Preflight::RequestRefused(page), None)
            if kind == IdentityKind::MetadataDocument && !address.is_known =>
        {
            Err(Ended::ClientRefused(page.to_string()))
        }
        (Preflight::RequestRefused(ErrorPage { error, description }), None) => {
            Err(LoginError::RequestRefused { error, description }.into())
        }
    }
}
