use serde_json::{Value, json};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_id::MetadataUrl;
use thv_oauth::metadata_document::{DocumentPolicy, Outcome, examine};
use thv_oauth::scope::ScopeSet;

use crate::args::CimdNew;
use crate::failure::{Complaint, Failure};
use crate::printer;

/// `thv cimd new`: prints a document that passes every rule, or says which it breaks.
pub(crate) fn new(args: CimdNew) -> Result<(), Failure> {
    let url = MetadataUrl::parse(&args.client_id, true).map_err(|error| {
        Failure::from_error(&error)
            .with_hint("a client identifier is an https URL with a path, served by you")
    })?;
    let scopes = ScopeSet::from_tokens(args.scopes.iter().map(String::as_str));
    let scopes = scopes.map_err(|error| Failure::from_error(&error))?;
    let document = format!("{:#}\n", document(&args, &scopes));
    let policy = DocumentPolicy {
        supported_auth_methods: vec![AuthMethod::None, AuthMethod::PrivateKeyJwt],
        scopes_supported: scopes,
    };
    let report = examine(&url, document.as_bytes(), &policy);
    let broken = report.checks.into_iter().filter_map(|check| match check.outcome {
        Outcome::Failed { detail, fix } => {
            let message = format!("{} {}: {detail}", check.rule.row(), check.rule.reason());
            Some(Complaint { message, causes: Vec::new(), hint: Some(fix) })
        }
        Outcome::Passed | Outcome::Skipped => None,
    });
    let broken: Vec<Complaint> = broken.collect();
    if broken.is_empty() { printer::data(&document) } else { Err(Failure(broken)) }
}

fn document(args: &CimdNew, scopes: &ScopeSet) -> Value {
    let method = if args.jwks_uri.is_some() { AuthMethod::PrivateKeyJwt } else { AuthMethod::None };
    let mut document = json!({
        "client_id": args.client_id,
        "client_name": args.name,
        "application_type": args.application_type.as_str(),
        "redirect_uris": args.redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.as_str(),
    });
    let optional = [
        ("client_uri", args.client_uri.clone().map(Value::from)),
        ("logo_uri", args.logo_uri.clone().map(Value::from)),
        ("jwks_uri", args.jwks_uri.clone().map(Value::from)),
        ("scope", (!scopes.is_empty()).then(|| Value::from(scopes.to_string()))),
        ("contacts", (!args.contacts.is_empty()).then(|| Value::from(args.contacts.clone()))),
    ];
    if let Value::Object(members) = &mut document {
        for (name, value) in optional {
            members.extend(value.map(|value| (name.to_owned(), value)));
        }
    }
    document
}
