//! Measures `thv` against bare hyper servers on loopback: throughput, CPU time, latency, size and memory.
//!
//! Start reading at [`suite`]: it starts the servers, pins them, and lets [`load`] drive a baseline and `thv` in turns.
//! The baselines in [`baseline`] do nothing but what the comparison allows, so that the ratio is the product's own cost.

mod backend;
mod baseline;
mod client;
mod error;
mod load;
mod login;
mod mcp;
mod micro;
mod process;
mod provider;
mod redis;
mod serve;
mod stdio_server;
mod suite;

use std::error::Error as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{BenchError, During as _};

/// The allocator that `thv` has: a baseline with another one would compare allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures `thv` against bare hyper servers on loopback.
#[derive(Debug, Parser)]
#[command(name = "thv-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs every scenario and prints the figures
    Suite(Box<suite::Options>),
    /// Serves one of the baselines on a free port of 127.0.0.1 and prints its address
    #[command(subcommand)]
    Baseline(baseline::Kind),
    /// Answers `tools/call` with a small JSON body on a free port of 127.0.0.1 and prints its address
    Backend(backend::Options),
    /// Answers `tools/call` over standard input and output
    StdioServer,
    /// Logs a user in as an OAuth 2.0 provider on a free port of 127.0.0.1 and prints its address
    Provider,
    /// Reads a plan (JSON) on stdin, drives the server with it, and prints the outcome (JSON)
    Load,
    /// Times single operations in this process
    Micro(micro::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, BenchError> {
    match command {
        Command::Suite(options) => single_threaded()?.block_on(suite::run(&options)),
        Command::Baseline(kind) => {
            multi_threaded()?.block_on(baseline::run(kind)).map(|()| ExitCode::SUCCESS)
        }
        Command::Backend(options) => {
            single_threaded()?.block_on(backend::run(options)).map(|()| ExitCode::SUCCESS)
        }
        Command::StdioServer => stdio_server::run().map(|()| ExitCode::SUCCESS),
        Command::Provider => single_threaded()?.block_on(provider::run()).map(|()| ExitCode::SUCCESS),
        Command::Load => single_threaded()?.block_on(load::run()).map(|()| ExitCode::SUCCESS),
        Command::Micro(options) => micro::run(&options).map(|()| ExitCode::SUCCESS),
    }
}

/// For what shares the load's core: one thread, no stealing.
fn single_threaded() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().during("starting the runtime")
}

/// For the baselines: the runtime that `thv` has, as many workers as the process may use cores.
fn multi_threaded() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().during("starting the runtime")
}

/// Prints the error and its causes on one line. Nothing is left to do when stderr itself is gone.
fn complain(error: &BenchError) {
    let mut line = format!("thv-bench: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        line.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    let _ = writeln!(std::io::stderr(), "{line}");
}
