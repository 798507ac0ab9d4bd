//! The user's side of one remote MCP server: finding its authorization server, getting to be known there, logging in once,
//! and staying logged in; and the way that requests take there with that login.
//!
//! Start reading at [`session::Session`]; [`forward::Forward`] is what passes requests on, and [`survey::survey`] tells what a
//! login would be like.

pub mod callback;
mod challenge;
pub mod credentials;
pub mod discovery;
pub mod error;
pub mod forward;
mod identity;
mod login;
mod probe;
pub mod reach;
mod registration;
mod scope;
pub mod session;
pub mod settings;
pub mod survey;
pub mod token_exchange;
pub mod ui;
