//! Keys that a standalone server creates once and keeps (A13).

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use thv_config::Config;
use thv_jose::algorithm::Algorithm;
use thv_jose::hmac::MIN_SECRET_LEN;
use thv_jose::key::{KeyError, SigningKey};
use thv_jose::random;

/// Why the server cannot keep keys of its own.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// There is no place to keep them.
    #[error("no state directory: neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set")]
    Unknown,
    /// The directory cannot be made or written.
    #[error("cannot write to the state directory `{}`", path.display())]
    Unwritable {
        /// The file or directory that could not be written.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key itself could not be made.
    #[error("cannot create a signing key")]
    Key(#[source] KeyError),
}

/// Where the server keeps what it creates, unless configured: the service manager's `STATE_DIRECTORY`, or `toolhive-rs` in
/// the user's state directory (XDG Base Directory Specification).
///
/// # Errors
/// When the environment names neither.
pub fn default_state_dir() -> Result<PathBuf, StateDirError> {
    let named = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
    if let Some(directories) = named("STATE_DIRECTORY") {
        // systemd separates several by colons.
        return std::env::split_paths(&directories).next().ok_or(StateDirError::Unknown);
    }
    let base = named("XDG_STATE_HOME").map(PathBuf::from);
    let base = base.or_else(|| named("HOME").map(|home| Path::new(&home).join(".local/state")));
    base.map(|base| base.join("toolhive-rs")).ok_or(StateDirError::Unknown)
}

/// Where this server keeps what it creates: as configured, else [`default_state_dir`].
///
/// # Errors
/// When there is no such place.
pub fn state_dir(config: &Config) -> Result<PathBuf, StateDirError> {
    config.state_dir.clone().map_or_else(default_state_dir, Ok)
}

/// Whether the server could keep its keys in `directory`: a file is made and removed there, or where it would be created.
///
/// # Errors
/// When it could not.
pub fn probe_state_dir(directory: &Path) -> Result<(), StateDirError> {
    // The last ancestor of a relative path is the empty one: the working directory.
    let existing = directory.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("."));
    let probe = existing.join(format!(".thv-check-{}", random::token()));
    let made =
        OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|_| fs::remove_file(&probe));
    made.map_err(|source| StateDirError::Unwritable { path: directory.to_owned(), source })
}

/// The file with the server's own signing key, created when it is not there yet.
pub(super) fn signing_key(directory: &Path) -> Result<PathBuf, StateDirError> {
    ensure(directory, "signing-key.pem", || {
        let pem = SigningKey::generate(Algorithm::ES256)
            .and_then(|key| key.to_pem())
            .map_err(StateDirError::Key)?;
        Ok(pem.expose_secret().as_bytes().to_vec().into())
    })
}

/// The file with the server's own HMAC secret, created when it is not there yet.
pub(super) fn hmac_secret(directory: &Path) -> Result<PathBuf, StateDirError> {
    ensure(directory, "hmac-secret", || Ok(random::bytes::<MIN_SECRET_LEN>().to_vec().into()))
}

fn ensure(
    directory: &Path,
    name: &str,
    make: impl FnOnce() -> Result<secrecy::SecretSlice<u8>, StateDirError>,
) -> Result<PathBuf, StateDirError> {
    let path = directory.join(name);
    if path.exists() {
        return Ok(path);
    }
    let secret = make()?;
    let written = private_directory(directory).and_then(|()| create(&path, secret.expose_secret()));
    match written {
        Ok(()) => {
            tracing::info!(key.file = %path.display(), "created a key of our own");
            Ok(path)
        }
        Err(source) => Err(StateDirError::Unwritable { path: directory.to_owned(), source }),
    }
}

/// Puts the whole content in place or nothing. When another process was faster, its file stays.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("new-{}", random::token()));
    let written = private_file(&temporary, content).and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    let removed = fs::remove_file(&temporary);
    written.and(removed)
}

fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
