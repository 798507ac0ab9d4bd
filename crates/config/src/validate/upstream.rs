//! Upstream providers.

mod identity;
mod local;
mod mistaken_issuer;
mod oauth2;
mod oidc;
mod registration;
mod request;

use std::collections::BTreeSet;

use crate::auth_server::AuthServer;
use crate::load::suggest;
use crate::preset;
use crate::problem::Problem;
use crate::upstream::{UpstreamProvider, UpstreamType};

use super::findings::Findings;
use super::{Profile, text};

const MAX_NAME: usize = 63;
const MAX_LABEL: usize = 64;

pub(super) fn check(auth_server: &AuthServer, profile: Profile, findings: &mut Findings) {
    let at = "authServer.upstreamProviders";
    let providers = &auth_server.upstream_providers;
    if providers.is_empty() {
        findings.error(at, "at least one upstream provider is required: it is where users log in");
    }
    let mut seen = BTreeSet::new();
    for (index, provider) in providers.iter().enumerate() {
        let (at, first) = (format!("{at}[{index}]"), index == 0);
        name(&at, &provider.name, findings);
        if !provider.name.is_empty() && !seen.insert(&provider.name) {
            findings.error(&format!("{at}.name"), format!("{:?} occurs twice", provider.name));
        }
        label(&at, provider.label.as_deref(), findings);
        place_in_login(&at, provider, first, findings);
        registration::document_can_be_fetched(&at, provider, &auth_server.issuer, findings);
        if preset_fits(&at, provider, findings) {
            block(&at, provider, first, profile, findings);
        }
    }
    if let Some(name) = &auth_server.primary_upstream_provider
        && !seen.contains(name)
    {
        findings.error(
            "authServer.primaryUpstreamProvider",
            format!("{name:?} is not the name of one of the upstreamProviders"),
        );
    }
}

fn name(at: &str, name: &str, findings: &mut Findings) {
    let at = format!("{at}.name");
    if !findings.required(&at, name, "a short name such as corp, seen in paths and logs") {
        return;
    }
    if !text::is_provider_name(name) || name.len() > MAX_NAME {
        let rule = format!("at most {MAX_NAME} lower-case letters, digits and inner hyphens");
        findings.error(&at, format!("{name:?} is not a valid name: {rule}"));
    } else if matches!(name, "http" | "https" | "urn") {
        findings.error(&at, format!("{name:?} is reserved, because it would read like a URI scheme"));
    }
}

fn label(at: &str, label: Option<&str>, findings: &mut Findings) {
    if label.is_some_and(|label| !text::is_line(label, MAX_LABEL)) {
        let message = format!("must be one line of 1 to {MAX_LABEL} printable characters");
        findings.error(&format!("{at}.label"), message);
    }
}

/// The first provider gives the identity, always; the others follow, unless they may be skipped or wait for their use.
fn place_in_login(at: &str, provider: &UpstreamProvider, first: bool, findings: &mut Findings) {
    if first {
        for (key, set) in [("optional", provider.optional), ("onDemand", provider.on_demand)] {
            if set {
                let message =
                    "is not for the first provider: it says who the user is, so every login begins there";
                findings.error(&format!("{at}.{key}"), message);
            }
        }
    } else if provider.optional && provider.on_demand {
        findings.error(
            &format!("{at}.onDemand"),
            "optional and onDemand exclude each other: an optional login is offered at every login and may be skipped, \
             one on demand is asked for when its token is first needed",
        );
    }
    if !first && provider.upstream_type == Some(UpstreamType::Local) {
        findings.error(
            &format!("{at}.type"),
            "local can only be the first provider: it says who the user is, and has no token to hand on",
        );
    }
}

/// Whether the preset, if any, has been filled in; otherwise what is missing would be reported too, to no use.
fn preset_fits(at: &str, provider: &UpstreamProvider, findings: &mut Findings) -> bool {
    let Some(name) = &provider.preset else { return true };
    let Some(preset_type) = preset::upstream_type(name) else {
        let names = preset::names();
        let problem =
            Problem::error(format!("{at}.preset"), format!("`{name}` is not one of {}", names.join(", ")));
        findings.push(match suggest::nearest(name, &names) {
            Some(nearest) => problem.with_hint(format!("did you mean `{nearest}`?")),
            None => problem.with_hint("leave it out for another provider"),
        });
        return false;
    };
    let fits = provider.upstream_type.is_none_or(|own| own.as_str() == preset_type);
    if !fits {
        let message = format!("preset {name} is of type {preset_type}; remove the type or the preset");
        findings.error(&format!("{at}.type"), message);
    }
    fits
}

fn block(at: &str, provider: &UpstreamProvider, first: bool, profile: Profile, findings: &mut Findings) {
    let Some(wanted) = provider.upstream_type else {
        findings.required(&format!("{at}.type"), "", "one of oidc, oauth2, local");
        return;
    };
    let blocks = [
        (UpstreamType::Oidc, "oidcConfig", provider.oidc_config.is_some()),
        (UpstreamType::Oauth2, "oauth2Config", provider.oauth2_config.is_some()),
        (UpstreamType::Local, "localConfig", provider.local_config.is_some()),
    ];
    for (upstream_type, key, present) in blocks {
        let message = match (upstream_type == wanted, present) {
            (true, false) => format!("is required for type {}", wanted.as_str()),
            (false, true) => {
                format!("does not belong to type {}; remove it or change the type", wanted.as_str())
            }
            _ => continue,
        };
        findings.error(&format!("{at}.{key}"), message);
    }
    match (wanted, &provider.oidc_config, &provider.oauth2_config, &provider.local_config) {
        (UpstreamType::Oidc, Some(oidc), _, _) => oidc::check(at, provider, oidc, findings),
        (UpstreamType::Oauth2, _, Some(oauth2), _) => oauth2::check(at, provider, oauth2, first, findings),
        (UpstreamType::Local, _, _, Some(local)) => local::check(at, provider, local, profile, findings),
        _ => {}
    }
}
