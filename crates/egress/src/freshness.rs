//! How long a response stays fresh (RFC 9111), within our own bounds (AS-70), and how to ask again.

use std::time::{Duration, SystemTime};

use http::header::{
    CACHE_CONTROL, ETAG, EXPIRES, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    SET_COOKIE,
};
use http::{Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};
use thv_clock::Timestamp;

/// How short and how long a document is kept, whatever its server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// For a response that says nothing of its freshness.
    pub fallback: Duration,
    /// At least this long, even when the server forbids storing: this bounds how often strangers can make us fetch.
    pub min: Duration,
    /// At most this long.
    pub max: Duration,
}

impl Bounds {
    fn clamp(&self, lifetime: Duration) -> Duration {
        lifetime.max(self.min).min(self.max)
    }
}

/// Until when a successful response to a GET of `url`, received `now`, is fresh: `s-maxage`, `max-age`, `Expires` and
/// `Age` as a shared cache reads them (RFC 9111 §4.2), clamped to the bounds. `no-store`, `no-cache`, `private` and
/// `max-age=0` come down to [`Bounds::min`]; a response without explicit freshness is given [`Bounds::fallback`] instead
/// of a heuristic. [`Bounds::max`] wins over [`Bounds::min`].
pub fn fresh_until(now: Timestamp, url: &str, headers: &HeaderMap, bounds: &Bounds) -> Timestamp {
    now + bounds.clamp(lifetime(now, url, headers, bounds.fallback).unwrap_or_default())
}

fn lifetime(now: Timestamp, url: &str, headers: &HeaderMap, fallback: Duration) -> Option<Duration> {
    let request = Request::get(url).body(()).ok()?;
    let mut response = Response::new(());
    *response.headers_mut() = explicit(headers, fallback)?;
    let received = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(now.as_millis()))?;
    let options = CacheOptions { shared: true, ..CacheOptions::default() };
    Some(CachePolicy::new_options(&request, &response, received, options).time_to_live(received))
}

/// The header fields with the fallback written in where there is no explicit expiration.
fn explicit(headers: &HeaderMap, fallback: Duration) -> Option<HeaderMap> {
    let mut headers = headers.clone();
    // A cookie does not inhibit caching (RFC 9111 §7.3), and none is ever handed on from here.
    headers.remove(SET_COOKIE);
    // Directive names are case-insensitive (RFC 9111 §5.2), but not to the library.
    let mut directives = Vec::new();
    for field in headers.get_all(CACHE_CONTROL) {
        directives.push(field.to_str().ok()?.to_ascii_lowercase());
    }
    let mut directives = directives.join(",");
    let expires = headers.contains_key(EXPIRES)
        || directives.split(',').any(|directive| matches!(name(directive), "max-age" | "s-maxage"));
    if !expires {
        directives.push_str(&format!(",max-age={}", fallback.as_secs()));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_str(&directives).ok()?);
    Some(headers)
}

fn name(directive: &str) -> &str {
    directive.split('=').next().unwrap_or_default().trim()
}

/// What a conditional request names the stored response by (RFC 9110 §13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, sent back as `If-None-Match`.
    pub etag: Option<HeaderValue>,
    /// `Last-Modified`, sent back as `If-Modified-Since`.
    pub last_modified: Option<HeaderValue>,
}

impl From<&HeaderMap> for Validators {
    fn from(headers: &HeaderMap) -> Self {
        Self { etag: headers.get(ETAG).cloned(), last_modified: headers.get(LAST_MODIFIED).cloned() }
    }
}

