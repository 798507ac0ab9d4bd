//! What can go wrong, with what to do about it.

use std::io;
use std::path::PathBuf;

use linux_keyutils::KeyError;
use thv_jose::at_rest::AtRestError;

use crate::{Provider, UnknownProvider};

/// Why a secret was not read, stored or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// It is not a name.
    #[error("{name:?} is not a name for a secret: 1 to 256 letters, digits, '_', '.' or '-' are")]
    InvalidName {
        /// Its first 256 characters.
        name: String,
    },
    /// It is not a scope of system names.
    #[error("{scope:?} is not a scope of names: letters, digits, '.' and '-' are, without '_'")]
    InvalidScope {
        /// What was given.
        scope: String,
    },
    /// There is nothing to keep.
    #[error("the value for {name} is empty; to remove a secret, delete it")]
    Empty {
        /// The secret's name.
        name: String,
    },
    /// Nothing can be stored in the environment.
    #[error(
        "secrets from the environment are read only; set the variable {variable} where the program is started, \
         or choose another provider"
    )]
    ReadOnly {
        /// The variable that would hold the secret.
        variable: String,
    },
    /// The bytes are no text.
    #[error("the secret in {place} is not UTF-8 text; set it again")]
    NotText {
        /// Where it is.
        place: String,
    },
    /// The provider that holds the secrets is not to be had now.
    #[error(
        "the secrets of this user are kept by the provider {provider}, as {} says, and it cannot be reached; start from \
         where it can be (for a desktop's keyring: from within the desktop session, or with its DBUS_SESSION_BUS_ADDRESS), \
         or name another provider for this time, where the secrets must then be set again", .record.display()
    )]
    Unreachable {
        /// The one that was used before.
        provider: Provider,
        /// The file that says so.
        record: PathBuf,
        /// Why not.
        #[source]
        source: Box<Self>,
    },
    /// Another process decided for another provider between our opening and our first secret.
    #[error(
        "the secrets of this user are kept by the provider {recorded} since a moment ago, as {} says, but this program \
         was started with {provider}; start it again", .record.display()
    )]
    ChosenMeanwhile {
        /// What the other process took.
        recorded: Provider,
        /// What this store was opened with.
        provider: Provider,
        /// The file that says so.
        record: PathBuf,
    },
    /// The record of the provider cannot be understood.
    #[error("{} does not say which provider keeps the secrets; write its word there, or remove the file", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What it says instead.
        #[source]
        source: UnknownProvider,
    },
    /// Of the Secret Service.
    #[error(transparent)]
    SecretService(#[from] SecretServiceError),
    /// Of the kernel's keyring.
    #[error(transparent)]
    KernelKeyring(#[from] KernelKeyringError),
    /// Of files.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What goes wrong with the Secret Service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretServiceError {
    /// There is no bus to find it on.
    #[error(
        "there is no D-Bus session bus: DBUS_SESSION_BUS_ADDRESS is not set and there is no socket `bus` in \
         XDG_RUNTIME_DIR; start from within a desktop session, or choose the provider `encrypted`"
    )]
    NoSessionBus,
    /// Nobody answers.
    #[error(
        "no Secret Service answers on the D-Bus session bus; start one (gnome-keyring, KWallet or KeePassXC with its \
         Secret Service switched on), or choose the provider `encrypted`"
    )]
    NoService(#[source] dbus_secret_service::Error),
    /// It has nowhere to put an item.
    #[error(
        "the Secret Service has no default collection; create a keyring and make it the default one (for example with \
         Seahorse), or choose the provider `encrypted`"
    )]
    NoDefaultCollection,
    /// The keyring stayed locked.
    #[error(
        "the keyring of the Secret Service is locked, and the question to unlock it was dismissed, could not be shown or \
         was not answered within a minute; unlock the keyring and try again, or choose the provider `encrypted`"
    )]
    Locked,
    /// Anything else that it said.
    #[error("the Secret Service could not {action}")]
    Failed {
        /// What was asked of it.
        action: &'static str,
        /// What it answered.
        #[source]
        source: dbus_secret_service::Error,
    },
}

/// What goes wrong with the kernel's keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelKeyringError {
    /// The system calls are not allowed.
    #[error(
        "the kernel's keyring cannot be used here: the system calls keyctl and add_key are forbidden or missing, as in most \
         containers; allow them in the seccomp profile, or choose the provider `encrypted`"
    )]
    Forbidden(#[source] KeyError),
    /// The value is larger than a key can be.
    #[error(
        "the value for a secret has {length} bytes, a key of the kernel holds at most {max}; choose the provider `encrypted`"
    )]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The most that a key holds, in bytes.
        max: usize,
    },
    /// The user has as many keys as are allowed.
    #[error(
        "the kernel's keyring is full for this user (see /proc/key-users); delete secrets, raise kernel.keys.maxkeys and \
         kernel.keys.maxbytes, or choose the provider `encrypted`"
    )]
    Full,
    /// Anything else.
    #[error("the kernel's keyring could not {action}")]
    Failed {
        /// What was asked of it.
        action: &'static str,
        /// What it answered.
        #[source]
        source: KeyError,
    },
}

/// What goes wrong with the encrypted file and those beside it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is not as it was written.
    #[error(
        "{} is damaged, or not a secrets file of this program: {detail}; put a backup in its place, or move it away to start \
         anew", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// A later version wrote it.
    #[error("{} has format version {version}, which this version of the program does not know; update the program", .path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version that it says.
        version: u32,
    },
    /// It has a password and none was given.
    #[error("{} is protected by a password; set TOOLHIVE_SECRETS_PASSWORD to it", .path.display())]
    PasswordNeeded {
        /// The file.
        path: PathBuf,
    },
    /// It has another password.
    #[error(
        "TOOLHIVE_SECRETS_PASSWORD is not the password of {}; correct it. If the password is lost, so are the secrets: \
         move the file away and set them again", .path.display()
    )]
    WrongPassword {
        /// The file.
        path: PathBuf,
    },
    /// The key file is gone.
    #[error(
        "the key {} for {} is missing; restore it from a backup. If it is lost, so are the secrets: move the latter away \
         and set them again", .key.display(), .path.display()
    )]
    KeyMissing {
        /// The encrypted file.
        path: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The key file is of another encrypted file.
    #[error(
        "the key in {} is not the one that sealed {}; restore the files together from one backup, or move both away and \
         set the secrets again", .key.display(), .path.display()
    )]
    WrongKey {
        /// The encrypted file.
        path: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// Others may read the key file.
    #[error(
        "the key {path} can be read by others (mode {mode:03o}), so it is not used; run `chmod 600 {path}`, and renew the \
         secrets if somebody else can have read it", path = .path.display()
    )]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file holds no key.
    #[error("{} does not hold a key of 32 bytes in base64url; restore it from a backup, or, if it is lost, move it away \
         together with secrets_encrypted and set the secrets again", .path.display())]
    KeyDamaged {
        /// The key file.
        path: PathBuf,
    },
    /// No key could be made of the password.
    #[error("no key could be derived from the password for {}: {detail}", .path.display())]
    Derivation {
        /// The file.
        path: PathBuf,
        /// What the derivation says.
        detail: String,
    },
    /// The secrets could not be sealed.
    #[error("the secrets for {} could not be sealed", .path.display())]
    Seal {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: AtRestError,
    },
}
