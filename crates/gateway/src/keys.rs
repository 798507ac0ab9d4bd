//! The keys of the authorization server: where they come from and how they change while it runs.
//!
//! Configured keys are read from their references, and again when a file changes. Without configured keys a server in
//! production creates its own once and keeps them in the state directory; in development they live as long as the process.

mod own;
mod rotation;

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretSlice;
use thv_clock::SharedClock;
use thv_config::{AuthServer, Problem, Problems, SecretRef};
use thv_jose::algorithm::Algorithm;
use thv_jose::at_rest::AtRestRing;
use thv_jose::hmac::{HmacRing, MIN_SECRET_LEN};
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use thv_jose::random;
use thv_jose::reload::{AtRestHandle, HmacHandle, KeyHandle};

pub use own::{StateDirError, default_state_dir, probe_state_dir, state_dir};
pub use rotation::PUBLISHED_BEFORE_SIGNING;
use rotation::Rotation;

use crate::watch::Watched;

const SIGNING_KEYS: &str = "authServer.signingKeySecretRefs";
const HMAC_SECRETS: &str = "authServer.hmacSecretRefs";
const ENCRYPTION_KEYS: &str = "authServer.storage.encryptionKeySecretRefs";

/// What to do when no keys are configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unconfigured {
    /// Create them once and keep them in this directory.
    Keep(PathBuf),
    /// Create them for this process alone: every token ends with it.
    Ephemeral,
}

/// The keys in force, and what is needed to follow their files.
pub struct Keys {
    signing: KeyHandle,
    hmac: HmacHandle,
    at_rest: AtRestHandle,
    signing_refs: Vec<SecretRef>,
    hmac_refs: Vec<SecretRef>,
    at_rest_refs: Vec<SecretRef>,
    signing_files: Watched,
    hmac_files: Watched,
    at_rest_files: Watched,
    rotation: Rotation,
    clock: SharedClock,
}

