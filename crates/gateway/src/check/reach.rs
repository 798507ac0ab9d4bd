//! Whether what is configured can be dialled at all, as far as that shows without asking DNS.

use thv_config::upstream::{DcrConfig, OAuth2Upstream, OidcUpstream, UpstreamKind, UserInfo};
use thv_config::{Config, Problem, Profile};
use thv_egress::address::SpecialUse;
use thv_egress::{EgressError, Policy};

use crate::compose::upstream::Permissions;
use crate::compose::{egress_policy, foreign_issuer_policy};

/// A key of a block, and the URL that is dialled for it.
type Dialled<'a> = (&'static str, Option<&'a str>);

/// Judges every URL of an identity provider by the policy with which it will be dialled.
pub(super) fn check(config: &Config, profile: Profile, problems: &mut Vec<Problem>) {
    if let Some(oidc) = &config.oidc {
        let issuer = (oidc.jwks_url.is_none()).then_some(oidc.issuer.as_str());
        let dialled: [Dialled<'_>; 3] = [
            ("issuer", issuer),
            ("jwksUrl", oidc.jwks_url.as_deref()),
            ("introspectionUrl", oidc.introspection_url.as_deref()),
        ];
        let block = Block { at: "oidc", policy: &foreign_issuer_policy(config, profile), private: None };
        block.judge(&dialled, problems);
    }
    let providers = config.auth_server.iter().flat_map(|server| server.upstream_providers.iter().enumerate());
    let general = egress_policy(config, profile);
    for (index, provider) in providers {
        let (key, permissions, dialled) = match provider.kind() {
            Some(UpstreamKind::Oidc(oidc)) => ("oidcConfig", Permissions::from(oidc), oidc_urls(oidc)),
            Some(UpstreamKind::OAuth2(oauth2)) => {
                ("oauth2Config", Permissions::from(oauth2), oauth2_urls(oauth2))
            }
            Some(UpstreamKind::Local(_)) | None => continue,
        };
        let private = Permissions { private: true, ..permissions }.added_to(&general);
        let at = format!("authServer.upstreamProviders[{index}].{key}");
        let policy = &permissions.added_to(&general);
        Block { at: &at, policy, private: Some(&private) }.judge(&dialled, problems);
    }
}

/// The authorization endpoint is not among them: only browsers go there.
fn oidc_urls(oidc: &OidcUpstream) -> Vec<Dialled<'_>> {
    let mut urls = vec![("issuerUrl", Some(oidc.issuer_url.as_str()))];
    urls.extend(registration_urls(oidc.dcr_config.as_ref()));
    urls.push(("userInfoOverride.endpointUrl", endpoint(oidc.user_info_override.as_ref())));
    urls
}

fn oauth2_urls(oauth2: &OAuth2Upstream) -> Vec<Dialled<'_>> {
    let mut urls = vec![
        ("discoveryUrl", oauth2.discovery_url.as_deref()),
        ("tokenEndpoint", Some(oauth2.token_endpoint.as_str())),
        ("revocationEndpoint", oauth2.revocation_endpoint.as_deref()),
    ];
    urls.extend(registration_urls(oauth2.dcr_config.as_ref()));
    urls.push(("userInfo.endpointUrl", endpoint(oauth2.user_info.as_ref())));
    urls
}

fn registration_urls(dcr: Option<&DcrConfig>) -> [Dialled<'_>; 2] {
    [
        ("dcrConfig.discoveryUrl", dcr.and_then(|dcr| dcr.discovery_url.as_deref())),
        ("dcrConfig.registrationEndpoint", dcr.and_then(|dcr| dcr.registration_endpoint.as_deref())),
    ]
}

fn endpoint(user_info: Option<&UserInfo>) -> Option<&str> {
    user_info.map(|info| info.endpoint_url.as_str())
}

/// The block of an identity provider.
struct Block<'a> {
    at: &'a str,
    /// With which it is dialled.
    policy: &'a Policy,
    /// With which it would be dialled after `allowPrivateIPs`, where the block has that key.
    private: Option<&'a Policy>,
}

