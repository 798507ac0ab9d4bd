//! Which scope is asked for.

use thv_oauth::received_challenge::ReceivedChallenge;

use crate::discovery::Found;
use crate::settings::AuthSettings;

/// Asks for a refresh token (OpenID Connect Core §11).
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

impl Found {
    /// The scope to ask for in the standard's order (CL-47): the user's, the challenge's, all that the resource's metadata
    /// name, none; and `offline_access` where the authorization server lists it (CL-48).
    pub fn scope(&self, settings: &AuthSettings, challenge: Option<&ReceivedChallenge>) -> String {
        let listed = self.resource_metadata.as_ref().map(|found| found.metadata.scopes_supported.join(" "));
        let scope = match (settings.scopes.as_slice(), challenge.and_then(ReceivedChallenge::scope)) {
            ([], Some(challenged)) => challenged.to_owned(),
            ([], None) => listed.unwrap_or_default(),
            (configured, _) => configured.join(" "),
        };
        let offline = self.server.scopes_supported.iter().any(|scope| scope == OFFLINE_ACCESS);
        if offline { union(&scope, OFFLINE_ACCESS) } else { scope }
    }
}

/// Whether `scope` has every token of `wanted`.
pub(crate) fn covers(scope: &str, wanted: &str) -> bool {
    tokens(wanted).all(|token| tokens(scope).any(|one| one == token))
}

/// All tokens of `scope`, and those of `more` that it lacks (CL-49). Tokens are taken as they are: which ones are sensible is
/// the server's to say.
pub(crate) fn union(scope: &str, more: &str) -> String {
    let mut all: Vec<&str> = tokens(scope).collect();
    for token in tokens(more) {
        if !all.contains(&token) {
            all.push(token);
        }
    }
    all.join(" ")
}

fn tokens(scope: &str) -> impl Iterator<Item = &str> {
    scope.split(' ').filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_49_a_union_keeps_the_order_and_repeats_nothing() {
        assert_eq!(union("b a", "a c  b"), "b a c");
        assert_eq!(union("", " x "), "x");
        assert!(covers("a b", "b") && covers("a", "") && !covers("ab", "a"));
    }
}