impl Keys {
    /// Reads or creates the keys.
    ///
    /// # Errors
    /// Everything that is wrong with them, by key path.
    pub fn load(
        config: &AuthServer,
        unconfigured: &Unconfigured,
        clock: SharedClock,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let signing_refs =
            references(&config.signing_key_secret_refs, unconfigured, own::signing_key, &mut problems);
        let hmac_refs = references(&config.hmac_secret_refs, unconfigured, own::hmac_secret, &mut problems);
        let at_rest_refs = at_rest_refs(config, &hmac_refs);
        // Watched from before they are read: a change in between is seen as one.
        let (signing_files, hmac_files) = (watched(&signing_refs), watched(&hmac_refs));
        let at_rest_files = watched(&at_rest_refs);
        let mut rotation = Rotation::new(config.token_lifespans.access_token_lifespan.get());
        let signing = keep(signing_keys(&signing_refs), &mut problems)
            .and_then(|keys| keep(ring(rotation.order(keys, clock.now())), &mut problems));
        let hmac = keep(hmac_ring(&hmac_refs), &mut problems);
        // Where they are derived from the HMAC secrets, what is wrong with those was said.
        let derived_from_none = at_rest_refs == hmac_refs && hmac.is_none();
        let at_rest =
            if derived_from_none { None } else { keep(at_rest_ring(config, &at_rest_refs), &mut problems) };
        let (Some(signing), Some(hmac), Some(at_rest)) = (signing, hmac, at_rest) else {
            return Err(Problems(problems));
        };
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self {
            signing: KeyHandle::new(signing),
            hmac: HmacHandle::new(hmac),
            at_rest: AtRestHandle::new(at_rest),
            signing_refs,
            hmac_refs,
            at_rest_refs,
            signing_files,
            hmac_files,
            at_rest_files,
            rotation,
            clock,
        })
    }

    /// The signing keys in force.
    pub fn signing(&self) -> KeyHandle {
        self.signing.clone()
    }

    /// The HMAC secrets in force.
    pub fn hmac(&self) -> HmacHandle {
        self.hmac.clone()
    }

    /// The keys in force that encrypt records at rest.
    pub fn at_rest(&self) -> AtRestHandle {
        self.at_rest.clone()
    }

    /// Whether there are files to follow.
    pub fn changeable(&self) -> bool {
        [&self.signing_files, &self.hmac_files, &self.at_rest_files].iter().any(|files| !files.is_empty())
    }

    /// Puts changed files in force. Keys that cannot be used leave the ones in force in place, with a warning. Returns
    /// whether anything changed. Blocks on the file system.
    ///
    /// A new key that is listed first signs only after it was published for [`PUBLISHED_BEFORE_SIGNING`] (AS-129), so
    /// that whoever caches the JWK Set has seen it. A key that is gone from the files verifies until the last token that
    /// it may have signed has expired; only a restart voids its tokens at once.
    pub fn tick(&mut self) -> bool {
        // `|` and not `||`: all look at the files.
        self.tick_signing() | self.tick_hmac() | self.tick_at_rest()
    }

    fn tick_signing(&mut self) -> bool {
        let now = self.clock.now();
        if !self.signing_files.changed() && !self.rotation.due(now) {
            return false;
        }
        let fresh = signing_keys(&self.signing_refs).and_then(|keys| ring(self.rotation.order(keys, now)));
        let Some(ring) = usable(fresh, "signing keys") else { return false };
        tracing::info!(key.active = ring.active().kid(), "signing keys read again");
        self.signing.replace(ring);
        true
    }

    fn tick_hmac(&mut self) -> bool {
        if !self.hmac_files.changed() {
            return false;
        }
        let Some(ring) = usable(hmac_ring(&self.hmac_refs), "HMAC secrets") else { return false };
        tracing::info!("HMAC secrets read again");
        self.hmac.replace(ring);
        true
    }

    fn tick_at_rest(&mut self) -> bool {
        if !self.at_rest_files.changed() {
            return false;
        }
        let path = ENCRYPTION_KEYS;
        let fresh = secrets(&self.at_rest_refs, path)
            .and_then(|secrets| AtRestRing::new(secrets).map_err(|error| vec![too_short(path, &error)]));
        let Some(ring) = usable(fresh, "encryption keys") else { return false };
        tracing::info!("encryption keys read again; records are sealed anew as they are read");
        self.at_rest.replace(ring);
        true
    }
}

/// The keys that encrypt records at rest: those that are configured, else derived from the HMAC secrets, which every replica
/// has anyway.
fn at_rest_refs(config: &AuthServer, hmac_refs: &[SecretRef]) -> Vec<SecretRef> {
    let configured = &config.storage.encryption_key_secret_refs;
    if configured.is_empty() { hmac_refs.to_vec() } else { configured.clone() }
}

fn at_rest_ring(config: &AuthServer, references: &[SecretRef]) -> Result<AtRestRing, Vec<Problem>> {
    let derived = config.storage.encryption_key_secret_refs.is_empty();
    let path = if derived { HMAC_SECRETS } else { ENCRYPTION_KEYS };
    AtRestRing::new(secrets(references, path)?).map_err(|error| vec![too_short(path, &error)])
}

/// Whether a server with this configuration creates keys of its own.
pub fn keeps_its_own(config: &AuthServer) -> bool {
    config.signing_key_secret_refs.is_empty() || config.hmac_secret_refs.is_empty()
}

/// Judges configured keys without putting them in force, for a check of the configuration.
pub fn check(config: &AuthServer) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !config.signing_key_secret_refs.is_empty() {
        let keys = keep(signing_keys(&config.signing_key_secret_refs), &mut problems);
        let _ = keys.and_then(|keys| keep(ring(keys), &mut problems));
    }
    if !config.hmac_secret_refs.is_empty() {
        let _ = keep(hmac_ring(&config.hmac_secret_refs), &mut problems);
    }
    let encryption = &config.storage.encryption_key_secret_refs;
    if !encryption.is_empty() {
        let _ = keep(at_rest_ring(config, encryption), &mut problems);
    }
    problems
}

