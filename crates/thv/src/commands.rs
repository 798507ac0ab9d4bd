//! One file for each command.

pub(crate) mod cimd_check;
pub(crate) mod cimd_new;
pub(crate) mod docs;
pub(crate) mod serve;
mod serve_next_steps;
pub(crate) mod store;
pub(crate) mod version;