impl Block<'_> {
    fn judge(&self, dialled: &[Dialled<'_>], problems: &mut Vec<Problem>) {
        for (key, url) in dialled {
            let Some(url) = url.filter(|url| !url.is_empty()) else { continue };
            let path = format!("{}.{key}", self.at);
            // What is no URL, or http where that is not allowed, was reported with the values.
            if problems.iter().any(|problem| problem.is_error() && problem.path == path) {
                continue;
            }
            let Err(error) = self.policy.judge_url(url) else { continue };
            let problem = Problem::error(path, format!("cannot be reached: {error}"));
            problems.push(match self.hint(url, &error) {
                Some(hint) => problem.with_hint(hint),
                None => problem,
            });
        }
    }

    fn hint(&self, url: &str, error: &EgressError) -> Option<String> {
        match error {
            EgressError::Refused { host, special_use: SpecialUse::Loopback, .. } => {
                let networks = match host.as_str() {
                    host if host.eq_ignore_ascii_case("localhost") => "127.0.0.0/8, \"::1/128\"",
                    host if host.starts_with('[') => "\"::1/128\"",
                    _ => "127.0.0.0/8",
                };
                Some(format!(
                    "write egress: {{allowCidrs: [{networks}]}}, which also allows plain http there"
                ))
            }
            EgressError::Refused { .. }
                if self.private.is_some_and(|policy| policy.judge_url(url).is_ok()) =>
            {
                let block = self.at.rsplit('.').next().unwrap_or(self.at);
                Some(format!(
                    "write allowPrivateIPs: true in {block}, or list the network in egress.allowCidrs"
                ))
            }
            EgressError::Refused { address, .. } => {
                let prefix = if address.is_ipv4() { 32 } else { 128 };
                Some(format!("if it is meant, write egress: {{allowCidrs: [\"{address}/{prefix}\"]}}"))
            }
            EgressError::Plaintext { .. } | EgressError::Scheme => {
                Some("write https, or insecureAllowHTTP: true in a test network".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found wrong with the reach of these upstream providers, as `path: message (hint)`.
    fn found(providers: &str, egress: &str) -> Vec<String> {
        let yaml = format!(
            "publicUrl: https://mcp.example.com\nserver: {{url: 'http://127.0.0.1:1/mcp'}}\negress: {{{egress}}}\n\
             authServer:\n  issuer: https://mcp.example.com\n  upstreamProviders: [{providers}]\n"
        );
        let problems = crate::check(&Config::parse(&yaml).unwrap(), Profile::Production);
        let problems = problems.into_iter().filter_map(|problem| {
            let key = problem.path.strip_prefix("authServer.upstreamProviders[0].")?;
            let hint = problem.hint.unwrap_or_default();
            problem.message.contains("reached").then(|| format!("{key}: {} ({hint})", problem.message))
        });
        problems.collect()
    }

    fn oidc(settings: &str) -> String {
        format!("{{name: corp, type: oidc, oidcConfig: {{clientId: c, {settings}}}}}")
    }

    #[track_caller]
    fn assert_one(found: &[String], parts: &[&str]) {
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(parts.iter().all(|part| found[0].contains(part)), "{found:?} lacks one of {parts:?}");
    }

    #[test]
    fn a_provider_on_loopback_needs_its_network_listed() {
        for (url, networks) in [
            ("http://127.0.0.1:9000", "[127.0.0.0/8]"),
            ("https://127.0.0.1:9000", "[127.0.0.0/8]"),
            ("http://[::1]:9000", "[\"::1/128\"]"),
            ("http://localhost:9000", "[127.0.0.0/8, \"::1/128\"]"),
        ] {
            let provider = oidc(&format!("issuerUrl: '{url}'"));
            assert_one(
                &found(&provider, ""),
                &["oidcConfig.issuerUrl: cannot be reached", "allowCidrs", networks],
            );
            assert_eq!(found(&provider, "allowCidrs: [127.0.0.0/8, '::1/128']"), [""; 0], "{url}");
            // Neither of these opens loopback.
            let insecure = format!("issuerUrl: '{url}', insecureAllowHTTP: true, allowPrivateIPs: true");
            assert_eq!(found(&oidc(&insecure), "").len(), 1, "{url}");
        }
    }

    #[test]
    fn a_provider_at_a_private_address_needs_a_permission() {
        let private = "issuerUrl: 'https://10.1.2.3'";
        assert_one(
            &found(&oidc(private), ""),
            &["oidcConfig.issuerUrl", "allowPrivateIPs: true in oidcConfig"],
        );
        assert_eq!(found(&oidc(&format!("{private}, allowPrivateIPs: true")), ""), [""; 0]);
        assert_eq!(found(&oidc(private), "allowCidrs: [10.1.0.0/16]"), [""; 0]);
        let metadata = oidc("issuerUrl: 'https://169.254.169.254', allowPrivateIPs: true");
        assert_one(&found(&metadata, ""), &["cloud metadata", "[\"169.254.169.254/32\"]"]);
        let overridden = oidc("issuerUrl: 'https://idp.example.com'");
        let egress = "hostOverrides: {'idp.example.com:443': '10.0.0.1:443'}";
        assert_one(&found(&overridden, egress), &["idp.example.com is at 10.0.0.1", "allowPrivateIPs"]);
    }

    #[test]
    fn the_permission_for_plain_http_is_the_providers_own() {
        for url in ["http://idp.example.com", "http://8.8.8.8"] {
            let provider = oidc(&format!("issuerUrl: '{url}', insecureAllowHTTP: true"));
            assert_eq!(found(&provider, ""), [""; 0], "{url}");
        }
        let provider = oidc("issuerUrl: 'http://localhost:9000'");
        let elsewhere = "hostOverrides: {'localhost:9000': '8.8.8.8:80'}";
        assert_one(
            &found(&provider, elsewhere),
            &["may not be reached by plain http", "insecureAllowHTTP: true"],
        );
        let private = oidc("issuerUrl: 'http://10.0.0.1', insecureAllowHTTP: true");
        assert_one(&found(&private, ""), &["allowPrivateIPs: true"]);
    }

    #[test]
    fn every_url_that_is_dialled_is_judged_and_no_other() {
        let at = |path: &str| format!("'https://127.0.0.1/{path}'");
        let provider = |settings: &str| format!("{{name: a, type: oauth2, oauth2Config: {{{settings}}}}}");
        let (token, revoke, user) = (at("t"), at("r"), at("u"));
        let endpoints = format!(
            "clientId: c, authorizationEndpoint: {}, tokenEndpoint: {token}, revocationEndpoint: {revoke}, \
             userInfo: {{endpointUrl: {user}}}",
            at("a")
        );
        let keys = |found: Vec<String>| -> Vec<String> {
            let key = |line: &String| line.split(':').next().unwrap().replace("oauth2Config.", "");
            found.iter().map(key).collect()
        };
        let judged = keys(found(&provider(&endpoints), ""));
        assert_eq!(judged, ["tokenEndpoint", "revocationEndpoint", "userInfo.endpointUrl"]);
        let discovered = format!("dcrConfig: {{discoveryUrl: {}}}", at("d"));
        assert_eq!(keys(found(&provider(&discovered), "")), ["dcrConfig.discoveryUrl"]);
        let registered = format!(
            "authorizationEndpoint: 'https://a.example/a', tokenEndpoint: 'https://a.example/t', \
             dcrConfig: {{registrationEndpoint: {}}}",
            at("r")
        );
        assert_eq!(keys(found(&provider(&registered), "")), ["dcrConfig.registrationEndpoint"]);
        assert_eq!(keys(found(&provider(&format!("discoveryUrl: {}", at("d"))), "")), ["discoveryUrl"]);
    }

    #[test]
    fn the_issuer_of_foreign_tokens_is_judged_too() {
        let found = |oidc: &str, rest: &str| {
            let yaml = format!(
                "publicUrl: https://mcp.example.com\nserver: {{url: 'http://127.0.0.1:1/mcp'}}\n\
                 oidc: {{audience: a, {oidc}}}\n{rest}"
            );
            let problems = crate::check(&Config::parse(&yaml).unwrap(), Profile::Production);
            problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
        };
        assert_eq!(found("issuer: 'https://127.0.0.1'", ""), ["oidc.issuer"]);
        assert_eq!(found("issuer: 'https://127.0.0.1'", "egress: {allowCidrs: [127.0.0.0/8]}\n"), [""; 0]);
        let keys = "issuer: 'https://idp.example', jwksUrl: 'http://8.8.8.8/jwks'";
        assert_eq!(found(keys, "insecureAllowHTTP: true\n"), [""; 0]);
    }
}
