//! Definitions as JSON.

use serde::Deserialize;

use super::{Definition, SCHEMA_VERSION};

/// Why a text is not a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// No JSON, or a member that is unknown, missing or of a wrong type.
    #[error("{}{message} (line {line})", prefix(path))]
    Malformed {
        /// Which member, such as `token_exchange.url`; empty for the text as a whole.
        path: String,
        /// What is wrong with it, without its value.
        message: String,
        /// Where it was noticed.
        line: usize,
    },
    /// It was written by a later version.
    #[error(
        "schema_version: it has version {0} and this program knows {SCHEMA_VERSION}; use the later program"
    )]
    UnknownVersion(u32),
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    schema_version: u32,
}

impl Definition {
    /// Reads a definition. The values are not checked yet: that is [`check`](Self::check).
    ///
    /// # Errors
    /// The first mistake, with its path.
    pub fn from_json(text: &str) -> Result<Self, DefinitionError> {
        let Versioned { schema_version } = deserialize(text)?;
        if schema_version != SCHEMA_VERSION {
            return Err(DefinitionError::UnknownVersion(schema_version));
        }
        deserialize(text)
    }

    /// The definition as JSON for files and people, as [`from_json`](Self::from_json) reads it.
    ///
    /// # Errors
    /// A path in it is not UTF-8.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

fn deserialize<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, DefinitionError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        malformed(if path == "." { "" } else { &path }, error.inner())
    })?;
    deserializer.end().map_err(|error| malformed("", &error))?;
    Ok(value)
}

fn malformed(path: &str, error: &serde_json::Error) -> DefinitionError {
    let text = error.to_string();
    // "… at line 3 column 7", which has its own place here.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let message = match text.rsplit_once(", expected ") {
        // The value comes before, and may be a secret in the wrong place.
        Some((_, expected)) if text.starts_with("invalid ") => format!("expected {expected}"),
        _ => text.to_owned(),
    };
    DefinitionError::Malformed { path: path.to_owned(), message, line: error.line() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        Definition::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn a_definition_reads_back_as_it_was_written() {
        let json = r#"{
            "schema_version": 1,
            "name": "everything",
            "remote_url": "https://mcp.example.com/mcp",
            "host": "127.0.0.1",
            "proxy_port": 4711,
            "remote_auth": {"issuer": "https://login.example.com", "scopes": ["a", "b"], "skip_browser": true},
            "forward_headers": {"X-Team": "blue"},
            "forward_headers_secret": {"X-Api-Key": "api-key"},
            "token_exchange": {"url": "https://login.example.com/token", "subject_token_type": "id_token"},
            "ca_bundle": "/etc/ca.pem",
            "auth_server": "/etc/as.yaml",
            "allowed_origins": ["https://app.example.com"]
        }"#;
        let definition = Definition::from_json(json).unwrap();
        assert_eq!(definition.remote_auth.scopes, ["a", "b"]);
        let written = definition.to_json().unwrap();
        assert!(Definition::from_json(&written).unwrap() == definition);
        let values = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(values(&written), values(json), "nothing is added and nothing is lost");
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let json = r#"{"schema_version": 1, "name": "x", "command": "serve"}"#;
        let expected = Definition::command("x".parse().unwrap(), "serve", Vec::new());
        assert!(Definition::from_json(json).unwrap() == expected);
    }

    #[test]
    fn an_unknown_member_is_refused_with_its_path() {
        let top = error(r#"{"schema_version": 1, "name": "x", "comand": "serve"}"#);
        assert!(top.starts_with("comand: unknown field `comand`") && top.contains("`command`"), "{top}");
        let nested =
            error("{\"schema_version\": 1, \"name\": \"x\",\n\"remote_auth\": {\"clientid\": \"c\"}}");
        assert!(nested.starts_with("remote_auth.clientid: unknown field"), "{nested}");
        assert!(nested.ends_with("(line 2)"), "{nested}");
    }

    #[test]
    fn a_value_of_a_wrong_type_is_not_shown() {
        let found = error(r#"{"schema_version": 1, "name": "x", "proxy_port": "s3cret"}"#);
        assert_eq!(found, "proxy_port: expected u16 (line 1)");
        let found = error(r#"{"schema_version": 1, "name": "x", "env": {"KEY": 4711}}"#);
        assert_eq!(found, "env.KEY: expected a string (line 1)");
    }

    #[test]
    fn a_later_version_is_said_to_be_one_whatever_else_it_has() {
        let later = r#"{"schema_version": 2, "name": "x", "new": true}"#;
        assert_eq!(Definition::from_json(later), Err(DefinitionError::UnknownVersion(2)));
        assert!(error(r#"{"name": "x"}"#).contains("schema_version"));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "[]", "null", r#"{"schema_version": 1, "name": "x", "command": "c"} more"#] {
            assert!(matches!(Definition::from_json(text), Err(DefinitionError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_values() {
        let json = r#"{"schema_version": 1, "name": "x", "command": "c", "args": ["--key=s3cret"],
            "env": {"K": "s3cret"}, "forward_headers": {"X-Key": "s3cret"}}"#;
        let shown = format!("{:?}", Definition::from_json(json).unwrap());
        assert!(shown.contains("\"x\"") && !shown.contains("s3cret"), "{shown}");
    }
}