/// The configured references, or one to a file of our own; none at all for keys that live in this process alone.
fn references(
    configured: &[SecretRef],
    unconfigured: &Unconfigured,
    own: fn(&std::path::Path) -> Result<PathBuf, StateDirError>,
    problems: &mut Vec<Problem>,
) -> Vec<SecretRef> {
    match unconfigured {
        _ if !configured.is_empty() => configured.to_vec(),
        Unconfigured::Ephemeral => Vec::new(),
        Unconfigured::Keep(directory) => match own(directory) {
            Ok(file) => vec![SecretRef::file(file)],
            Err(error) => {
                let problem = Problem::error("stateDir", thv_telemetry::chain(&error)).with_hint(
                    "set `stateDir` to a directory that this user may write, or configure \
                     `authServer.signingKeySecretRefs` and `authServer.hmacSecretRefs`",
                );
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
                Vec::new()
            }
        },
    }
}

fn watched(references: &[SecretRef]) -> Watched {
    Watched::new(references.iter().filter_map(|reference| reference.file.clone()))
}

fn signing_keys(references: &[SecretRef]) -> Result<Vec<SigningKey>, Vec<Problem>> {
    if references.is_empty() {
        let key = SigningKey::generate(Algorithm::ES256);
        return key
            .map(|key| vec![key])
            .map_err(|error| vec![Problem::error(SIGNING_KEYS, error.to_string())]);
    }
    all(references, SIGNING_KEYS, |reference| {
        let pem = reference.resolve().and_then(|secret| secret.into_text()).map_err(describe)?;
        SigningKey::from_pem(&pem).map_err(describe)
    })
}

fn ring<K: Into<Arc<SigningKey>>>(keys: Vec<K>) -> Result<KeyRing, Vec<Problem>> {
    KeyRing::new(keys).map_err(|error| vec![Problem::error(SIGNING_KEYS, error.to_string())])
}

fn hmac_ring(references: &[SecretRef]) -> Result<HmacRing, Vec<Problem>> {
    let secrets = secrets(references, HMAC_SECRETS)?;
    HmacRing::new(secrets).map_err(|error| vec![too_short(HMAC_SECRETS, &error)])
}

/// The referenced secrets, or a fresh one for this process alone where there is no reference.
fn secrets(references: &[SecretRef], path: &str) -> Result<Vec<SecretSlice<u8>>, Vec<Problem>> {
    if references.is_empty() {
        return Ok(vec![random::bytes::<MIN_SECRET_LEN>().to_vec().into()]);
    }
    all(references, path, |reference| reference.resolve().map(|secret| secret.into_bytes()).map_err(describe))
}

fn too_short(path: &str, error: &dyn std::error::Error) -> Problem {
    let hint = format!("`openssl rand -out FILE {MIN_SECRET_LEN}` makes one");
    Problem::error(path, error.to_string()).with_hint(hint)
}

/// What every reference yields, or what is wrong with each that yields nothing.
fn all<T>(
    references: &[SecretRef],
    path: &str,
    read: impl Fn(&SecretRef) -> Result<T, String>,
) -> Result<Vec<T>, Vec<Problem>> {
    let mut values = Vec::with_capacity(references.len());
    let mut problems = Vec::new();
    for (at, reference) in references.iter().enumerate() {
        match read(reference) {
            Ok(value) => values.push(value),
            Err(message) => problems.push(Problem::error(format!("{path}[{at}]"), message)),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn describe(error: impl std::error::Error + 'static) -> String {
    thv_telemetry::chain(&error)
}

fn keep<T>(outcome: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    outcome.map_err(|new| problems.extend(new)).ok()
}

fn usable<T>(outcome: Result<T, Vec<Problem>>, what: &str) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(problems) => {
            for problem in problems {
                tracing::warn!(%problem, "changed {what} cannot be used, the previous ones stay");
            }
            None
        }
    }
}

#[cfg(test)]
mod tests;
