//! `thv secret`

use std::io::{IsTerminal, Read, stdin};

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use thv_secrets::SecretStore;

use super::machine::Machine;
use crate::args::SecretCommand;
use crate::failure::Failure;
use crate::printer;

/// The longest secret that is read.
const MAX: u64 = 64 * 1024;

/// `thv secret`
pub(crate) fn secret(command: SecretCommand) -> Result<(), Failure> {
    let store = Machine::open()?.secrets()?;
    match command {
        SecretCommand::Set { name, json } => {
            let secret = read(&name)?;
            store.set(user(&name)?, &secret).map_err(|error| Failure::from_error(&error))?;
            printer::talk(&format!("stored in {}\n", store.place()));
            report(&name, "stored", json)
        }
        SecretCommand::Get { name } => match of_user(&store, &name)? {
            Some(secret) => printer::data(&format!("{}\n", secret.expose_secret())),
            None => Err(missing(&name)),
        },
        SecretCommand::List { json } => {
            let names = store.list_user().map_err(|error| Failure::from_error(&error))?;
            match json {
                true => printer::data(&format!("{}\n", serde_json::Value::from(names))),
                false => names.iter().try_for_each(|name| printer::data(&format!("{name}\n"))),
            }
        }
        SecretCommand::Delete { name, json } => {
            match store.delete(user(&name)?).map_err(|error| Failure::from_error(&error))? {
                true => report(&name, "deleted", json),
                false => Err(missing(&name)),
            }
        }
    }
}

/// Data only for programs: people see that it worked.
fn report(name: &str, result: &str, as_json: bool) -> Result<(), Failure> {
    match as_json {
        true => printer::data(&format!("{}\n", json!({"name": name, "result": result}))),
        false => Ok(()),
    }
}

fn of_user(store: &SecretStore, name: &str) -> Result<Option<SecretString>, Failure> {
    store.get(user(name)?).map_err(|error| Failure::from_error(&error))
}

/// What workloads keep is not the user's to see or change.
fn user(name: &str) -> Result<&str, Failure> {
    match thv_secrets::is_system_name(name) {
        true => Err(Failure::new(format!("the name {name} is the program's own"))),
        false => Ok(name),
    }
}

fn missing(name: &str) -> Failure {
    Failure::new(format!("there is no secret of the name {name}"))
        .with_hint("`thv secret list` shows those that there are")
}

/// From a prompt that shows nothing, or from a pipe.
fn read(name: &str) -> Result<SecretString, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("the secret cannot be read: {error}"));
    if stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("{name}: ")).map_err(failed)?;
        return Ok(SecretString::from(typed));
    }
    let mut text = String::new();
    stdin().lock().take(MAX).read_to_string(&mut text).map_err(failed)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(text.strip_suffix('\r').unwrap_or(text)))
}
