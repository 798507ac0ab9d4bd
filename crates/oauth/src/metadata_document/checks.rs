//! One function per rule.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Check, DocumentPolicy, MAX_REDIRECT_URIS, Outcome, Report, Rule};
use crate::auth_method::{AuthMethod, names_shared_secret};
use crate::client_id::MetadataUrl;
use crate::client_keys::{self, ClientKeysError};
use crate::client_metadata::ClientMetadata;
use crate::descriptive_text::{self, MAX_CONTACTS, is_informative};
use crate::grant_type::GrantType;
use crate::json_object::Members;
use crate::raw_uri::{is_https, is_loopback_http};
use crate::redirect_uri::{RedirectPolicy, RedirectUri};
use crate::scope::ScopeSet;

/// Every member whose value has an effect; duplicates of others are ignored like the members themselves.
const READ_MEMBERS: [&str; 21] = [
    "application_type",
    "client_id",
    "client_name",
    "client_secret",
    "client_secret_expires_at",
    "client_uri",
    "contacts",
    "grant_types",
    "jwks",
    "jwks_uri",
    "logo_uri",
    "policy_uri",
    "redirect_uris",
    "response_types",
    "scope",
    "software_id",
    "software_statement",
    "software_version",
    "token_endpoint_auth_method",
    "token_endpoint_auth_methods_supported",
    "tos_uri",
];

const TEXT_MEMBERS: [&str; 8] = [
    "scope",
    "token_endpoint_auth_method",
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "jwks_uri",
    "software_statement",
];

const LIST_MEMBERS: [&str; 3] = ["grant_types", "response_types", "token_endpoint_auth_methods_supported"];

/// Applies all rules in their order.
pub(super) fn run(url: &MetadataUrl, members: &Members, policy: &DocumentPolicy) -> Report {
    let mut examination = Examination {
        url,
        members,
        policy,
        notes: Vec::new(),
        auth_method: None,
        metadata: ClientMetadata::public(Vec::new()),
    };
    let checks: Vec<Check> =
        Rule::ALL.into_iter().map(|rule| Check { rule, outcome: examination.check(rule) }).collect();
    if checks.iter().any(|check| matches!(check.outcome, Outcome::Failed { .. })) {
        return Report { checks, notes: examination.notes, metadata: None };
    }
    examination.describe();
    Report { checks, notes: examination.notes, metadata: Some(examination.metadata) }
}

struct Examination<'a> {
    url: &'a MetadataUrl,
    members: &'a Members,
    policy: &'a DocumentPolicy,
    notes: Vec<String>,
    /// The chosen method, once the rule has passed.
    auth_method: Option<AuthMethod>,
    metadata: ClientMetadata,
}

impl<'a> Examination<'a> {
    fn check(&mut self, rule: Rule) -> Outcome {
        match rule {
            Rule::NoByteOrderMark | Rule::JsonObject => Outcome::Passed,
            Rule::UniqueMembers => self.unique_members(),
            Rule::MemberTypes => self.member_types(),
            Rule::ClientIdPresent => self.client_id_present(),
            Rule::ClientIdMatches => self.client_id_matches(),
            Rule::ClientName => self.client_name(),
            Rule::RedirectUrisPresent => self.redirect_uris_present(),
            Rule::RedirectUrisAllowed => self.redirect_uris_allowed(),
            Rule::NoClientSecret => self.no_client_secret(),
            Rule::NoSharedSecretMethod => self.no_shared_secret_method(),
            Rule::NoSharedSecretInStatement => self.no_shared_secret_in_statement(),
            Rule::NoPrivateKeys => self.no_private_keys(),
            Rule::OneKeySource => self.one_key_source(),
            Rule::AuthMethodSupported => self.auth_method_supported(),
            Rule::ClientKeys => self.client_keys(),
            Rule::GrantTypes => self.grant_types(),
            Rule::ResponseTypes => self.response_types(),
            Rule::HttpsUris => self.https_uris(),
        }
    }

