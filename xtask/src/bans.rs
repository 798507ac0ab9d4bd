//! Packages that must never be built, tests included: one TLS stack, one crypto library, one HTTP client.

use crate::metadata::{Follow, Metadata};

/// What is banned, and what to take instead.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "rustls"),
    ("openssl-sys", "rustls"),
    ("native-tls", "rustls"),
    ("ring", "aws-lc-rs"),
    ("reqwest", "thv-egress"),
    ("serde_yaml", "serde-saphyr"),
    ("serde_yml", "serde-saphyr"),
];

/// Every banned package that a member pulls in, as a sentence.
pub(crate) fn breaches(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for member in &metadata.members {
        let reached = metadata.reach(member, Follow::Built);
        let banned = BANNED.iter().filter(|(package, _)| reached.contains(package));
        found.extend(banned.map(|(package, instead)| format!("{member} pulls in {package}: use {instead}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Edge, Need};

    #[test]
    fn a_banned_package_is_found_behind_a_test_dependency() {
        let edge = |from: &str, to: &str, need| Edge { from: from.into(), to: to.into(), need };
        let members = ["thv".to_owned()].into();
        let edges = vec![edge("thv", "x", Need::Dev), edge("x", "ring", Need::Normal)];
        assert_eq!(breaches(&Metadata { members, edges }), ["thv pulls in ring: use aws-lc-rs"]);
    }

    #[test]
    fn a_neighbour_with_a_similar_name_is_fine() {
        let members = ["thv".to_owned()].into();
        let edges = vec![Edge { from: "thv".into(), to: "openssl-probe".into(), need: Need::Normal }];
        assert_eq!(breaches(&Metadata { members, edges }), Vec::<String>::new());
    }
}
