//! Chores of the workspace: `cargo xtask deps` checks what depends on what, `cargo xtask bench` measures.

mod bans;
mod layers;
mod metadata;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use metadata::{Metadata, MetadataError};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  deps             checks the crates' layers and the banned packages
  bench [ARGS]     runs scripts/bench with ARGS";

/// Why a chore could not be done; a check that finds something is not an error of this kind.
#[derive(Debug, thiserror::Error)]
enum ChoreError {
    #[error("{0}")]
    Metadata(#[from] MetadataError),
    #[error("{program} could not be run: {source}")]
    Run { program: String, source: std::io::Error },
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let result = match args.next().as_deref() {
        Some("deps") => deps(),
        Some("bench") => script("bench", args),
        _ => {
            complain(USAGE);
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        complain(&format!("xtask: {error}"));
        ExitCode::FAILURE
    })
}

/// Prints every breach of the rules; succeeds when there is none.
fn deps() -> Result<ExitCode, ChoreError> {
    let metadata = Metadata::load()?;
    let mut breaches = layers::breaches(&metadata);
    breaches.extend(bans::breaches(&metadata));
    for breach in &breaches {
        complain(breach);
    }
    Ok(if breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one of the repository's scripts and takes over its exit status.
fn script(name: &str, args: impl Iterator<Item = String>) -> Result<ExitCode, ChoreError> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(name);
    let status = Command::new(&program)
        .args(args)
        .status()
        .map_err(|source| ChoreError::Run { program: program.display().to_string(), source })?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Writes to stderr; nothing is left to do when that fails.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
