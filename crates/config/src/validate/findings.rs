//! Collected problems, and the rules that many keys share.

use std::collections::BTreeSet;

use thv_oauth::issuer::{AllowHttp, Issuer, IssuerError};
use thv_oauth::scope::{MAX_TOKENS, ScopeSet};

use super::url::{HttpUrl, UrlPart};
use crate::problem::Problem;

/// The problems found so far.
#[derive(Default)]
pub(super) struct Findings(Vec<Problem>);

impl Findings {
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.0
    }

    pub(super) fn error(&mut self, at: &str, message: impl Into<String>) {
        self.0.push(Problem::error(at, message));
    }

    pub(super) fn warning(&mut self, at: &str, message: impl Into<String>) {
        self.0.push(Problem::warning(at, message));
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Reports an empty value of a required key; `hint` says what it usually is.
    pub(super) fn required(&mut self, at: &str, value: &str, hint: &str) -> bool {
        if value.is_empty() {
            self.push(Problem::error(at, "is required").with_hint(hint));
        }
        !value.is_empty()
    }

    /// A URL whose scheme is `https`, or `http` where allowed, and that has none of the `forbidden` parts.
    pub(super) fn url<'a>(
        &mut self,
        at: &str,
        value: &'a str,
        insecure_allowed: bool,
        forbidden: &[UrlPart],
    ) -> Option<HttpUrl<'a>> {
        let url = match HttpUrl::parse(value) {
            Ok(url) => url,
            Err(reason) => {
                self.error(at, format!("{value:?} {reason}"));
                return None;
            }
        };
        if let Some(part) = forbidden.iter().find(|part| url.has(**part)) {
            self.error(at, format!("{value:?} must not have {}", part.phrase()));
            return None;
        }
        if url.scheme == "http" && !url.is_loopback() && !insecure_allowed {
            self.error(at, format!("{value:?} must be https; plain http is for loopback addresses only"));
            return None;
        }
        Some(url)
    }

    /// An issuer: this server's own, or another's, which may end in a slash.
    pub(super) fn issuer(
        &mut self,
        at: &str,
        value: &str,
        insecure_allowed: bool,
        own: bool,
    ) -> Option<Issuer> {
        let allow_http = if insecure_allowed { AllowHttp::Any } else { AllowHttp::Loopback };
        let parse = if own { Issuer::parse } else { Issuer::parse_upstream };
        match parse(value, allow_http) {
            Ok(issuer) if own => self.url(at, value, insecure_allowed, UrlPart::UNSTABLE).map(|_| issuer),
            Ok(issuer) => Some(issuer),
            Err(error @ IssuerError::NotHttps) => {
                let hint = "plain http is for loopback addresses only";
                self.push(Problem::error(at, error.to_string()).with_hint(hint));
                None
            }
            Err(error) => {
                self.error(at, error.to_string());
                None
            }
        }
    }

    /// Scope tokens (RFC 6749 §3.3), each once.
    pub(super) fn scopes(&mut self, at: &str, scopes: &[String]) {
        let mut seen = BTreeSet::new();
        for (index, scope) in scopes.iter().enumerate() {
            let at = format!("{at}[{index}]");
            if let Err(error) = ScopeSet::from_tokens([scope]) {
                self.error(&at, format!("{scope:?}: {error}"));
            } else if !seen.insert(scope) {
                self.error(&at, format!("{scope:?} occurs twice"));
            }
        }
        if scopes.len() > MAX_TOKENS {
            self.error(at, format!("has {} entries, more than {MAX_TOKENS}", scopes.len()));
        }
    }

    /// Scopes that must all be among the supported ones.
    pub(super) fn subset(&mut self, at: &str, key: &str, scopes: &[String], supported: &[String]) {
        // What is not a scope at all has been reported as that.
        for scope in scopes.iter().filter(|scope| is_scope(scope) && !supported.contains(scope)) {
            self.error(at, format!("{key} contains {scope:?} which is not in scopesSupported"));
        }
    }
}

fn is_scope(token: &str) -> bool {
    ScopeSet::from_tokens([token]).is_ok()
}
