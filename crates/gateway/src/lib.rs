//! The composition root of a gateway process: configuration ▶ keys ▶ services ▶ listeners ▶ drain.
//!
//! Nothing here knows a rule of OAuth or MCP; it binds the crates that do to sockets, files and the clock. Start reading
//! at [`run()`], then `compose` (which part gets what) and `front` (which request goes where).

mod check;
mod cimd;
mod compose;
pub mod devserver;
pub mod front;
pub mod keys;
pub mod listener;
pub mod peer;
mod run;
mod store;
pub mod tls;
pub mod watch;

pub use check::check;
pub use cimd::check_client_id;
pub use run::{Options, Running, StartError, bind, run};
pub use store::{KeyId, StoreAdminError, StoreCheck, StoreCount, StoreFile};
