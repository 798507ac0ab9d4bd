//! Logging in at the remote server.

use serde_json::Value;
use thv_config::Problem;
use thv_oauth::client_id::MetadataUrl;
use thv_oauth::issuer::{AllowHttp, Issuer};
use thv_remote::settings::AuthSettings;
use thv_remote::token_exchange::TokenExchangeSettings;

use super::{scopes, url};
use crate::definition::Definition;
use crate::settings::FIRST_PORT;

/// Short names of token types (RFC 8693 §3).
const TOKEN_TYPES: [&str; 3] = ["access_token", "id_token", "jwt"];

pub(super) fn check(definition: &Definition, found: &mut Vec<Problem>) {
    let auth = &definition.remote_auth;
    one_way_in(definition, found);
    endpoints(auth, found);
    client(auth, found);
    request(auth, found);
    if let Some(exchange) = &definition.token_exchange {
        token_exchange(exchange, auth.insecure_allow_http, found);
    }
}

/// A fixed token makes a login, and the exchange of its token, meaningless.
fn one_way_in(definition: &Definition, found: &mut Vec<Problem>) {
    if !definition.has_bearer_token {
        return;
    }
    for member in login_settings(&definition.remote_auth) {
        let message = "is for a login, and with has_bearer_token there is none; remove one of them";
        found.push(Problem::error(format!("remote_auth.{member}"), message));
    }
    if definition.token_exchange.is_some() {
        let message = "exchanges the token of a login, and with has_bearer_token there is none";
        found.push(Problem::error("token_exchange", message));
    }
}

/// The members that have a value and say something about a login.
fn login_settings(auth: &AuthSettings) -> Vec<String> {
    let login = AuthSettings { insecure_allow_http: false, ..auth.clone() };
    match serde_json::to_value(login) {
        Ok(Value::Object(members)) => members.into_iter().map(|(member, _)| member).collect(),
        _ => Vec::new(),
    }
}

/// Where the authorization server is: discovered, or named by its issuer, or by both of its endpoints.
fn endpoints(auth: &AuthSettings, found: &mut Vec<Problem>) {
    let AuthSettings { issuer, authorize_url, token_url, insecure_allow_http, .. } = auth;
    if let Some(issuer) = issuer {
        let allow_http = if *insecure_allow_http { AllowHttp::Any } else { AllowHttp::Loopback };
        if let Err(error) = Issuer::parse_upstream(issuer, allow_http) {
            found.push(Problem::error("remote_auth.issuer", error.to_string()));
        }
        if authorize_url.is_some() || token_url.is_some() {
            let message = "excludes authorize_url and token_url: it is there to find them";
            found.push(Problem::error("remote_auth.issuer", message));
        }
    }
    let both = [("authorize_url", authorize_url, "token_url"), ("token_url", token_url, "authorize_url")];
    for (member, value, other) in both {
        let at = format!("remote_auth.{member}");
        match value {
            Some(value) => url::check(&at, value, *insecure_allow_http, found),
            None if authorize_url.is_some() || token_url.is_some() => {
                found.push(Problem::error(at, format!("is required, because {other} is set")));
            }
            None => {}
        }
    }
}

/// Who the user's client is.
fn client(auth: &AuthSettings, found: &mut Vec<Problem>) {
    let needed_by = [
        ("authorize_url", auth.authorize_url.is_some()),
        ("token_url", auth.token_url.is_some()),
        ("has_client_secret", auth.has_client_secret),
    ];
    match auth.client_id.as_deref() {
        Some("") => found.push(Problem::error("remote_auth.client_id", "is empty")),
        None => {
            if let Some((member, _)) = needed_by.iter().find(|(_, set)| *set) {
                let message =
                    format!("is required, because {member} is set: nothing is discovered or registered then");
                found.push(Problem::error("remote_auth.client_id", message));
            }
        }
        Some(_) => {}
    }
    let Some(document) = &auth.client_metadata_url else { return };
    let at = "remote_auth.client_metadata_url";
    if let Err(error) = MetadataUrl::parse(document, true) {
        found.push(Problem::error(at, error.to_string()));
    }
    if auth.no_cimd {
        found.push(Problem::error(at, "has no effect with no_cimd; remove one of them"));
    }
}

