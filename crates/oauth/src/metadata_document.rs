//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document-02 §4).
//!
//! [`examine`] applies every rule and reports on each, so that a server's refusal and a developer's check of a
//! document are the same code. The document's bytes come from the caller; the rules of the URL itself are those of
//! [`MetadataUrl`].

mod checks;
mod rule;

pub use rule::Rule;

use crate::auth_method::AuthMethod;
use crate::client_id::MetadataUrl;
use crate::client_metadata::ClientMetadata;
use crate::json_object::{JsonObjectError, Members};
use crate::scope::ScopeSet;

/// The most redirect URIs that a document may have.
pub const MAX_REDIRECT_URIS: usize = 32;

/// What this authorization server supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPolicy {
    /// Methods that clients with a document may use: `none`, `private_key_jwt`. Methods with a shared secret are
    /// never chosen, even if listed.
    pub supported_auth_methods: Vec<AuthMethod>,
    /// Declared scopes are reduced to these.
    pub scopes_supported: ScopeSet,
}

/// How one rule came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The document follows the rule.
    Passed,
    /// The document breaks the rule.
    Failed {
        /// What was found.
        detail: String,
        /// What to change.
        fix: String,
    },
    /// The rule has no subject, since another one failed or the document does not use the feature.
    Skipped,
}

impl Outcome {
    fn failed(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Failed { detail: detail.into(), fix: fix.into() }
    }
}

/// One rule and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule.
    pub rule: Rule,
    /// How it came out.
    pub outcome: Outcome,
}

/// All rules in the order of [`Rule::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One check per rule.
    pub checks: Vec<Check>,
    /// What in the document has no effect here although it is no error, e.g. grant types that are not served.
    pub notes: Vec<String>,
    /// What the document says, reduced to what is supported; `None` if a rule failed.
    pub metadata: Option<ClientMetadata>,
}

/// The first rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client ID metadata document: {detail}")]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What was found.
    pub detail: String,
    /// What to change.
    pub fix: String,
}

impl Report {
    /// The metadata, or the first failure.
    ///
    /// # Errors
    /// [`Refusal`] for the first rule in the order of [`Rule::ALL`] that failed.
    pub fn into_result(self) -> Result<ClientMetadata, Refusal> {
        for check in self.checks {
            if let Outcome::Failed { detail, fix } = check.outcome {
                return Err(Refusal { rule: check.rule, detail, fix });
            }
        }
        self.metadata.ok_or_else(|| Refusal {
            rule: Rule::JsonObject,
            detail: "the document was not examined".to_owned(),
            fix: Rule::JsonObject.title().to_owned(),
        })
    }

    /// Whether no rule failed.
    pub fn is_accepted(&self) -> bool {
        self.metadata.is_some()
    }

    fn unreadable(error: &JsonObjectError) -> Self {
        let (broken, fix) = match error {
            JsonObjectError::ByteOrderMark => {
                (Rule::NoByteOrderMark, "save the file as UTF-8 without a byte order mark")
            }
            JsonObjectError::Syntax { .. } => (Rule::JsonObject, "serve valid JSON in UTF-8"),
            JsonObjectError::NotAnObject => (Rule::JsonObject, "serve one JSON object: {\"client_id\": …}"),
        };
        let outcome = |rule| {
            if rule == broken {
                Outcome::failed(format!("the document {error}"), fix)
            } else if rule == Rule::NoByteOrderMark {
                Outcome::Passed
            } else {
                Outcome::Skipped
            }
        };
        let checks = Rule::ALL.into_iter().map(|rule| Check { rule, outcome: outcome(rule) }).collect();
        Self { checks, notes: Vec::new(), metadata: None }
    }
}

/// Applies every rule to the document that was fetched from `url`.
pub fn examine(url: &MetadataUrl, body: &[u8], policy: &DocumentPolicy) -> Report {
    match Members::parse(body) {
        Ok(members) => checks::run(url, &members, policy),
        Err(error) => Report::unreadable(&error),
    }
}

#[cfg(test)]
mod tests;
