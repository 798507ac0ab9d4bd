//! Processes of workloads: starting one that outlives this one, and ending it.

mod spawn;
mod stop;

pub use spawn::{NotReady, SpawnError, Spawned, detach, spawn_detached};
pub use stop::{StopError, Stopped, stop, tell_to_reload};
