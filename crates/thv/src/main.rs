//! `thv`: an OAuth 2.1 authorization server and gateway in front of MCP servers, and the other side: logging in to remote MCP
//! servers for the clients of this machine.
//!
//! Standard output carries data, standard error everything that is said about it. Exit codes: 0 done, 1 refused or failed,
//! 2 wrong usage.

mod args;
mod commands;
mod failure;
mod printer;
mod terminal;

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
    let level = cli.log_level.unwrap_or_else(|| cli.command.log_level(cli.verbose));
    thv_telemetry::logs::init(cli.log_format, level).map_err(|error| Failure::from_error(&error))?;
    match cli.command {
        Command::Serve(serve) => commands::serve::serve(serve),
        Command::Run(run) => commands::run::run(*run),
        Command::Start(start) => commands::start::start(start),
        Command::Restart(which) => commands::start::restart(which),
        Command::Stop(which) => commands::stop::stop(which),
        Command::List(list) => commands::show::list(&list),
        Command::Status(named) => commands::show::status(&named),
        Command::Logs(logs) => commands::show::show_logs(&logs),
        Command::Login(login) => commands::login::login(login),
        Command::Logout(named) => commands::login::logout(named),
        Command::Rm(remove) => commands::stop::remove(remove),
        Command::Export(named) => commands::show::export(&named),
        Command::Doctor(doctor) => commands::doctor::doctor(*doctor),
        Command::Secret(secret) => commands::secret::secret(secret.command),
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
