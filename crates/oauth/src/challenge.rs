//! The `WWW-Authenticate` challenge of a protected resource (RFC 6750 §3, RFC 9728 §5.1).

use std::fmt;

use crate::error::{ErrorCode, description};
use crate::scope::ScopeSet;

/// A `Bearer` challenge; `to_string` gives the header value. Parameters appear in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    realm: Option<String>,
    error: Option<ErrorCode>,
    error_description: Option<String>,
    scope: Option<String>,
    resource_metadata: Option<String>,
}

impl Challenge {
    /// A challenge without parameters.
    pub fn bearer() -> Self {
        Self::default()
    }

    /// Names the protection space.
    #[must_use]
    pub fn realm(mut self, realm: &str) -> Self {
        self.realm = Some(realm.to_owned());
        self
    }

    /// Points to the protected resource metadata (RFC 9728 §5.1).
    #[must_use]
    pub fn resource_metadata(mut self, url: &str) -> Self {
        self.resource_metadata = Some(url.to_owned());
        self
    }

    /// Says which scopes are needed; an empty set leaves the parameter out.
    #[must_use]
    pub fn scope(mut self, scope: &ScopeSet) -> Self {
        self.scope = (!scope.is_empty()).then(|| scope.to_string());
        self
    }

    /// Says what was wrong with the token that was sent. Leave it out if none was sent (RS-4).
    #[must_use]
    pub fn error(mut self, error: ErrorCode) -> Self {
        self.error = Some(error);
        self
    }

    /// A text for the client's developer.
    #[must_use]
    pub fn error_description(mut self, text: &str) -> Self {
        self.error_description = Some(description(text));
        self
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params = [
            ("realm", self.realm.as_deref()),
            ("error", self.error.map(ErrorCode::as_str)),
            ("error_description", self.error_description.as_deref()),
            ("scope", self.scope.as_deref()),
            ("resource_metadata", self.resource_metadata.as_deref()),
        ];
        f.write_str("Bearer")?;
        let mut separator = " ";
        for (name, value) in params {
            if let Some(value) = value {
                write!(f, "{separator}{name}=\"{}\"", quoted(value))?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// The inside of a quoted-string (RFC 9110 §5.6.4). What a header cannot carry becomes `?`.
fn quoted(value: &str) -> String {
    let mut inside = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '"' | '\\' => inside.extend(['\\', c]),
            ' '..='~' => inside.push(c),
            _ => inside.push('?'),
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rs_4_rs_5_the_challenge_for_a_missing_token_has_no_error() {
        let challenge = Challenge::bearer()
            .scope(&ScopeSet::parse("a b").unwrap())
            .resource_metadata("https://r.example/.well-known/oauth-protected-resource/mcp");
        assert_eq!(
            challenge.to_string(),
            "Bearer scope=\"a b\", resource_metadata=\"https://r.example/.well-known/oauth-protected-resource/mcp\""
        );
        assert_eq!(Challenge::bearer().scope(&ScopeSet::default()).to_string(), "Bearer");
    }

    #[test]
    fn rs_6_all_parameters_are_quoted_and_escaped() {
        let challenge = Challenge::bearer()
            .realm("a \"b\" \\ é\r\n")
            .error(ErrorCode::InsufficientScope)
            .error_description("needs \"x\"");
        assert_eq!(
            challenge.to_string(),
            r#"Bearer realm="a \"b\" \\ ???", error="insufficient_scope", error_description="needs 'x'""#
        );
    }

    proptest! {
        #[test]
        fn any_text_stays_inside_its_quotes(realm in any::<String>()) {
            let header = Challenge::bearer().realm(&realm).to_string();
            prop_assert!(header.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
            let inside = header.strip_prefix("Bearer realm=\"").unwrap().strip_suffix('"').unwrap();
            prop_assert!(!inside.replace("\\\\", "").replace("\\\"", "").contains(['"', '\\']));
        }
    }
}