    /// A text member; wrong types have been reported by [`Rule::MemberTypes`].
    fn text(&self, name: &'static str) -> Option<&'a str> {
        self.members.text(name).ok().flatten()
    }

    fn texts(&self, name: &'static str) -> Option<Vec<&'a str>> {
        self.members.texts(name).ok().flatten()
    }

    fn unique_members(&self) -> Outcome {
        match self.members.duplicate_of(&READ_MEMBERS) {
            None => Outcome::Passed,
            Some(name) => {
                Outcome::failed(format!("{name} appears more than once"), format!("keep one {name}"))
            }
        }
    }

    fn member_types(&self) -> Outcome {
        let texts = TEXT_MEMBERS.into_iter().find_map(|name| self.members.text(name).err());
        let lists = LIST_MEMBERS.into_iter().find_map(|name| self.members.texts(name).err());
        match texts.or(lists) {
            None => Outcome::Passed,
            Some(wrong) => Outcome::failed(
                format!("{} is not {}", wrong.member, wrong.expected),
                format!("make {} {}, or leave it out", wrong.member, wrong.expected),
            ),
        }
    }

    fn client_id_present(&self) -> Outcome {
        match self.members.text("client_id") {
            Ok(Some(_)) => Outcome::Passed,
            Ok(None) => {
                Outcome::failed("client_id is missing", format!("add \"client_id\": \"{}\"", self.url))
            }
            Err(_) => {
                Outcome::failed("client_id is not a string", format!("set client_id to \"{}\"", self.url))
            }
        }
    }

    fn client_id_matches(&mut self) -> Outcome {
        match self.text("client_id") {
            None => Outcome::Skipped,
            Some(client_id) if client_id == self.url.as_str() => {
                self.metadata.client_id = Some(client_id.to_owned());
                Outcome::Passed
            }
            Some(client_id) => Outcome::failed(
                format!("client_id is {}, but the document is at {}", shown(client_id), self.url),
                format!("set client_id to \"{}\", or use the other URL as client_id", self.url),
            ),
        }
    }

    fn client_name(&mut self) -> Outcome {
        let fix = "add a client_name that users recognize, such as \"client_name\": \"Example Client\"";
        match self.members.text("client_name") {
            Ok(None) => Outcome::failed("client_name is missing", fix),
            Err(_) => Outcome::failed("client_name is not a string", fix),
            Ok(Some(name)) => match descriptive_text::client_name(name) {
                Err(error) => Outcome::failed(error.to_string(), fix),
                Ok(name) => {
                    self.metadata.client_name = Some(name);
                    Outcome::Passed
                }
            },
        }
    }

    fn redirect_uris_present(&self) -> Outcome {
        let fix = format!("list 1 to {MAX_REDIRECT_URIS} redirect URIs as strings in redirect_uris");
        match self.members.texts("redirect_uris") {
            Ok(None) => Outcome::failed("redirect_uris is missing", fix),
            Err(_) => Outcome::failed("redirect_uris is not an array of strings", fix),
            Ok(Some(uris)) if uris.is_empty() => Outcome::failed("redirect_uris is empty", fix),
            Ok(Some(uris)) if uris.len() > MAX_REDIRECT_URIS => {
                Outcome::failed(format!("redirect_uris has {} entries", uris.len()), fix)
            }
            Ok(Some(_)) => Outcome::Passed,
        }
    }

    fn redirect_uris_allowed(&mut self) -> Outcome {
        let Some(uris) = self.texts("redirect_uris").filter(|uris| !uris.is_empty()) else {
            return Outcome::Skipped;
        };
        for raw in uris {
            match RedirectUri::parse(raw, RedirectPolicy::Strict) {
                Ok(uri) => self.metadata.redirect_uris.push(uri),
                Err(error) => {
                    return Outcome::failed(
                        format!("{}: {error}", shown(raw)),
                        "use https URIs, or http://127.0.0.1, http://[::1] or http://localhost for native apps",
                    );
                }
            }
        }
        Outcome::Passed
    }

    fn no_client_secret(&self) -> Outcome {
        match ["client_secret", "client_secret_expires_at"].into_iter().find(|name| self.members.has(name)) {
            None => Outcome::Passed,
            Some(name) => Outcome::failed(
                format!("{name} is present in a public document"),
                format!("remove {name}, and stop using the secret if it was a real one"),
            ),
        }
    }

    fn no_shared_secret_method(&self) -> Outcome {
        let declared = self.text("token_endpoint_auth_method");
        let listed = self.texts("token_endpoint_auth_methods_supported").unwrap_or_default();
        match declared.into_iter().chain(listed).find(|name| names_shared_secret(name)) {
            None => Outcome::Passed,
            Some(name) => Outcome::failed(
                format!(
                    "authentication method {} needs a secret that a public document cannot establish",
                    shown(name)
                ),
                "use \"none\", or \"private_key_jwt\" with jwks or jwks_uri",
            ),
        }
    }

    fn no_shared_secret_in_statement(&self) -> Outcome {
        let Some(statement) = self.text("software_statement") else { return Outcome::Skipped };
        let payload = statement.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        // A statement that cannot be read implies nothing, and nothing in it is ever used.
        let Some(claims) = payload.and_then(|payload| Members::parse(&payload).ok()) else {
            return Outcome::Skipped;
        };
        let declared = claims.text("token_endpoint_auth_method").ok().flatten();
        let listed = claims.texts("token_endpoint_auth_methods_supported").ok().flatten().unwrap_or_default();
        if claims.has("client_secret") || declared.into_iter().chain(listed).any(names_shared_secret) {
            Outcome::failed("software_statement declares a shared secret", "remove software_statement")
        } else {
            Outcome::Passed
        }
    }

    fn no_private_keys(&mut self) -> Outcome {
        let Some(jwks) = self.members.value("jwks") else { return Outcome::Skipped };
        match client_keys::check(jwks) {
            Ok(()) => {
                self.metadata.jwks = Some(jwks.clone());
                Outcome::Passed
            }
            Err(error @ ClientKeysError::NotAKeySet) => {
                Outcome::failed(error.to_string(), "set jwks to {\"keys\": [public keys]}, or leave it out")
            }
            Err(error) => Outcome::failed(
                error.to_string(),
                "publish the public key only, and replace the key that was exposed",
            ),
        }
    }

    fn one_key_source(&self) -> Outcome {
        match (self.members.value("jwks"), self.text("jwks_uri")) {
            (None, None) => Outcome::Skipped,
            (Some(_), Some(_)) => Outcome::failed("jwks and jwks_uri are both present", "keep one of them"),
            _ => Outcome::Passed,
        }
    }

    fn auth_method_supported(&mut self) -> Outcome {
        match self.choose_auth_method() {
            Some(method) => {
                self.auth_method = Some(method);
                self.metadata.token_endpoint_auth_method = method;
                self.metadata.token_endpoint_auth_methods_supported = self.auth_methods_to_choose_from();
                Outcome::Passed
            }
            None => {
                let supported: Vec<_> =
                    self.policy.supported_auth_methods.iter().map(|m| m.as_str()).collect();
                Outcome::failed(
                    "no declared authentication method is supported here",
                    format!("declare one of: {}", supported.join(", ")),
                )
            }
        }
    }

    /// Neither member means `none` (AS-64). With a list, the single member is the client's preference if it is in
    /// the list and usable; otherwise `private_key_jwt` if there are keys for it, then `none` (AS-66).
    fn choose_auth_method(&self) -> Option<AuthMethod> {
        let declared = self.text("token_endpoint_auth_method");
        if self.texts("token_endpoint_auth_methods_supported").is_none() {
            return self.usable_auth_method(declared.unwrap_or(AuthMethod::None.as_str()));
        }
        let options = self.auth_methods_to_choose_from();
        let has_keys = self.members.value("jwks").is_some() || self.text("jwks_uri").is_some();
        let keyed = |method: &AuthMethod| has_keys || *method != AuthMethod::PrivateKeyJwt;
        declared
            .and_then(|name| self.usable_auth_method(name))
            .into_iter()
            .chain([AuthMethod::PrivateKeyJwt, AuthMethod::None])
            .filter(|method| options.contains(method))
            .find(keyed)
            .or_else(|| options.first().copied())
    }

    /// The listed methods that are supported here.
    fn auth_methods_to_choose_from(&self) -> Vec<AuthMethod> {
        let listed = self.texts("token_endpoint_auth_methods_supported").unwrap_or_default();
        listed.into_iter().filter_map(|name| self.usable_auth_method(name)).collect()
    }

    fn usable_auth_method(&self, name: &str) -> Option<AuthMethod> {
        AuthMethod::parse(name).filter(|method| {
            !method.is_shared_secret() && self.policy.supported_auth_methods.contains(method)
        })
    }

    fn client_keys(&self) -> Outcome {
        if self.auth_method != Some(AuthMethod::PrivateKeyJwt) {
            return Outcome::Skipped;
        }
        if self.members.value("jwks").is_none() && self.text("jwks_uri").is_none() {
            return Outcome::failed(
                "private_key_jwt is declared, but neither jwks nor jwks_uri is present",
                "add jwks_uri or jwks, or declare \"none\"",
            );
        }
        Outcome::Passed
    }

    fn grant_types(&mut self) -> Outcome {
        let Some(declared) = self.texts("grant_types") else { return Outcome::Passed };
        let mut served = Vec::new();
        for name in declared {
            match GrantType::parse(name) {
                Some(grant_type) if served.contains(&grant_type) => {}
                Some(grant_type) => served.push(grant_type),
                None => self.notes.push(format!("grant type {} has no effect here", shown(name))),
            }
        }
        let has_code = served.contains(&GrantType::AuthorizationCode);
        self.metadata.grant_types = served;
        if has_code {
            Outcome::Passed
        } else {
            Outcome::failed(
                "grant_types lacks authorization_code",
                "add \"authorization_code\" to grant_types",
            )
        }
    }

    fn response_types(&mut self) -> Outcome {
        let Some(declared) = self.texts("response_types") else { return Outcome::Passed };
        for name in declared.iter().filter(|name| **name != "code") {
            self.notes.push(format!("response type {} has no effect here", shown(name)));
        }
        if declared.contains(&"code") {
            Outcome::Passed
        } else {
            Outcome::failed("response_types lacks code", "add \"code\" to response_types")
        }
    }

    fn https_uris(&mut self) -> Outcome {
        for name in ["client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri"] {
            let Some(uri) = self.text(name) else { continue };
            let local_keys = name == "jwks_uri" && self.url.is_loopback_http() && is_loopback_http(uri);
            if !is_https(uri) && !local_keys {
                return Outcome::failed(
                    format!("{name} is {}, not an https URI", shown(uri)),
                    format!("use an https URI, or leave {name} out"),
                );
            }
        }
        Outcome::Passed
    }

    /// Fills in what no rule judges: URIs that have passed, scopes, and information about the software.
    fn describe(&mut self) {
        let owned = |name| self.text(name).map(str::to_owned);
        let (client_uri, logo_uri, jwks_uri) = (owned("client_uri"), owned("logo_uri"), owned("jwks_uri"));
        let (tos_uri, policy_uri) = (owned("tos_uri"), owned("policy_uri"));
        let application_type = owned("application_type").filter(|kind| kind == "native" || kind == "web");
        let (software_id, software_version) =
            (self.informative("software_id"), self.informative("software_version"));
        let contacts = self.texts("contacts").unwrap_or_default();
        let contacts = contacts.into_iter().take(MAX_CONTACTS).filter(|text| is_informative(text));
        self.metadata.contacts = contacts.map(str::to_owned).collect();
        self.metadata.scope = self.declared_scope();
        self.metadata.client_uri = client_uri;
        self.metadata.logo_uri = logo_uri;
        self.metadata.tos_uri = tos_uri;
        self.metadata.policy_uri = policy_uri;
        self.metadata.jwks_uri = jwks_uri;
        self.metadata.application_type = application_type;
        self.metadata.software_id = software_id;
        self.metadata.software_version = software_version;
    }

    /// The declared scopes that are supported. What is not a scope token at all cannot be among them.
    fn declared_scope(&mut self) -> Option<ScopeSet> {
        let declared = self.text("scope").filter(|declared| !declared.trim().is_empty())?;
        for name in declared.split(' ').filter(|name| !name.is_empty()) {
            if !self.policy.scopes_supported.contains(name) {
                self.notes.push(format!("scope {} is not supported here", shown(name)));
            }
        }
        Some(self.policy.scopes_supported.named_in(declared.split(' ')))
    }

    fn informative(&self, name: &'static str) -> Option<String> {
        self.text(name).filter(|text| is_informative(text)).map(str::to_owned)
    }
}

/// A quoted and shortened form of a value for a message.
fn shown(value: &str) -> String {
    let short: String = value.chars().take(100).collect();
    if short.len() < value.len() { format!("{short:?}…") } else { format!("{short:?}") }
}
