//! Secrets in the keyring of the desktop, by way of the Secret Service API on the D-Bus session bus.
//!
//! A connection is made for each operation: it takes a millisecond or two, and one that is kept does not outlive a restart of
//! the keyring's daemon.

use std::collections::HashMap;
use std::path::Path;

use dbus_secret_service::{Collection, EncryptionType, Error, Item, SecretService as Connection};
use secrecy::{ExposeSecret, SecretString};

use super::{Backend, text};
use crate::{SecretServiceError, SecretsError, Variables};

/// How long a person may take to unlock the keyring, in seconds.
const PROMPT_SECONDS: u64 = 60;
/// On all items: what they belong to, and that they are secrets of this form (other programs store for `toolhive` too).
const OURS: [(&str, &str); 2] = [("service", "toolhive"), ("xdg:schema", "toolhive-secret")];
const NAME: &str = "name";
const CONTENT_TYPE: &str = "text/plain";

pub(crate) struct SecretService {
    variables: Variables,
}

impl SecretService {
    /// The one on the session bus, which must answer and have a default collection. Nothing is unlocked yet.
    pub(crate) fn open(variables: Variables) -> Result<Self, SecretServiceError> {
        let service = Self { variables };
        default_collection(&service.connect()?)?;
        Ok(service)
    }

    /// Whether it holds a secret of ours, locked or not.
    pub(crate) fn holds_any(&self) -> Result<bool, SecretServiceError> {
        let connection = self.connect()?;
        let found = connection.search_items(OURS.into()).map_err(failed("search for secrets"))?;
        Ok(!found.unlocked.is_empty() || !found.locked.is_empty())
    }

    fn connect(&self) -> Result<Connection, SecretServiceError> {
        if !has_session_bus(&self.variables) {
            return Err(SecretServiceError::NoSessionBus);
        }
        Connection::connect_with_max_prompt_timeout(EncryptionType::Plain, PROMPT_SECONDS)
            .map_err(SecretServiceError::NoService)
    }
}

/// Whether it is known where the bus is. Asked first, because the D-Bus library would start a bus of its own otherwise.
fn has_session_bus(variables: &Variables) -> bool {
    variables.get("DBUS_SESSION_BUS_ADDRESS").is_some()
        || variables
            .get("XDG_RUNTIME_DIR")
            .is_some_and(|directory| Path::new(&directory).join("bus").exists())
}

fn default_collection(connection: &Connection) -> Result<Collection<'_>, SecretServiceError> {
    connection.get_default_collection().map_err(|error| match error {
        Error::NoResult => SecretServiceError::NoDefaultCollection,
        error => failed("tell its default collection")(error),
    })
}

fn attributes(name: &str) -> HashMap<&str, &str> {
    OURS.into_iter().chain([(NAME, name)]).collect()
}

/// All items with these attributes, in any collection and unlocked: the default collection may be another one than when
/// they were stored.
fn find<'a>(
    connection: &'a Connection,
    attributes: HashMap<&str, &str>,
) -> Result<Vec<Item<'a>>, SecretServiceError> {
    let found = connection.search_items(attributes).map_err(failed("search for secrets"))?;
    let mut items = found.unlocked;
    if !found.locked.is_empty() {
        connection
            .unlock_all(&found.locked.iter().collect::<Vec<_>>())
            .map_err(failed("unlock the keyring"))?;
        items.extend(found.locked);
    }
    Ok(items)
}

fn failed(action: &'static str) -> impl FnOnce(Error) -> SecretServiceError {
    move |source| match source {
        Error::Prompt | Error::Locked => SecretServiceError::Locked,
        source => SecretServiceError::Failed { action, source },
    }
}

impl Backend for SecretService {
    fn get(&self, name: &str) -> Result<Option<SecretString>, SecretsError> {
        let connection = self.connect()?;
        let items = find(&connection, attributes(name))?;
        let Some(item) = items.first() else { return Ok(None) };
        let value = item.get_secret().map_err(failed("tell a secret"))?;
        text(value, || format!("the Secret Service, item \"toolhive: {name}\"")).map(Some)
    }

    fn set(&self, name: &str, value: &SecretString) -> Result<(), SecretsError> {
        let connection = self.connect()?;
        let collection = default_collection(&connection)?;
        collection.ensure_unlocked().map_err(failed("unlock the keyring"))?;
        let value = value.expose_secret().as_bytes();
        let stored = collection
            .create_item(&format!("toolhive: {name}"), attributes(name), value, true, CONTENT_TYPE)
            .map_err(failed("store a secret"))?;
        // One of the same name in what was the default collection before would be read in its place.
        for older in find(&connection, attributes(name))?.iter().filter(|item| item.path != stored.path) {
            older.delete().map_err(failed("remove an older secret of the same name"))?;
        }
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<bool, SecretsError> {
        let connection = self.connect()?;
        let items = find(&connection, attributes(name))?;
        for item in &items {
            item.delete().map_err(failed("remove a secret"))?;
        }
        Ok(!items.is_empty())
    }

    fn list(&self) -> Result<Vec<String>, SecretsError> {
        let connection = self.connect()?;
        let mut names = Vec::new();
        for item in find(&connection, OURS.into())? {
            let mut attributes = item.get_attributes().map_err(failed("tell the name of a secret"))?;
            names.extend(attributes.remove(NAME));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn place(&self) -> String {
        "the keyring of the desktop session (Secret Service), items \"toolhive: <NAME>\"".to_owned()
    }
}
