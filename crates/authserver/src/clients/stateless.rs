//! Registrations that live in their own `client_id`: a versioned, HMAC-sealed encoding of the metadata (A14).
//!
//! No restart, replica or lost store orphans such a client, and a million of them cost no storage.

use thv_jose::hmac::HmacRing;
use thv_jose::sealed;
use thv_oauth::client_metadata::ClientMetadata;

/// Begins every stateless `client_id`; the digit is the encoding's version. It cannot be taken for a URL (AS-81).
const PREFIX: &str = "thvreg1.";
const DOMAIN: &str = "client registration 1";
/// A longer `client_id` would trouble URLs and proxies on the way; such a registration is stored instead.
const MAX_LENGTH: usize = 1400;

/// Whether `client_id` claims to be one.
pub(crate) fn is_stateless(client_id: &str) -> bool {
    client_id.starts_with(PREFIX)
}

/// The `client_id` that is this registration; `None` when it does not fit into one.
pub(crate) fn encode(metadata: &ClientMetadata, hmac: &HmacRing) -> Option<String> {
    let metadata = ClientMetadata { client_id: None, ..metadata.clone() };
    let client_id = format!("{PREFIX}{}", sealed::seal_json(hmac, DOMAIN, &metadata).ok()?);
    (client_id.len() <= MAX_LENGTH).then_some(client_id)
}

/// The registration that `client_id` is, if this server (or one with the same HMAC secrets) made it.
pub(crate) fn decode(client_id: &str, hmac: &HmacRing) -> Option<ClientMetadata> {
    let sealed = client_id.strip_prefix(PREFIX)?;
    let metadata: ClientMetadata = sealed::open_json(hmac, DOMAIN, sealed, MAX_LENGTH).ok()?;
    Some(ClientMetadata { client_id: Some(client_id.to_owned()), ..metadata })
}
