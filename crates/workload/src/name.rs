//! What a workload is called.

mod derived;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name, in bytes.
pub const MAX_LEN: usize = 64;

/// Why a text is not a workload's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a workload's name is empty; write one such as my-server")]
    Empty,
    /// Too long.
    #[error("a workload's name has {0} characters, more than {MAX_LEN}")]
    TooLong(usize),
    /// It begins with something else than a letter or a digit.
    #[error("the workload's name {0:?} must begin with a lower-case letter or a digit")]
    Start(String),
    /// A character that file names and URLs do not share with names.
    #[error("the workload's name {0:?} may have lower-case letters, digits, '_', '.' and '-' only")]
    Character(String),
    /// No name can be derived from this URL.
    #[error("no name for the workload can be made of a URL without a host; give it a name")]
    NoHost,
}

/// A workload's name: `[a-z0-9][a-z0-9_.-]{0,63}`. It is part of file names, so it is never a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadName(String);

impl WorkloadName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A readable name for the MCP server at a URL: its host and what its path says beyond that it is an MCP endpoint.
    /// `https://mcp.example.com/mcp` is `mcp-example-com`, `https://api.example.com/mcp/x/issues` is
    /// `api-example-com-x-issues`, `http://localhost:3001/sse` is `localhost-3001`.
    ///
    /// # Errors
    /// [`NameError::NoHost`].
    pub fn from_url(url: &str) -> Result<Self, NameError> {
        derived::from_url(url).map(Self).ok_or(NameError::NoHost)
    }

    /// A readable name for the MCP server that a command starts: the package, image, module or script that a runner such as
    /// `npx` is given, or else the program. `npx -y @scope/server-x@1.2` is `server-x`.
    pub fn from_command(command: &str, args: &[String]) -> Self {
        Self(derived::from_command(command, args))
    }
}

impl FromStr for WorkloadName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_start = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let Some(start) = text.chars().next() else { return Err(NameError::Empty) };
        if text.len() > MAX_LEN {
            return Err(NameError::TooLong(text.chars().count()));
        }
        if !text.chars().all(|c| is_start(c) || matches!(c, '_' | '.' | '-')) {
            return Err(NameError::Character(text.to_owned()));
        }
        if !is_start(start) {
            return Err(NameError::Start(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for WorkloadName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for WorkloadName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WorkloadName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_a_letter_or_digit_and_is_no_path() {
        for good in ["a", "7", "my-server", "a_b.c-d", &"x".repeat(64)] {
            assert_eq!(good.parse::<WorkloadName>().unwrap().as_str(), good);
        }
        for (bad, expected) in [
            ("", NameError::Empty),
            (&"x".repeat(65), NameError::TooLong(65)),
            (".hidden", NameError::Start(".hidden".into())),
            ("-rf", NameError::Start("-rf".into())),
            ("..", NameError::Start("..".into())),
            ("a/b", NameError::Character("a/b".into())),
            ("A", NameError::Character("A".into())),
            ("a b", NameError::Character("a b".into())),
            ("ä", NameError::Character("ä".into())),
            ("a\n", NameError::Character("a\n".into())),
        ] {
            assert_eq!(bad.parse::<WorkloadName>(), Err(expected), "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused_in_json_too() {
        assert!(serde_json::from_str::<WorkloadName>("\"../x\"").is_err());
        let name: WorkloadName = serde_json::from_str("\"x\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"x\"");
    }
}
