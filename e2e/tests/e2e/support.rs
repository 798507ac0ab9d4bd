//! What the tests share: the stage on which `thv` and the programs around it run.

mod crowd;
mod curl;
mod document;
mod gateway;
mod machine;
mod pki;
mod production;
mod program;
mod provider;
mod remote_stage;
mod scene;
mod setup;
mod tools;

pub(crate) use crowd::Crowd;
pub(crate) use curl::Answer;
pub(crate) use document::Document;
pub(crate) use gateway::{Gateway, free_port};
pub(crate) use machine::{Machine, children, is_alive, kill, of_process, until};
pub(crate) use production::{Production, Settings};
pub(crate) use program::{Finished, Program};
pub(crate) use provider::Provider;
pub(crate) use remote_stage::{RemoteStage, whoami};
pub(crate) use scene::Scene;
pub(crate) use setup::{Setup, discovered, gateway_with, registered_oidc};
pub(crate) use tools::{chromium, node, package, script, thv};
