//! `thv store`: backup, check and export of a SQLite store.

use std::io;

use thv_config::Config;
use thv_gateway::{StoreAdminError, StoreCheck, StoreFile};

use crate::args::{StoreCommand, StoreOf};
use crate::failure::Failure;
use crate::printer;

/// `thv store`
pub(crate) fn store(command: StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Backup { of, to } => {
            let file = open(&of)?;
            file.backup(&to).map_err(failure)?;
            printer::data(&format!("{} copied to {}\n", file.path().display(), to.display()))
        }
        StoreCommand::Check { of } => {
            let file = open(&of)?;
            let check = file.check().map_err(failure)?;
            printer::data(&text(&file, &check))?;
            if check.is_sound() { Ok(()) } else { Err(Failure::silent()) }
        }
        StoreCommand::Export { of } => export(&open(&of)?),
    }
}

fn open(of: &StoreOf) -> Result<StoreFile, Failure> {
    StoreFile::of(&Config::load(&of.config)?).map_err(failure)
}

fn export(file: &StoreFile) -> Result<(), Failure> {
    match file.export(&mut io::BufWriter::new(io::stdout().lock())) {
        // A reader that has seen enough (`thv store export | head`) is no failure.
        Err(error) if !error.is_broken_pipe() => Err(failure(error)),
        _ => Ok(()),
    }
}

fn text(file: &StoreFile, check: &StoreCheck) -> String {
    let mut text = format!("{}\n\nrecords\n", file.path().display());
    for (kind, count) in &check.kinds {
        let expired =
            if count.expired == 0 { String::new() } else { format!(" ({} expired)", count.expired) };
        text.push_str(&format!("  {kind:<14} {}{expired}\n", count.live));
    }
    text.push_str("sealed by key\n");
    for (key, rows) in &check.keys {
        text.push_str(&format!("  {key:<14} {rows}\n"));
    }
    for problem in &check.problems {
        text.push_str(&format!("✗ the file is damaged: {problem}\n"));
    }
    for ((kind, reason), rows) in &check.unreadable {
        text.push_str(&format!("✗ {rows} records of kind {kind} cannot be read: {reason}\n"));
    }
    text.push_str(if check.is_sound() { "✓ everything can be read\n" } else { "" });
    text
}

fn failure(error: StoreAdminError) -> Failure {
    let hint = error.hint();
    let failure = match error {
        StoreAdminError::Configuration(problems) => problems.into(),
        error => Failure::from_error(&error),
    };
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
