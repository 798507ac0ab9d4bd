//! `thv`: an OAuth 2.1 authorization server and gateway in front of MCP servers.
//!
//! Standard output carries data, standard error everything that is said about it. Exit codes: 0 done, 1 refused or failed,
//! 2 wrong usage.

mod args;
mod commands;
mod failure;
mod printer;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything can open a TLS connection; it fails only when a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer::failure(&failure);
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    thv_telemetry::logs::init(cli.log_format, cli.log_level).map_err(|error| Failure::from_error(&error))?;
    match cli.command {
        Command::Serve(serve) => commands::serve::serve(serve),
        Command::Cimd(cimd) => match cimd.command {
            args::CimdCommand::Check(check) => commands::cimd_check::check(&check),
            args::CimdCommand::New(new) => commands::cimd_new::new(new),
        },
        Command::Store(store) => commands::store::store(store.command),
        Command::Completion { shell } => commands::docs::completion(shell),
        Command::Man { out } => commands::docs::man(out.as_deref()),
        Command::Version { json } => commands::version::version(json),
    }
}
