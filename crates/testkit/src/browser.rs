//! A browser without eyes: it keeps cookies and submits forms.

mod cookies;
mod html;
mod page;

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::connector::Connector;
use cookies::CookieJar;
pub use html::Form;
pub use page::Page;

/// Keeps cookies, posts forms, and follows redirects only when told to.
///
/// Cookies belong to a host whatever the port, as in real browsers; `Path`, `Secure`, `Max-Age=0` and the `__Host-` prefix
/// are honoured, `Domain` cookies are dropped, `SameSite` and expiry dates are not looked at.
#[derive(Clone)]
pub struct Browser {
    connector: Connector,
    jar: CookieJar,
}

impl Browser {
    /// A browser without cookies that trusts the authority in `ca_pem`; without one it opens no https page.
    pub fn new(ca_pem: Option<&str>) -> Self {
        Self { connector: Connector::new(ca_pem), jar: CookieJar::default() }
    }

    /// Connects to `addr` for `host`, whatever port the URL names.
    pub fn resolve(mut self, host: &str, addr: SocketAddr) -> Self {
        self.connector = self.connector.resolve(host, addr);
        self
    }

    /// The value of the cookie `name` that would be sent to `url`.
    pub fn cookie(&self, url: &str, name: &str) -> Option<String> {
        self.jar.matching(&parse(url)).find(|cookie| cookie.name == name).map(|cookie| cookie.value.clone())
    }

    /// Opens `url`.
    pub async fn get(&mut self, url: &str) -> Page {
        self.send(request(Method::GET, url, Bytes::new())).await
    }

    /// Posts `fields` in form encoding, as a program would: no `Origin`.
    pub async fn post_form(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let mut request = request(Method::POST, url, encode(fields));
        request.headers_mut().insert(CONTENT_TYPE, FORM);
        self.send(request).await
    }

    /// Submits `form` of `page`, with the `Origin` that real browsers send: `null` under `Referrer-Policy: no-referrer`.
    pub async fn submit(&mut self, page: &Page, form: &Form) -> Page {
        let target = page.url().join(&form.action).expect("the form has a usable action");
        let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        if form.method == Method::GET {
            let mut target = target;
            target.set_query(Some(&encode(&fields)));
            return self.get(target.as_str()).await;
        }
        let hidden = page.headers().get(REFERRER_POLICY).is_some_and(|policy| policy == "no-referrer");
        let origin = if hidden { "null".to_owned() } else { page.url().origin().ascii_serialization() };
        let mut request = request(Method::POST, target.as_str(), encode(&fields));
        request.headers_mut().insert(CONTENT_TYPE, FORM);
        request.headers_mut().insert(ORIGIN, HeaderValue::from_str(&origin).unwrap());
        self.send(request).await
    }

    /// Follows up to `limit` redirects from `page` and gives the last page, which may be a redirect itself.
    pub async fn follow(&mut self, page: Page, limit: usize) -> Page {
        let mut page = page;
        for _ in 0..limit {
            let Some(location) = page.location() else { break };
            page = self.get(location.as_str()).await;
        }
        page
    }

    /// Sends any request with an absolute URI, and the cookies that belong to it.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Page {
        let url = parse(&request.uri().to_string());
        let cookies: Vec<String> =
            self.jar.matching(&url).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        let response = self.connector.send(request).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{url}: {error}")).to_bytes();
        for cookie in head.headers.get_all(SET_COOKIE) {
            self.jar.store(&url, cookie.to_str().unwrap());
        }
        Page::new(url, head.status, head.headers, body)
    }
}

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn request(method: Method, url: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    // A fragment is for the browser and not for the server.
    let url = url.split('#').next().unwrap_or_default();
    Request::builder().method(method).uri(url).body(Full::new(body.into())).unwrap()
}

fn encode(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}
