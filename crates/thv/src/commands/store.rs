//! `thv store`: backup, check and export of a SQLite store.

use std::io;

use thv_config::Config;
use thv_gateway::{KeyId, StoreAdminError, StoreCheck, StoreFile};

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
    for (key, rows, place) in keys(&file.keys(), check) {
        text.push_str(&format!("  {key:<16} {rows:<8} {place}\n"));
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

/// The configured keys in their order, then those that are not configured (any more): how many records each seals.
fn keys(configured: &[KeyId], check: &StoreCheck) -> Vec<(KeyId, u64, String)> {
    let place = |index| format!("key {}{}", index + 1, if index == 0 { ", in use" } else { "" });
    let rows = |key| check.keys.get(key).copied().unwrap_or_default();
    let known = configured.iter().enumerate().map(|(index, key)| (*key, rows(key), place(index)));
    let unknown = check.keys.iter().filter(|(key, _)| !configured.contains(key));
    known.chain(unknown.map(|(key, rows)| (*key, *rows, "not configured".to_owned()))).collect()
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