/// What the authorization request says.
fn request(auth: &AuthSettings, found: &mut Vec<Problem>) {
    scopes("remote_auth.scopes", &auth.scopes, found);
    if auth.scope_param_name.as_ref().is_some_and(String::is_empty) {
        found.push(Problem::error("remote_auth.scope_param_name", "is empty"));
    }
    if auth.resource.as_deref().is_some_and(|resource| !is_absolute_uri(resource)) {
        let message = "must be an absolute URI without a fragment (RFC 8707)";
        found.push(Problem::error("remote_auth.resource", message));
    }
    if auth.callback_port.is_some_and(|port| port < FIRST_PORT) {
        let message = format!("must be from {FIRST_PORT} to {}", u16::MAX);
        found.push(Problem::error("remote_auth.callback_port", message));
    }
    if auth.timeout_secs == Some(0) {
        found.push(Problem::error("remote_auth.timeout_secs", "leaves no time for a login"));
    }
}

/// RFC 3986 §4.3.
fn is_absolute_uri(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
        && text.split_once(':').is_some_and(|(scheme, rest)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                && !rest.is_empty()
        })
}

fn is_token_type(kind: &str) -> bool {
    TOKEN_TYPES.contains(&kind) || is_absolute_uri(kind)
}

fn token_exchange(exchange: &TokenExchangeSettings, insecure_allow_http: bool, found: &mut Vec<Problem>) {
    url::check("token_exchange.url", &exchange.url, insecure_allow_http, found);
    scopes("token_exchange.scopes", &exchange.scopes, found);
    if exchange.has_client_secret && exchange.client_id.is_none() {
        let message = "is required, because has_client_secret is set";
        found.push(Problem::error("token_exchange.client_id", message));
    }
    if exchange.subject_token_type.as_deref().is_some_and(|kind| !is_token_type(kind)) {
        let message = "is not the type of a token that a login has";
        let hint = format!("write one of {}, or a URN (RFC 8693 §3)", TOKEN_TYPES.join(", "));
        found.push(Problem::error("token_exchange.subject_token_type", message).with_hint(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{paths, remote};
    use super::*;

    fn with(remote_auth: AuthSettings) -> Definition {
        Definition { remote_auth, ..remote() }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn manual() -> AuthSettings {
        AuthSettings {
            authorize_url: text("https://login.example.com/authorize"),
            token_url: text("https://login.example.com/token"),
            client_id: text("me"),
            ..AuthSettings::default()
        }
    }

    fn exchange() -> TokenExchangeSettings {
        TokenExchangeSettings {
            url: "https://login.example.com/token".into(),
            client_id: text("me"),
            has_client_secret: true,
            audience: text("api"),
            scopes: vec!["read".into()],
            subject_token_type: text("id_token"),
            header_name: text("X-Token"),
        }
    }

    #[test]
    fn a_login_with_everything_is_fine() {
        let auth = AuthSettings {
            issuer: text("https://login.example.com/tenant/"),
            client_id: text("me"),
            has_client_secret: true,
            scopes: vec!["openid".into()],
            resource: text("urn:example:api"),
            timeout_secs: Some(60),
            callback_port: Some(1024),
            client_metadata_url: text("https://me.example.com/client.json"),
            ..AuthSettings::default()
        };
        assert_eq!(with(auth).check(), []);
        assert_eq!(with(manual()).check(), []);
        assert_eq!(Definition { token_exchange: Some(exchange()), ..remote() }.check(), []);
    }

    #[test]
    fn a_bearer_token_goes_with_no_login() {
        let auth = AuthSettings { scopes: vec!["a".into()], insecure_allow_http: true, ..manual() };
        let definition =
            Definition { has_bearer_token: true, token_exchange: Some(exchange()), ..with(auth) };
        let expected = ["authorize_url", "client_id", "scopes", "token_url"];
        let expected = expected.map(|member| format!("remote_auth.{member}"));
        let mut found = paths(&definition);
        found.sort_unstable();
        assert_eq!(found[..4], expected);
        assert_eq!(found[4..], ["token_exchange"]);
        let alone = AuthSettings { insecure_allow_http: true, ..AuthSettings::default() };
        assert_eq!(Definition { has_bearer_token: true, ..with(alone) }.check(), []);
    }

    #[test]
    fn manual_endpoints_come_together_and_with_a_client() {
        let auth = AuthSettings { token_url: None, ..manual() };
        assert_eq!(paths(&with(auth)), ["remote_auth.token_url"]);
        let auth = AuthSettings { authorize_url: None, ..manual() };
        assert_eq!(paths(&with(auth)), ["remote_auth.authorize_url"]);
        let auth = AuthSettings { client_id: None, ..manual() };
        assert_eq!(paths(&with(auth)), ["remote_auth.client_id"]);
        let auth = AuthSettings { issuer: text("https://login.example.com"), ..manual() };
        assert_eq!(paths(&with(auth)), ["remote_auth.issuer"]);
    }

    #[test]
    fn a_client_secret_needs_a_client() {
        let auth = AuthSettings { has_client_secret: true, ..AuthSettings::default() };
        assert_eq!(paths(&with(auth)), ["remote_auth.client_id"]);
        let exchange = TokenExchangeSettings { client_id: None, ..exchange() };
        let definition = Definition { token_exchange: Some(exchange), ..remote() };
        assert_eq!(paths(&definition), ["token_exchange.client_id"]);
    }

    #[test]
    fn plain_http_of_the_authorization_server_needs_permission() {
        let mut auth = AuthSettings { token_url: text("http://login.corp.example/token"), ..manual() };
        assert_eq!(paths(&with(auth.clone())), ["remote_auth.token_url"]);
        auth.insecure_allow_http = true;
        assert_eq!(with(auth).check(), []);
        let issuer = AuthSettings { issuer: text("http://login.corp.example"), ..AuthSettings::default() };
        assert_eq!(paths(&with(issuer)), ["remote_auth.issuer"]);
    }

    #[test]
    fn single_values_are_checked() {
        let fine = AuthSettings::default;
        for (member, auth) in [
            ("callback_port", AuthSettings { callback_port: Some(1023), ..fine() }),
            ("timeout_secs", AuthSettings { timeout_secs: Some(0), ..fine() }),
            ("scopes[1]", AuthSettings { scopes: vec!["a".into(), "b c".into()], ..fine() }),
            ("scope_param_name", AuthSettings { scope_param_name: text(""), ..fine() }),
            ("resource", AuthSettings { resource: text("https://a.example/#b"), ..fine() }),
            ("resource", AuthSettings { resource: text("/mcp"), ..fine() }),
            ("client_id", AuthSettings { client_id: text(""), ..fine() }),
            (
                "client_metadata_url",
                AuthSettings { client_metadata_url: text("https://a.example/"), ..fine() },
            ),
            (
                "client_metadata_url",
                AuthSettings { client_metadata_url: text("https://a.example/c"), no_cimd: true, ..fine() },
            ),
        ] {
            assert_eq!(paths(&with(auth)), [format!("remote_auth.{member}")]);
        }
        let exchange = TokenExchangeSettings {
            url: "login".into(),
            header_name: text("Host"),
            scopes: vec![String::new()],
            subject_token_type: text("cookie"),
            ..exchange()
        };
        let found = paths(&Definition { token_exchange: Some(exchange), ..remote() });
        let members = ["url", "scopes[0]", "subject_token_type", "header_name"];
        assert_eq!(found, members.map(|member| format!("token_exchange.{member}")));
    }
}
