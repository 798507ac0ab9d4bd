//! The one configuration model of the gateway, and its one validator.
//!
//! The same structs are the YAML file of `thv serve` and the block `embeddedAuthServer` of the Kubernetes resources, so a
//! key means the same everywhere and a mistake is described in the same words everywhere. Reading is two steps:
//!
//! 1. [`Config::parse`] or [`Config::load`]: the text has the right shape. Unknown keys are errors with a suggestion, and
//!    every mistake is reported, not only the first. [Presets](preset) of known upstream providers are filled in.
//! 2. [`validate()`]: the values make sense together. Required keys, ranges and cross-field rules.
//!
//! Required keys are plain `String`s that default to empty, so that the validator can report all that are missing; after a
//! validation without errors they are never empty. This crate reads the files that it is told to read (the configuration,
//! a users file, a secret); it never opens a socket, and no error or `Debug` output of it contains a secret.
//!
//! Start reading at [`Config`].

pub mod auth_server;
pub mod byte_size;
pub mod config;
mod development;
pub mod duration;
pub mod load;
pub mod preset;
pub mod problem;
pub mod secret_ref;
mod secret_refs;
pub mod storage;
pub mod upstream;
pub mod users;
pub mod validate;

pub use auth_server::AuthServer;
pub use byte_size::ByteSize;
pub use config::Config;
pub use duration::GoDuration;
pub use problem::{Problem, Problems, Severity};
pub use secret_ref::SecretRef;
pub use secret_refs::secret_refs;
pub use storage::Storage;
pub use users::UsersFile;
pub use validate::{Profile, validate};
