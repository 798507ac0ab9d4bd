//! Workloads as other processes see them: real processes, locks, signals and sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, and tells the test that started it what it does"
)]

mod follow;
mod home;
mod other_process;
mod port_owner;
mod run_lock;
mod spawn;
mod stop;
mod store;
