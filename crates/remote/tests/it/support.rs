//! A user, a server, and what is between them.

pub(crate) mod authorization_server;
pub(crate) mod memory;
pub(crate) mod resource;
pub(crate) mod user;
pub(crate) mod world;
