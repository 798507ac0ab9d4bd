//! What was probably meant by a key or value that does not exist.

/// The candidate that `found` is probably a misspelling of.
pub(crate) fn nearest<'a>(found: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let found = folded(found);
    candidates
        .iter()
        .map(|candidate| (similarity(&found, &folded(candidate)), *candidate))
        .filter(|(similarity, _)| *similarity >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

fn similarity(a: &str, b: &str) -> f64 {
    let edits = strsim::normalized_damerau_levenshtein(a, b);
    // A long key that begins alike is likely even when it is far by edits: `upstreams` for `upstreamProviders`.
    if strsim::jaro_winkler(a, b) >= 0.87 { edits.max(0.6) } else { edits }
}

/// Spelling aside: `scopes_supported`, `scopes-supported` and `scopesSupported` are the same.
fn folded(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Advice for keys that people bring along from elsewhere and that no spelling rule would explain.
pub(super) fn advice(key: &str) -> Option<&'static str> {
    Some(match folded(key).as_str() {
        "clientsecret" => {
            "write clientSecretRef: {file: /run/secrets/name} or {env: NAME}; a secret does not belong here"
        }
        "clientsecretfile" => "write clientSecretRef: {file: …}",
        "clientsecretenvvar" => "write clientSecretRef: {env: …}",
        "embeddedauthserver" => "the block is called authServer here",
        "hmacsecretfiles" => "write hmacSecretRefs: [{file: …}]",
        "signingkeyconfig" => "write signingKeySecretRefs: [{file: …}]",
        "initialaccesstokenfile" => "write initialAccessTokenRef: {file: …}",
        "initialaccesstokenenvvar" => "write initialAccessTokenRef: {env: …}",
        "usernameenvvar" => "write usernameSecretRef: {env: …}",
        "passwordenvvar" => "write passwordSecretRef: {env: …}",
        "cacertfile" => "write caCertSecretRef: {file: …}",
        "trustedissuers" | "delegateclients" | "delegationtokenlifespan" => {
            "token exchange is not available in this build"
        }
        "forceconfidentialredirecturis" | "insecureallowconfidentialoverloopbackhttp" => {
            "list the client under authServer.clients with a clientSecretRef"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_finds_its_key_and_nonsense_finds_none() {
        let keys = ["issuer", "upstreamProviders", "scopesSupported", "cimd", "clients", "consent"];
        for (found, expected) in [
            ("upstreamProvider", Some("upstreamProviders")),
            ("upstreams", Some("upstreamProviders")),
            ("scopes_supported", Some("scopesSupported")),
            ("Issuer", Some("issuer")),
            ("isuser", Some("issuer")),
            ("client", Some("clients")),
            ("banana", None),
        ] {
            assert_eq!(nearest(found, &keys), expected, "{found}");
        }
    }
}
