//! Cookies: what binds a flow to the browser that started it.
//!
//! Over https every cookie has the `__Host-` prefix (Secure, no Domain, Path=/), so that no neighbouring host can plant
//! one. On plain http, which only a loopback development server speaks, the names carry `thv_dev_` instead.

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use http::{HeaderName, Response};
use thv_clock::Timestamp;
use thv_jose::digest::sha256;
use thv_jose::hmac::HmacRing;
use thv_jose::sealed;
use thv_store::records::{SessionId, Subject};

/// How long a browser may take from consent to callback, in seconds.
pub(crate) const FLOW_SECONDS: u64 = 600;
/// How long a sign-in is remembered, in seconds.
pub(crate) const SIGN_IN_SECONDS: u64 = 8 * 3600;
const SIGN_IN_DOMAIN: &str = "sign-in";

/// The cookies by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Ties a consent page to the browser it was shown in (CSRF defence).
    Csrf,
    /// Ties a login in flight to the browser that approved it; set only after consent (AS-142, AS-143).
    Flow,
    /// Remembers who signed in, sealed.
    SignIn,
}

impl Cookie {
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Csrf, true) => "__Host-thv_csrf",
            (Self::Csrf, false) => "thv_dev_csrf",
            (Self::Flow, true) => "__Host-thv_flow",
            (Self::Flow, false) => "thv_dev_flow",
            (Self::SignIn, true) => "__Host-thv_sign_in",
            (Self::SignIn, false) => "thv_dev_sign_in",
        }
    }

    fn max_age(self) -> u64 {
        match self {
            Self::Csrf | Self::Flow => FLOW_SECONDS,
            Self::SignIn => SIGN_IN_SECONDS,
        }
    }

    /// The value that the browser sent.
    pub(crate) fn read(self, headers: &HeaderMap, secure: bool) -> Option<&str> {
        let name = self.name(secure);
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Adds a `Set-Cookie` to a response.
    pub(crate) fn set<B>(self, response: &mut Response<B>, value: &str, secure: bool) {
        self.set_for(response, value, self.max_age(), secure);
    }

    /// Makes the browser forget it.
    pub(crate) fn clear<B>(self, response: &mut Response<B>, secure: bool) {
        self.set_for(response, "", 0, secure);
    }

    fn set_for<B>(self, response: &mut Response<B>, value: &str, max_age: u64, secure: bool) {
        let name = self.name(secure);
        let secure = if secure { "; Secure" } else { "" };
        let line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
        append(response, SET_COOKIE, &line);
    }
}

fn append<B>(response: &mut Response<B>, name: HeaderName, line: &str) {
    // Values are base64url or sealed base64url: always valid in a header.
    if let Ok(mut value) = HeaderValue::from_str(line) {
        value.set_sensitive(true);
        response.headers_mut().append(name, value);
    }
}

/// A browser's secret: the one it has, if it looks like one of ours, or a new one. Keeping it lets two tabs log in at once.
pub(crate) struct BrowserSecret(String);

impl BrowserSecret {
    /// The secret in `cookie`, or a fresh one.
    pub(crate) fn of(cookie: Cookie, headers: &HeaderMap, secure: bool) -> Self {
        Self::sent(cookie, headers, secure).unwrap_or_else(|| Self(thv_jose::random::token()))
    }

    /// The secret that the browser sent, if it sent one.
    pub(crate) fn sent(cookie: Cookie, headers: &HeaderMap, secure: bool) -> Option<Self> {
        let value = cookie.read(headers, secure)?;
        let well_formed = value.len() == 43
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        well_formed.then(|| Self(value.to_owned()))
    }

    /// What is stored of it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }

    /// Hands it to the browser.
    pub(crate) fn set<B>(&self, cookie: Cookie, response: &mut Response<B>, secure: bool) {
        cookie.set(response, &self.0, secure);
    }
}

/// Who signed in in this browser, and when.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct SignIn {
    pub(crate) subject: Subject,
    /// The session with the upstream tokens of the sign-in.
    pub(crate) session: SessionId,
    pub(crate) auth_time: Timestamp,
    expires_at: Timestamp,
}

impl SignIn {
    pub(crate) fn new(subject: Subject, session: SessionId, now: Timestamp) -> Self {
        let expires_at = now + std::time::Duration::from_secs(SIGN_IN_SECONDS);
        Self { subject, session, auth_time: now, expires_at }
    }

    /// The sign-in that the browser remembers, if it is genuine and still counts.
    pub(crate) fn read(headers: &HeaderMap, secure: bool, hmac: &HmacRing, now: Timestamp) -> Option<Self> {
        let sealed = Cookie::SignIn.read(headers, secure)?;
        let sign_in: Self = sealed::open_json(hmac, SIGN_IN_DOMAIN, sealed, 4096).ok()?;
        (now < sign_in.expires_at).then_some(sign_in)
    }

    /// Lets the browser remember it.
    pub(crate) fn set<B>(&self, response: &mut Response<B>, secure: bool, hmac: &HmacRing) {
        // Without the cookie the user signs in again; a struct of strings seals in any case.
        if let Ok(sealed) = sealed::seal_json(hmac, SIGN_IN_DOMAIN, self) {
            Cookie::SignIn.set(response, &sealed, secure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        headers
    }

    #[test]
    fn as_142_cookies_are_host_bound_and_unreadable_by_scripts() {
        let mut response = Response::new(());
        Cookie::Flow.set(&mut response, "v", true);
        let line = response.headers()[SET_COOKIE].to_str().unwrap();
        assert_eq!(line, "__Host-thv_flow=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
    }

    #[test]
    fn a_secure_server_ignores_the_development_name() {
        assert_eq!(Cookie::Flow.read(&headers("a=b; thv_dev_flow=x"), true), None);
        assert_eq!(Cookie::Flow.read(&headers("a=b; thv_dev_flow=x"), false), Some("x"));
    }

    #[test]
    fn a_malformed_browser_secret_is_replaced() {
        assert!(BrowserSecret::sent(Cookie::Flow, &headers("__Host-thv_flow=short"), true).is_none());
        let fresh = BrowserSecret::of(Cookie::Flow, &headers("__Host-thv_flow=short"), true);
        assert_eq!(fresh.0.len(), 43);
        let kept = BrowserSecret::of(Cookie::Flow, &headers(&format!("__Host-thv_flow={}", fresh.0)), true);
        assert_eq!(kept.0, fresh.0);
    }
}
