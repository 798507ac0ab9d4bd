//! A local MCP server that speaks over standard input and output, offered as streamable HTTP to several clients at once.
//!
//! There is one server process. It is started without a shell, restarted when it exits, and initialized once, with what the
//! first client said; each client has its own session all the same. Requests get ids and progress tokens of the bridge's
//! own on their way to the server, and the client's own ones on the way back, so that clients cannot mistake each other's
//! answers. What the server asks is asked of the client whose request it most likely belongs to.
//!
//! Two families of revisions are spoken to clients: those with sessions (2025-03-26 to 2025-11-25, module `in_session`),
//! and the one whose requests stand alone (2026-07-28, module `stateless`). The server is always spoken to with a session.
//!
//! ```text
//!  respond ─┬─ in_session ─┐                         ┌─▶ stdin ─┐
//!           └─ stateless ──┴─▶ exchange ─ connection ┤          │ process ◀─ supervisor
//!  deliver ◀─ queue ◀──────────── dispatch ◀─────────┴── stdout ┘
//! ```
//!
//! Start reading at [`Bridge`], then `respond` for the way in and `dispatch` for the way out.

mod body;
mod bridge;
mod connection;
mod deliver;
mod dispatch;
mod edit;
mod exchange;
mod handshake;
mod head;
mod hub;
mod in_session;
mod jsonrpc;
mod lines;
mod lock;
mod options;
mod process;
mod queue;
mod refusal;
mod respond;
mod server;
mod server_request;
mod session;
mod sse;
mod stateless;
mod subscriptions;
mod supervisor;

pub use body::BridgeBody;
pub use bridge::{Bridge, Status};
pub use options::{Limits, Options, Restart, Shutdown, StderrSink};
pub use process::StartError;
pub use server::Server;
