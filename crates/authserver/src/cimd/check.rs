//! `thv cimd check`: the same URL rules, the same guarded fetch and the same document rules, reported one by one.

use serde::Serialize;
use thv_egress::client::Client;
use thv_oauth::client_id::MetadataUrl;
use thv_oauth::metadata_document::{Outcome, examine};

use super::CimdSettings;
use super::fetch::{Fetched, fetch};

/// How one rule went.
#[derive(Clone, Debug, Serialize)]
pub struct RuleResult {
    /// The row of the requirements table, such as `AS-58`.
    pub row: &'static str,
    /// The stable reason code that a refusal carries.
    pub reason: &'static str,
    /// The rule in words.
    pub title: String,
    /// `true` passed, `false` failed, absent when it did not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The verdict on a client id URL.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The URL as given.
    pub client_id: String,
    /// Whether the server would accept it.
    pub accepted: bool,
    /// Every rule that was reached.
    pub rules: Vec<RuleResult>,
}

impl CheckReport {
    fn refused(client_id: &str, rules: Vec<RuleResult>) -> Self {
        Self { client_id: client_id.to_owned(), accepted: false, rules }
    }
}

/// Fetches `raw` as the server would and judges it.
pub async fn check(raw: &str, egress: &Client, settings: &CimdSettings) -> CheckReport {
    let (url, mut rules) = match judge_url(raw, settings) {
        Ok(judged) => judged,
        Err(report) => return report,
    };
    match fetch(egress, &url, None, settings.max_document_size).await {
        Ok(Fetched::New(body)) => {
            rules.push(passed("AS-55", "cimd_fetch", SERVED));
            judge_document(&url, &body.body, rules, settings)
        }
        // Nothing was compared, so 304 is no answer.
        Ok(Fetched::NotModified(_)) => CheckReport::refused(raw, rules),
        Err(error) => {
            // The person at the terminal is the operator: the whole chain is for them.
            let fix = Some(fetch_fix(error.reason()).to_owned());
            rules.push(failed("AS-55", error.reason(), SERVED, thv_telemetry::chain(&error), fix));
            CheckReport::refused(raw, rules)
        }
    }
}

/// Judges a document that the operator pinned for `raw`: nothing is fetched.
pub fn check_pinned(raw: &str, document: &[u8], settings: &CimdSettings) -> CheckReport {
    match judge_url(raw, settings) {
        Ok((url, mut rules)) => {
            rules.push(passed("AS-82", "cimd_pinned", "the document is pinned in the configuration"));
            judge_document(&url, document, rules, settings)
        }
        Err(report) => report,
    }
}

const SERVED: &str = "the document is served with status 200 as JSON";

fn judge_url(raw: &str, settings: &CimdSettings) -> Result<(MetadataUrl, Vec<RuleResult>), CheckReport> {
    let title = "the client_id is an acceptable URL";
    match MetadataUrl::parse(raw, settings.allow_loopback) {
        Ok(url) => Ok((url, vec![passed("AS-51", "cimd_url", title)])),
        Err(error) => {
            let fix =
                Some("use an https URL with a path, written exactly as the document names it".to_owned());
            let rule = failed(error.row(), error.reason(), title, error.to_string(), fix);
            Err(CheckReport::refused(raw, vec![rule]))
        }
    }
}

fn judge_document(
    url: &MetadataUrl,
    document: &[u8],
    mut rules: Vec<RuleResult>,
    settings: &CimdSettings,
) -> CheckReport {
    let report = examine(url, document, &settings.policy);
    rules.extend(report.checks.iter().map(|check| {
        let (passed, detail, fix) = match &check.outcome {
            Outcome::Passed => (Some(true), None, None),
            Outcome::Failed { detail, fix } => (Some(false), Some(detail.clone()), Some(fix.clone())),
            Outcome::Skipped => (None, None, None),
        };
        let title = check.rule.title().to_owned();
        RuleResult { row: check.rule.row(), reason: check.rule.reason(), title, passed, detail, fix }
    }));
    CheckReport { client_id: url.as_str().to_owned(), accepted: report.is_accepted(), rules }
}

fn passed(row: &'static str, reason: &'static str, title: &str) -> RuleResult {
    RuleResult { row, reason, title: title.to_owned(), passed: Some(true), detail: None, fix: None }
}

fn failed(
    row: &'static str,
    reason: &'static str,
    title: &str,
    detail: String,
    fix: Option<String>,
) -> RuleResult {
    RuleResult { row, reason, title: title.to_owned(), passed: Some(false), detail: Some(detail), fix }
}

fn fetch_fix(reason: &str) -> &'static str {
    match reason {
        "cimd_document_too_large" => {
            "make the document smaller, or raise `cimd.maxDocumentSize` (10KiB at most)"
        }
        "cimd_status" => "serve the document itself at this URL, without a redirect",
        "cimd_content_type" => "serve it as `application/json`",
        _ => {
            "make the URL reachable from this host; private addresses need `egress.allowCidrs`, a private CA `egress.caBundle`"
        }
    }
}
