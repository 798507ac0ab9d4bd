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
    let mut rules = Vec::new();
    let url = match MetadataUrl::parse(raw, settings.allow_loopback) {
        Ok(url) => url,
        Err(error) => {
            let fix =
                Some("use an https URL with a path, written exactly as the document names it".to_owned());
            rules.push(failed(
                "AS-51",
                error.reason(),
                "the client_id is an acceptable URL",
                error.to_string(),
                fix,
            ));
            return CheckReport::refused(raw, rules);
        }
    };
    rules.push(passed("AS-51", "cimd_url", "the client_id is an acceptable URL"));
    let body = match fetch(egress, &url, None, settings.max_document_size).await {
        Ok(Fetched::New(body)) => body.body,
        Ok(Fetched::NotModified(_)) => return CheckReport::refused(raw, rules),
        Err(error) => {
            // The person at the terminal is the operator: the whole chain is for them.
            let (title, fix) = ("the document is served with status 200 as JSON", fetch_fix(error.reason()));
            rules.push(failed(
                "AS-55",
                error.reason(),
                title,
                thv_telemetry::chain(&error),
                Some(fix.to_owned()),
            ));
            return CheckReport::refused(raw, rules);
        }
    };
    rules.push(passed("AS-55", "cimd_fetch", "the document is served with status 200 as JSON"));
    let report = examine(&url, &body, &settings.policy);
    rules.extend(report.checks.iter().map(|check| {
        let (passed, detail, fix) = match &check.outcome {
            Outcome::Passed => (Some(true), None, None),
            Outcome::Failed { detail, fix } => (Some(false), Some(detail.clone()), Some(fix.clone())),
            Outcome::Skipped => (None, None, None),
        };
        let title = check.rule.title().to_owned();
        RuleResult { row: check.rule.row(), reason: check.rule.reason(), title, passed, detail, fix }
    }));
    CheckReport { client_id: raw.to_owned(), accepted: report.into_result().is_ok(), rules }
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
