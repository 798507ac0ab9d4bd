//! Header fields that are added to requests.

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue};
use thv_config::Problem;

use super::secret_name;
use crate::definition::Definition;

/// Fields that belong to one connection (RFC 9110 §7.6.1), to the message's framing and target, or to MCP and its streams.
const TAKEN: [&str; 21] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

const AUTHORIZATION: &str = "authorization";

/// The fields of both maps and of the token exchange. No problem shows a value.
pub(super) fn check(definition: &Definition, found: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (name, value) in &definition.forward_headers {
        let at = format!("forward_headers.{name}");
        field(&at, name, &mut seen, found);
        if name.eq_ignore_ascii_case(AUTHORIZATION) {
            let message = "is a credential and does not belong into a file";
            let hint = "store the value as a secret and name it in forward_headers_secret";
            found.push(Problem::error(&at, message).with_hint(hint));
        }
        if HeaderValue::from_str(value).is_err() {
            found.push(Problem::error(at, "has a value with characters that no header field may have"));
        }
    }
    for (name, secret) in &definition.forward_headers_secret {
        let at = format!("forward_headers_secret.{name}");
        field(&at, name, &mut seen, found);
        if name.eq_ignore_ascii_case(AUTHORIZATION) {
            one_credential(&at, definition, found);
        }
        secret_name(at, secret, found);
    }
    let exchanged = definition.token_exchange.as_ref().and_then(|exchange| exchange.header_name.as_ref());
    if let Some(name) = exchanged {
        field("token_exchange.header_name", name, &mut seen, found);
    }
}

/// A field name that may be set, and only once.
fn field(at: &str, name: &str, seen: &mut BTreeSet<String>, found: &mut Vec<Problem>) {
    let lower = name.to_ascii_lowercase();
    let message = if HeaderName::from_bytes(name.as_bytes()).is_err() {
        "is not the name of a header field"
    } else if TAKEN.contains(&lower.as_str()) || lower.starts_with("x-forwarded-") {
        "is set by the proxy itself, or has no meaning beyond one connection"
    } else if !seen.insert(lower) {
        "is set twice; letter case makes no difference"
    } else {
        return;
    };
    found.push(Problem::error(at, message));
}

/// A request has one `Authorization`.
fn one_credential(at: &str, definition: &Definition, found: &mut Vec<Problem>) {
    let exchange = definition.token_exchange.as_ref();
    let other = if definition.has_bearer_token {
        "has_bearer_token"
    } else if exchange.is_some_and(|exchange| exchange.header_name.is_none()) {
        "token_exchange"
    } else {
        return;
    };
    found.push(Problem::error(at, format!("{other} sets it as well; remove one of them")));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{paths, remote};
    use super::*;
    use thv_remote::token_exchange::TokenExchangeSettings;

    fn with(plain: &[(&str, &str)], secret: &[(&str, &str)]) -> Definition {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        Definition { forward_headers: map(plain), forward_headers_secret: map(secret), ..remote() }
    }

    #[test]
    fn fields_of_ones_own_are_fine() {
        let definition = with(
            &[("X-Team", "blue"), ("Cookie", "a=b")],
            &[("X-Api-Key", "key"), ("Authorization", "auth")],
        );
        assert_eq!(definition.check(), []);
    }

    #[test]
    fn fields_of_the_connection_and_of_mcp_are_refused() {
        for name in TAKEN.iter().copied().chain(["Host", "X-Forwarded-For", "a b", "", "größe"]) {
            assert_eq!(paths(&with(&[(name, "v")], &[])), [format!("forward_headers.{name}")]);
            assert_eq!(paths(&with(&[], &[(name, "s")])), [format!("forward_headers_secret.{name}")]);
        }
    }

    #[test]
    fn a_value_that_would_begin_a_new_field_is_refused_and_not_shown() {
        let problems = with(&[("X-A", "s3cret\r\nHost: evil")], &[]).check();
        assert_eq!(problems.len(), 1);
        assert!(!problems[0].to_string().contains("s3cret"), "{}", problems[0]);
    }

    #[test]
    fn a_field_is_set_once_whatever_its_case() {
        let definition = with(&[("X-Key", "a")], &[("x-key", "b")]);
        assert_eq!(paths(&definition), ["forward_headers_secret.x-key"]);
    }

    #[test]
    fn authorization_is_a_secret_and_the_only_credential() {
        assert_eq!(paths(&with(&[("Authorization", "Basic x")], &[])), ["forward_headers.Authorization"]);
        let mut definition = with(&[], &[("authorization", "s")]);
        definition.has_bearer_token = true;
        assert_eq!(paths(&definition), ["forward_headers_secret.authorization"]);
        definition.has_bearer_token = false;
        let url = "https://login.example.com/token".to_owned();
        let mut exchange = TokenExchangeSettings { url, ..<_>::default() };
        definition.token_exchange = Some(exchange.clone());
        assert_eq!(paths(&definition), ["forward_headers_secret.authorization"]);
        exchange.header_name = Some("X-Token".into());
        definition.token_exchange = Some(exchange);
        assert_eq!(definition.check(), []);
    }
}
