//! The embedded OAuth 2.1 authorization server.
//!
//! [`AuthServer`] answers the `/oauth/` endpoints. Start reading at [`server`] (the table of endpoints), then `authorize/`
//! (one file per check, in the specification's order), `token/`, `cimd` (client metadata documents), `upstream/` (who the
//! user is) and `vault` (the upstreams' tokens). Errors are written in `respond` and nowhere else. This crate never reads
//! a clock, a file or an environment variable.

mod authorize;
mod browser;
mod callback;
mod chain;
pub mod cimd;
mod clients;
mod consent;
mod continue_login;
mod documents;
mod issue_code;
mod limits;
mod local_login;
mod login;
mod logout;
mod manage_client;
mod own_document;
mod pages;
mod register;
mod respond;
pub mod server;
mod sessions;
mod settings;
mod single_flight;
mod token;
pub mod upstream;
mod vault;

pub use chain::{Leg, LoginChain, Requirement, step_up_scope};
pub use clients::Preregistered;
pub use documents::Documents;
pub use server::{AuthServer, Parts, Source};
pub use settings::{ConsentMode, RegistrationRetention, Settings};
pub use vault::{CredentialFailure, UpstreamCredential, Vault};
