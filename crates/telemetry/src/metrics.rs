//! What is counted, and how it reads on `/metrics`.

mod label;
mod requests;

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use label::{Cache, GrantType, Outcome, Route, StatusClass};
use label::{Label, PerLabel};
pub use requests::Requests;

/// The metrics of one gateway, shared by its parts.
pub type SharedMetrics = Arc<Metrics>;

type Word = [(&'static str, &'static str); 1];
type TwoWords = [(&'static str, &'static str); 2];

/// All counters of one gateway.
///
/// The members that count on the hot path are resolved when this is made; the others look their label up, and take
/// `&'static str` so that no text from outside can become one.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    token_cache: PerLabel<Cache>,
    open_connections: Gauge,
    refusals: Family<Word, Counter>,
    logins: Family<TwoWords, Counter>,
    token_grants: Family<TwoWords, Counter>,
    metadata_document_fetches: Family<Word, Counter>,
    registrations: Family<Word, Counter>,
    upstream_refreshes: PerLabel<Outcome>,
}

impl Metrics {
    /// Counters at zero. `version` is the program's.
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::with_prefix("thv");
        registry.register("build", "The running program", Info::new([("version", version)]));
        let requests = Requests::register(&mut registry);
        let token_cache = PerLabel::register(
            &mut registry,
            "verified_token_cache_lookups",
            "Access tokens looked up among those verified before, by result",
        );
        let upstream_refreshes = PerLabel::register(
            &mut registry,
            "upstream_refreshes",
            "Upstream credentials refreshed at an upstream provider, by result",
        );
        let open_connections = Gauge::default();
        registry.register("open_connections", "Connections from clients", open_connections.clone());
        Self {
            requests,
            token_cache,
            open_connections,
            refusals: family(&mut registry, "refusals", "Requests refused, by reason code"),
            logins: family(
                &mut registry,
                "logins",
                "Logins finished at an upstream provider, by type and result",
            ),
            token_grants: family(&mut registry, "token_grants", "Token requests, by grant type and result"),
            metadata_document_fetches: family(
                &mut registry,
                "cimd_fetches",
                "Client ID metadata documents asked for over the network, by result",
            ),
            registrations: family(&mut registry, "registrations", "Dynamic client registrations, by result"),
            upstream_refreshes,
            registry,
        }
    }

    /// The counters of finished requests.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// One refusal; `reason` is the stable reason code that the client and the log get too.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&[("reason", reason)]).inc();
    }

    /// One finished login. `provider_type` is `oidc`, `oauth2` or `local`; `result` is `success` or a reason code.
    pub fn login(&self, provider_type: &'static str, result: &'static str) {
        self.logins.get_or_create(&[("type", provider_type), ("result", result)]).inc();
    }

    /// One token request; `result` is `success` or the OAuth error code.
    pub fn token_grant(&self, grant: GrantType, result: &'static str) {
        self.token_grants.get_or_create(&[("grant_type", grant.text()), ("result", result)]).inc();
    }

    /// One client ID metadata document asked for; `result` is `success`, `not_modified` or a reason code.
    pub fn metadata_document_fetch(&self, result: &'static str) {
        self.metadata_document_fetches.get_or_create(&[("result", result)]).inc();
    }

    /// One registration request; `result` is `success` or the RFC 7591 §3.2.2 error code.
    pub fn registration(&self, result: &'static str) {
        self.registrations.get_or_create(&[("result", result)]).inc();
    }

    /// One refresh of an upstream credential.
    pub fn upstream_refresh(&self, outcome: Outcome) {
        self.upstream_refreshes.inc(outcome);
    }

    /// One look into the cache of verified tokens.
    pub fn token_cache(&self, found: Cache) {
        self.token_cache.inc(found);
    }

    /// Counts a connection as open until the returned value is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.open_connections.inc();
        OpenConnection(self.open_connections.clone())
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> i64 {
        self.open_connections.get()
    }

    /// Everything in the OpenMetrics text format (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    pub fn encode(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail, and our label values encode to themselves.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

/// A connection that counts as open while this lives.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn family<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: Clone
        + std::hash::Hash
        + Eq
        + std::fmt::Debug
        + Send
        + Sync
        + prometheus_client::encoding::EncodeLabelSet
        + 'static,
{
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_counted_is_on_the_page() {
        let metrics = Metrics::new("1.2.3");
        metrics.requests().finished(Route::Mcp, 200, Duration::from_millis(3));
        metrics.requests().finished(Route::Mcp, 401, Duration::from_millis(1));
        metrics.requests().finished(Route::Token, 500, Duration::from_secs(100));
        metrics.refused("host_not_allowed");
        metrics.login("oidc", "success");
        metrics.token_grant(GrantType::RefreshToken, "invalid_grant");
        metrics.metadata_document_fetch("success");
        metrics.registration("invalid_redirect_uri");
        metrics.upstream_refresh(Outcome::Failed);
        metrics.token_cache(Cache::Hit);
        let page = metrics.encode();
        for line in [
            r#"thv_build_info{version="1.2.3"} 1"#,
            r#"thv_http_requests_total{route="mcp",status="2xx"} 1"#,
            r#"thv_http_requests_total{route="mcp",status="4xx"} 1"#,
            r#"thv_http_requests_total{route="token",status="5xx"} 1"#,
            r#"thv_http_request_duration_seconds_count{route="mcp"} 2"#,
            r#"thv_refusals_total{reason="host_not_allowed"} 1"#,
            r#"thv_logins_total{type="oidc",result="success"} 1"#,
            r#"thv_token_grants_total{grant_type="refresh_token",result="invalid_grant"} 1"#,
            r#"thv_cimd_fetches_total{result="success"} 1"#,
            r#"thv_registrations_total{result="invalid_redirect_uri"} 1"#,
            r#"thv_upstream_refreshes_total{result="failed"} 1"#,
            r#"thv_verified_token_cache_lookups_total{result="hit"} 1"#,
            r#"thv_verified_token_cache_lookups_total{result="miss"} 0"#,
        ] {
            assert!(page.contains(line), "{line} is missing from\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn a_connection_counts_while_it_is_held() {
        let metrics = Metrics::new("0");
        let one = metrics.connection();
        let two = metrics.connection();
        assert_eq!(metrics.open_connections(), 2);
        drop(one);
        assert!(metrics.encode().contains("thv_open_connections 1"));
        drop(two);
        assert_eq!(metrics.open_connections(), 0);
    }
}
