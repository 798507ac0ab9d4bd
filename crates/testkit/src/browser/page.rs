//! What a browser got.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use url::Url;

use super::html::{self, Form};

/// A response with its whole body.
#[derive(Clone, Debug)]
pub struct Page {
    url: Url,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Page {
    pub(super) const fn new(url: Url, status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { url, status, headers, body }
    }

    /// Where the page was got from.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header's text, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body's bytes.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the page is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {:?}", self.url, self.body))
    }

    /// Where the page redirects to, if it does.
    pub fn location(&self) -> Option<Url> {
        let location = self.headers.get(LOCATION).filter(|_| self.status.is_redirection())?;
        Some(self.url.join(location.to_str().unwrap()).expect("the Location is a URL"))
    }

    /// All forms of the page.
    pub fn forms(&self) -> Vec<Form> {
        html::forms(self.text())
    }

    /// The page's first form.
    pub fn form(&self) -> Form {
        self.forms()
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{} ({}) has no form: {}", self.url, self.status, self.text()))
    }
}
