//! What the user has set for all workloads: `config.yaml`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde_path_to_error::Track;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{MessageFormatter, Options, UserMessageFormatter};
use thv_oauth::client_id::MetadataUrl;
use thv_secrets::Choice;

use crate::files::{FileError, read_if_there};

/// Ports that a user may listen on.
pub(crate) const FIRST_PORT: u16 = 1024;

/// Settings for all workloads; everything may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Secrets.
    #[serde(deserialize_with = "or_default")]
    pub secrets: SecretsSettings,
    /// The URL of the client ID metadata document that logins are made with.
    #[serde(deserialize_with = "metadata_url")]
    pub client_metadata_url: Option<String>,
    /// The port of the redirect URI of logins.
    #[serde(deserialize_with = "callback_port")]
    pub callback_port: Option<u16>,
    /// PEM file of certificate authorities that are trusted beside the system's, absolute.
    #[serde(deserialize_with = "absolute")]
    pub ca_bundle: Option<PathBuf>,
}

/// The block `secrets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretsSettings {
    /// Where secrets are kept; `auto` when absent.
    #[serde(deserialize_with = "provider")]
    pub provider: Choice,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no YAML, or has an unknown key or a value that makes no sense.
    #[error("{}{}: {}{message}", path.display(), colon(*line), of_key(key))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, where it is known.
        line: Option<u64>,
        /// The key path, such as `secrets.provider`; empty for the file as a whole.
        key: String,
        /// What is wrong.
        message: String,
    },
}

/// `:3`
fn colon(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}

/// `secrets.provider: `
fn of_key(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

impl Settings {
    /// Reads the settings; without a file, everything is absent.
    ///
    /// # Errors
    /// The file cannot be read or makes no sense: an unknown key is a mistake.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        read_if_there(path)?.map_or_else(|| Ok(Self::default()), |text| parse(&text, path))
    }
}

fn parse(text: &str, path: &Path) -> Result<Settings, SettingsError> {
    let options: Options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    let mut track = Track::new();
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        // A file of comments alone says nothing.
        Option::<Settings>::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track))
    });
    read.map(Option::unwrap_or_default).map_err(|error| SettingsError::Malformed {
        path: path.to_owned(),
        line: error.location().map(|location| location.line()),
        key: Some(track.path().to_string()).filter(|key| key != ".").unwrap_or_default(),
        message: message(&error),
    })
}

fn message(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::SerdeUnknownField { expected, .. } => {
            format!("unknown key; the keys here are {}", expected.join(", "))
        }
        _ => UserMessageFormatter.format_message(error).into_owned(),
    }
}

/// A key without a value means the same as no key.
fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A value that must be of a certain kind.
fn parsed<'de, V: Deserialize<'de>, T, E: fmt::Display, D: Deserializer<'de>>(
    deserializer: D,
    parse: impl FnOnce(V) -> Result<T, E>,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)?.map(parse).transpose().map_err(de::Error::custom)
}

fn metadata_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    parsed(deserializer, |text: String| MetadataUrl::parse(&text, true).map(|_| text))
}

fn provider<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Choice, D::Error> {
    parsed(deserializer, |text: String| Choice::from_str(&text)).map(Option::unwrap_or_default)
}

fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    parsed(
        deserializer,
        |path: PathBuf| {
            if path.is_absolute() { Ok(path) } else { Err("must be an absolute path") }
        },
    )
}

fn callback_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    parsed(deserializer, |port: u16| {
        if port >= FIRST_PORT { Ok(port) } else { Err(format!("must be from {FIRST_PORT} to {}", u16::MAX)) }
    })
}

#[cfg(test)]
mod tests {
    use thv_secrets::Provider;

    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        parse(text, Path::new("/c/config.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn all_settings_are_read() {
        let text = "\
# mine
secrets:
  provider: environment
clientMetadataUrl: https://me.example.com/client.json
callbackPort: 9000
caBundle: /etc/ca.pem
";
        let expected = Settings {
            secrets: SecretsSettings { provider: Choice::Named(Provider::Environment) },
            client_metadata_url: Some("https://me.example.com/client.json".into()),
            callback_port: Some(9000),
            ca_bundle: Some("/etc/ca.pem".into()),
        };
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn no_file_and_a_file_without_settings_mean_the_same() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Settings::load(&home.path().join("none")).unwrap(), Settings::default());
        for text in [
            "",
            "# nothing\n",
            "---\n",
            "{}",
            "secrets: {}\n",
            "secrets:\ncallbackPort:\n",
            "secrets:\n  provider:\n",
        ] {
            assert_eq!(read(text), Ok(Settings::default()), "{text:?}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_file_line_and_key() {
        for (text, expected) in [
            (
                "\ncallbackport: 1\n",
                "/c/config.yaml:2: callbackport: unknown key; the keys here are secrets, ",
            ),
            (
                "secrets:\n  providr: x\n",
                "/c/config.yaml:2: secrets.providr: unknown key; the keys here are provider",
            ),
            (
                "secrets:\n  provider: 1password\n",
                "/c/config.yaml:2: secrets.provider: \"1password\" is not a provider",
            ),
            ("callbackPort: 80\n", "/c/config.yaml:1: callbackPort: must be from 1024 to 65535"),
            ("callbackPort: many\n", "/c/config.yaml:1: callbackPort: "),
            ("clientMetadataUrl: http://me.example.com/c\n", "/c/config.yaml:1: clientMetadataUrl: "),
            ("caBundle: ca.pem\n", "/c/config.yaml:1: caBundle: must be an absolute path"),
            ("caBundle: /a\ncaBundle: /b\n", "/c/config.yaml:2: "),
            ("- a\n", "/c/config.yaml:1: "),
            ("a: [\n", "/c/config.yaml:"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_none() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(Settings::load(home.path()), Err(SettingsError::File(_))));
    }
}
