//! How this server becomes a client of a provider.

use crate::problem::Problem;
use crate::upstream::{DcrConfig, Registration, UpstreamProvider};

use super::super::findings::Findings;
use super::super::text;
use super::super::url::{HttpUrl, UrlPart};
use super::mistaken_issuer;

const MAX_URL: usize = 2048;
const MAX_SOFTWARE_ID: usize = 255;
const MAX_SOFTWARE_STATEMENT: usize = 16_384;
const MAX_CLIENT_NAME: usize = 255;

/// The keys of a provider's block that say who this server is there.
pub(super) struct ClientKeys<'a> {
    pub(super) client_id: &'a str,
    pub(super) secret: bool,
    pub(super) dcr: Option<&'a DcrConfig>,
    /// Whether the block has a source of metadata beside `dcrConfig`.
    pub(super) metadata_known: bool,
    /// Whether that source alone says that this server identifies itself by what the metadata offers.
    pub(super) identified_by_discovery: bool,
    pub(super) insecure: bool,
}

/// `provider_at` is the provider, `at` its block.
pub(super) fn check(
    provider_at: &str,
    at: &str,
    wanted: Option<Registration>,
    client: &ClientKeys<'_>,
    findings: &mut Findings,
) {
    if let Some(dcr) = client.dcr {
        check_dcr(&format!("{at}.dcrConfig"), dcr, client, findings);
    }
    let has_id = !client.client_id.is_empty();
    if has_id && client.dcr.is_some() {
        findings.error(
            &format!("{at}.dcrConfig"),
            "clientId and dcrConfig exclude each other: keep clientId for a client registered by hand, or dcrConfig to \
             have one registered",
        );
        return;
    }
    let missing = !has_id
        && match wanted {
            None => client.dcr.is_none() && !client.identified_by_discovery,
            Some(Registration::Preregistered) => true,
            Some(_) => false,
        };
    if missing {
        let message = match wanted {
            None => "either clientId or dcrConfig is required",
            Some(_) => "is required for registration: preregistered",
        };
        let hint = "the provider shows it where you register this server; with registration: auto this server registers \
                    itself where the provider allows it";
        findings.push(Problem::error(format!("{at}.clientId"), message).with_hint(hint));
    } else if client.secret && !has_id {
        findings.error(
            &format!("{at}.clientSecretRef"),
            "belongs to a clientId; a client that is registered automatically gets its secret from the provider",
        );
    }
    contradiction(provider_at, at, wanted, client, findings);
}

/// What is configured although the wanted registration has no use for it.
fn contradiction(
    provider_at: &str,
    at: &str,
    wanted: Option<Registration>,
    client: &ClientKeys<'_>,
    findings: &mut Findings,
) {
    match wanted {
        Some(mode @ (Registration::Cimd | Registration::Dcr)) if !client.client_id.is_empty() => {
            let message = format!("{} and clientId exclude each other; remove one of them", mode.as_str());
            findings.error(&format!("{provider_at}.registration"), message);
        }
        Some(mode @ (Registration::Cimd | Registration::Preregistered)) if client.dcr.is_some() => {
            let message = format!("does not belong to registration: {}; remove one of them", mode.as_str());
            findings.error(&format!("{at}.dcrConfig"), message);
        }
        _ => {}
    }
}

fn check_dcr(at: &str, dcr: &DcrConfig, client: &ClientKeys<'_>, findings: &mut Findings) {
    match (&dcr.discovery_url, &dcr.registration_endpoint) {
        (Some(_), Some(_)) => findings.error(
            at,
            "discoveryUrl and registrationEndpoint exclude each other: the metadata at discoveryUrl names the endpoint",
        ),
        (None, None) if !client.metadata_known => {
            findings.error(at, "either discoveryUrl or registrationEndpoint is required");
        }
        (discovery_url, endpoint) => {
            self::discovery_url(&format!("{at}.discoveryUrl"), discovery_url.as_deref(), client.insecure, findings);
            let at = format!("{at}.registrationEndpoint");
            endpoint.as_deref().and_then(|endpoint| url(&at, endpoint, client.insecure, findings));
        }
    }
    let graphic = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    if dcr.software_id.as_ref().is_some_and(|id| !text::is_line(id, MAX_SOFTWARE_ID)) {
        let message = format!("must be one line of 1 to {MAX_SOFTWARE_ID} printable characters");
        findings.error(&format!("{at}.softwareId"), message);
    }
    if let Some(statement) = &dcr.software_statement {
        let at = format!("{at}.softwareStatement");
        if statement.len() > MAX_SOFTWARE_STATEMENT {
            findings.error(&at, format!("has {} bytes, more than {MAX_SOFTWARE_STATEMENT}", statement.len()));
        } else if statement.split('.').count() != 3 || !graphic(statement) {
            findings.error(&at, "must be a JWT, as the provider or its federation handed it out");
        }
    }
    if dcr.client_name.as_ref().is_some_and(|name| !text::is_line(name, MAX_CLIENT_NAME)) {
        let message = format!("must be one line of 1 to {MAX_CLIENT_NAME} printable characters");
        findings.error(&format!("{at}.clientName"), message);
    }
}

/// A URL below which, or at which, a provider describes itself.
pub(super) fn discovery_url(at: &str, value: Option<&str>, insecure: bool, findings: &mut Findings) {
    let found = value.and_then(|value| url(at, value, insecure, findings));
    if let Some(problem) = found.and_then(|url| mistaken_issuer::recognize_discovery(at, &url)) {
        findings.push(problem);
    }
}

fn url<'a>(at: &str, value: &'a str, insecure: bool, findings: &mut Findings) -> Option<HttpUrl<'a>> {
    if value.len() > MAX_URL {
        findings.error(at, format!("has {} characters, more than {MAX_URL}", value.len()));
        return None;
    }
    findings.url(at, value, insecure, &[UrlPart::Query, UrlPart::Fragment])
}

/// A provider identifies this server by the URL of its metadata document, which is https by definition.
pub(super) fn document_can_be_fetched(
    at: &str,
    provider: &UpstreamProvider,
    issuer: &str,
    findings: &mut Findings,
) {
    if provider.registration == Some(Registration::Cimd) && issuer.starts_with("http://") {
        let message = "cimd needs an https issuer: the client identifier is the URL of this server's metadata document, which \
                       providers fetch by https only";
        let problem = Problem::error(format!("{at}.registration"), message);
        findings.push(problem.with_hint("serve authServer.issuer by https, or register in another way"));
    }
}
