//! What the tests share: the stage on which `thv` and the programs around it run.

mod curl;
mod gateway;
mod pki;
mod production;
mod program;
mod scene;
mod tools;

pub(crate) use curl::Answer;
pub(crate) use gateway::{Gateway, free_port};
pub(crate) use production::{Production, Settings};
pub(crate) use program::Program;
pub(crate) use scene::Scene;
pub(crate) use tools::{chromium, package};
