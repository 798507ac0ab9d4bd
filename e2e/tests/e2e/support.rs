//! What the tests share: the stage on which `thv` and the programs around it run.

mod crowd;
mod curl;
mod gateway;
mod pki;
mod production;
mod program;
mod provider;
mod scene;
mod setup;
mod tools;

pub(crate) use crowd::Crowd;
pub(crate) use curl::Answer;
pub(crate) use gateway::{Gateway, free_port};
pub(crate) use production::{Production, Settings};
pub(crate) use program::Program;
pub(crate) use provider::Provider;
pub(crate) use scene::Scene;
pub(crate) use setup::{Setup, discovered, gateway_with, registered_oidc};
pub(crate) use tools::{chromium, package, thv};
