//! One file for each command, or for a few that belong together.

pub(crate) mod cimd_check;
pub(crate) mod cimd_new;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod login;
mod machine;
pub(crate) mod run;
pub(crate) mod secret;
pub(crate) mod serve;
mod serve_next_steps;
pub(crate) mod show;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod store;
pub(crate) mod version;
