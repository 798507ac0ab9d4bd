//! Secrets from environment variables: a provider that cannot be written to, and what every other one falls back to.

use secrecy::SecretString;

use super::{Backend, text};
use crate::{SecretsError, Variables, is_system_name};

const PREFIX: &str = "TOOLHIVE_SECRET_";
const DISABLE_FALLBACK: &str = "TOOLHIVE_DISABLE_ENV_FALLBACK";

pub(crate) struct Environment(pub(crate) Variables);

impl Environment {
    /// Whether other providers may fall back to it.
    pub(crate) fn is_fallback(&self) -> bool {
        self.0.get(DISABLE_FALLBACK).is_none_or(|value| !value.eq_ignore_ascii_case("true"))
    }
}

impl Backend for Environment {
    /// The program's own secrets are never taken from here: what starts it could then choose a workload's credentials.
    fn get(&self, name: &str) -> Result<Option<SecretString>, SecretsError> {
        if is_system_name(name) {
            return Ok(None);
        }
        let variable = variable(name);
        match self.0.get(&variable) {
            None => Ok(None),
            Some(value) => text(value.into_encoded_bytes(), || format!("the variable {variable}")).map(Some),
        }
    }

    fn set(&self, name: &str, _: &SecretString) -> Result<(), SecretsError> {
        Err(SecretsError::ReadOnly { variable: variable(name) })
    }

    fn delete(&self, name: &str) -> Result<bool, SecretsError> {
        Err(SecretsError::ReadOnly { variable: variable(name) })
    }

    /// None: this program stored nothing there.
    fn list(&self) -> Result<Vec<String>, SecretsError> {
        Ok(Vec::new())
    }

    fn place(&self) -> String {
        format!("the environment variables {PREFIX}<NAME>")
    }
}

/// The variable of a secret. Names that differ only in case or punctuation share one.
fn variable(name: &str) -> String {
    let mapped = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    PREFIX.chars().chain(mapped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_the_name_in_capitals_with_underscores() {
        assert_eq!(variable("github"), "TOOLHIVE_SECRET_GITHUB");
        assert_eq!(variable("a.b-c_9"), "TOOLHIVE_SECRET_A_B_C_9");
    }
}
