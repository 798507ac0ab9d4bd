//! Where `thv run` keeps the secrets of this machine's user.
//!
//! One [`SecretStore`] over one of four providers:
//!
//! | word | where | lives until |
//! |---|---|---|
//! | `secret-service` | the keyring of the desktop (Secret Service on the D-Bus session bus) | deleted |
//! | `encrypted` | the file `secrets_encrypted`, sealed with a password or a key file | deleted |
//! | `kernel-keyring` | the kernel's user keyring | the machine restarts |
//! | `environment` | variables `TOOLHIVE_SECRET_<NAME>`, read only | the process ends |
//!
//! # Which provider `auto` takes
//!
//! A provider is for ever: secrets must not seem lost because a program was started in another way. The first secret that is
//! stored writes the provider's word into the file `secrets_provider` of [`Settings::dir`], and from then on `auto` takes
//! that provider or fails; it never starts an empty store elsewhere. Without such a record `auto` takes
//!
//! 1. the file, if it exists and the Secret Service does not answer or holds nothing of ours,
//! 2. the Secret Service, if one answers that has a default collection,
//! 3. the file.
//!
//! A provider that is named is taken as named; it is recorded only when nothing was. To change what `auto` takes, write
//! another word into `secrets_provider`, or remove it.
//!
//! # What protects the secrets
//!
//! * *File with a password*: whoever has the files must guess the password, at Argon2id's cost for each guess.
//! * *File without a password*: the key lies beside it in `secrets.key`. That protects copies of the data file alone (backups,
//!   synchronized folders, a file that is sent to somebody), not against other programs of the same user, nor against
//!   whoever has both files.
//! * *Secret Service*: the desktop's login password while the keyring is locked. Unlocked, other programs of the same user
//!   can ask for them as well; they cross the session bus in the clear, as with every client that uses `plain` sessions.
//! * *Kernel keyring*: other users cannot read it; other programs of the same user can.
//!
//! Everything blocks (files, D-Bus, perhaps a person who unlocks a keyring, at most a minute): from async code call it in
//! `spawn_blocking`. Opening may fail although no secret is needed, so open a store when the first one is.
//!
//! Start reading at [`SecretStore`].

mod choice;
mod directory;
mod error;
mod file;
mod name;
mod provider;
mod record;
mod selection;
mod settings;
mod store;

pub use choice::{Choice, Provider, UnknownProvider};
pub use error::{FileError, KernelKeyringError, SecretServiceError, SecretsError};
pub use name::{is_system_name, system_name};
pub use settings::{Settings, Variables};
pub use store::SecretStore;