impl Validators {
    /// Whether there is nothing to ask with.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// Makes a request conditional on the stored response being out of date.
    pub fn apply(&self, headers: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            headers.insert(IF_NONE_MATCH, etag.clone());
        }
        if let Some(last_modified) = &self.last_modified {
            headers.insert(IF_MODIFIED_SINCE, last_modified.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        fallback: Duration::from_secs(300),
        min: Duration::from_secs(60),
        max: Duration::from_secs(86_400),
    };
    /// Tue, 14 Nov 2023 22:13:20 GMT.
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn lifetime_of(fields: &[(&'static str, &str)]) -> u64 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        fresh_until(NOW, "https://client.example/a", &headers, &BOUNDS).since(NOW).as_secs()
    }

    #[test]
    fn as_70_freshness_follows_rfc_9111_within_the_bounds() {
        let date = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
        for (fields, expected) in [
            (&[][..], 300),
            (&[("cache-control", "max-age=600")], 600),
            (&[("cache-control", "Max-Age=600")], 600),
            (&[("cache-control", "public, max-age=\"600\"")], 600),
            (&[("cache-control", "public")], 300),
            (&[("cache-control", "must-revalidate")], 300),
            (&[("cache-control", "max-age=600, s-maxage=120")], 120),
            (&[("cache-control", "s-maxage=7200"), ("cache-control", "max-age=1")], 7200),
            (&[("cache-control", "max-age=600"), ("age", "200")], 400),
            (&[("cache-control", "max-age=600"), ("age", "580")], 60),
            (&[("cache-control", "max-age=600"), ("age", "99999999999999999999")], 600),
            (&[("cache-control", "max-age=0")], 60),
            (&[("cache-control", "max-age=1")], 60),
            (&[("cache-control", "max-age=-1")], 60),
            (&[("cache-control", "max-age=soon")], 60),
            (&[("cache-control", "max-age=1000000000")], 86_400),
            (&[("cache-control", "max-age=600, no-store")], 60),
            (&[("cache-control", "NO-STORE")], 60),
            (&[("cache-control", "no-cache")], 60),
            (&[("cache-control", "private, max-age=600")], 60),
            (&[("cache-control", "max-age=600"), ("set-cookie", "a=b")], 600),
            (&[("cache-control", "max-age=600"), ("vary", "*")], 60),
            (&[("expires", "Tue, 14 Nov 2023 22:43:20 GMT"), date], 1800),
            (&[("expires", "Tue, 14 Nov 2023 21:43:20 GMT"), date], 60),
            (&[("expires", "0"), date], 60),
            (&[("expires", "Tue, 14 Nov 2023 22:43:20 GMT"), ("cache-control", "max-age=90"), date], 90),
            (&[("last-modified", "Tue, 14 Nov 2000 22:13:20 GMT"), date], 300),
        ] {
            assert_eq!(lifetime_of(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn as_70_the_upper_bound_wins() {
        let bounds =
            Bounds { fallback: BOUNDS.fallback, min: Duration::from_secs(60), max: Duration::from_secs(30) };
        let until = fresh_until(NOW, "https://client.example/a", &HeaderMap::new(), &bounds);
        assert_eq!(until.since(NOW).as_secs(), 30);
    }

    #[test]
    fn as_72_validators_make_a_request_conditional() {
        let mut response = HeaderMap::new();
        response.insert(ETAG, HeaderValue::from_static("W/\"1\""));
        response.insert(LAST_MODIFIED, HeaderValue::from_static("Tue, 14 Nov 2000 22:13:20 GMT"));
        let validators = Validators::from(&response);
        let mut request = HeaderMap::new();
        validators.apply(&mut request);
        assert_eq!(request.get(IF_NONE_MATCH), response.get(ETAG));
        assert_eq!(request.get(IF_MODIFIED_SINCE), response.get(LAST_MODIFIED));

        let none = Validators::from(&HeaderMap::new());
        assert!(none.is_empty() && !validators.is_empty());
        let mut request = HeaderMap::new();
        none.apply(&mut request);
        assert!(request.is_empty());
    }

    proptest! {
        #[test]
        fn as_70_no_header_can_leave_the_bounds(
            control in "[ -~]{0,40}",
            seconds in any::<u64>(),
            age in "[ -~]{0,24}",
            expires in "[ -~]{0,32}",
        ) {
            for control in [control, format!("max-age={seconds}")] {
                let until = lifetime_of(&[("cache-control", &control), ("age", &age), ("expires", &expires)]);
                prop_assert!((60..=86_400).contains(&until));
            }
        }
    }
}
