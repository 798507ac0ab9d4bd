//! A browser with one connection, a cookie jar and no eyes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Full;

use super::form;
use crate::client::{Answer, Connection};
use crate::error::{BenchError, During as _};

/// One user's browser, talking to one server and, in passing, to those that it is redirected to.
pub(super) struct Browser {
    server: SocketAddr,
    connection: Connection,
    host: HeaderValue,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Connects from `source` to `server`.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(super) async fn open(server: SocketAddr, source: Option<IpAddr>) -> Result<Self, BenchError> {
        let connection = Connection::open(server, source).await?;
        let host = HeaderValue::try_from(server.to_string()).during("writing the host")?;
        Ok(Self { server, connection, host, cookies: BTreeMap::new() })
    }

    /// Forgets all cookies: the next request is another user's.
    pub(super) fn forget(&mut self) {
        self.cookies.clear();
    }

    /// Fetches a page. An absolute URL is taken for this server's own, unless it names another address.
    pub(super) async fn get(&mut self, url: &str) -> Result<Answer, BenchError> {
        if let Some(other) = address(url).filter(|address| *address != self.server) {
            let mut visit = Self::open(other, None).await?;
            return visit.send(Method::GET, url, None, String::new()).await;
        }
        self.send(Method::GET, url, None, String::new()).await
    }

    /// Submits a form.
    pub(super) async fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Result<Answer, BenchError> {
        self.send(Method::POST, url, Some(form::CONTENT_TYPE), form::encode(fields)).await
    }

    /// Posts JSON.
    pub(super) async fn post_json(&mut self, url: &str, json: String) -> Result<Answer, BenchError> {
        self.send(Method::POST, url, Some("application/json"), json).await
    }

    async fn send(
        &mut self,
        method: Method,
        url: &str,
        content_type: Option<&'static str>,
        body: String,
    ) -> Result<Answer, BenchError> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = local(url).parse().during(format!("reading the address {url}"))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers
                .insert(header::COOKIE, HeaderValue::try_from(cookies.join("; ")).during("writing cookies")?);
        }
        let answer = self.connection.send(request).await?;
        self.remember(&answer.headers);
        Ok(answer)
    }

    /// Keeps the cookies that were set and drops those that were taken back.
    fn remember(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let Some((name, value)) = pair.trim().split_once('=') else { continue };
            if attributes.to_ascii_lowercase().replace(' ', "").split(';').any(|one| one == "max-age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The address in an absolute URL whose authority is one.
fn address(url: &str) -> Option<SocketAddr> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?']).next()?.parse().ok()
}

/// Path and query of a URL that may be absolute.
fn local(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return url };
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_an_absolute_url_only() {
        assert_eq!(address("http://127.0.0.1:81/a?b=http://127.0.0.1:82"), Some(([127, 0, 0, 1], 81).into()));
        assert_eq!(address("http://localhost:81/"), None);
        assert_eq!(address("/oauth/consent"), None);
    }

    #[test]
    fn an_absolute_url_is_reduced_to_its_path() {
        assert_eq!(local("http://127.0.0.1:8080/oauth/authorize?a=b://c"), "/oauth/authorize?a=b://c");
        assert_eq!(local("/oauth/consent"), "/oauth/consent");
        assert_eq!(local("http://127.0.0.1:8080"), "/");
    }
}
