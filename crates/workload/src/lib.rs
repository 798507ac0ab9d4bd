//! Workloads of `thv run`: what they are, whether they run, and running them.
//!
//! A workload is a [`Definition`] on disk. Whether it runs is told by one thing only: its process holds the [`RunLock`] as
//! long as it lives, and the kernel takes the lock away when it ends, however it ends. What the process says about itself is
//! its [`Status`]; the [`Store`] puts the three together.
//!
//! Start reading at [`Store`]. Linux only: who holds a lock or a port is read from `/proc`.

pub mod atomic;
pub mod definition;
mod files;
pub mod logs;
pub mod name;
pub mod paths;
pub mod port_owner;
pub mod process;
mod process_id;
pub mod run;
pub mod run_lock;
pub mod settings;
pub mod status;
pub mod store;

pub use definition::Definition;
pub use files::FileError;
pub use name::WorkloadName;
pub use paths::Paths;
pub use run_lock::RunLock;
pub use settings::Settings;
pub use status::Status;
pub use store::Store;
