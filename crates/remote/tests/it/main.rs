//! The login of a user at a remote server, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing fixture is a failing test"
)]

mod callback;
mod discovery;
mod fallback;
mod forward;
mod logout;
mod migration;
mod port;
mod refresh;
mod registration;
mod secrets;
mod step_up;
mod support;
mod survey;
mod token_exchange;
