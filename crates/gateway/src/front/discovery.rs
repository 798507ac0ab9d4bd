//! Documents that are served as they are: metadata and keys.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode};
use thv_jose::digest::{base64url, sha256};
use thv_proxy::ResponseBody;

use super::{cors, reply};

/// How long anybody may keep a document: half of what a new signing key is published before it signs.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
const METHODS: &str = "GET, HEAD, OPTIONS";

/// The authorization server's documents, as JSON.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Authorization server metadata (RFC 8414).
    pub authorization_server: Bytes,
    /// OpenID Provider metadata (OpenID Connect Discovery 1.0 §3).
    pub openid: Bytes,
    /// The public keys (RFC 7517 §5).
    pub jwks: Bytes,
}

/// All documents with the paths that they are found at.
pub(super) struct Discovery(Vec<(String, Document)>);

impl Discovery {
    /// `issuer_path` is the path of the issuer, empty for the root; `protected_resource_path` is where the metadata of the
    /// resource is found beside the root (RS-2).
    pub(super) fn new(
        metadata: Option<Metadata>,
        issuer_path: &str,
        protected_resource: Bytes,
        protected_resource_path: &str,
    ) -> Self {
        let mut documents = Vec::new();
        let mut publish = |body: &Document, paths: &[String]| {
            for path in paths {
                if !documents.iter().any(|(known, _)| known == path) {
                    documents.push((path.clone(), body.clone()));
                }
            }
        };
        if let Some(Metadata { authorization_server, openid, jwks }) = metadata {
            publish(
                &Document::new(authorization_server),
                &well_known("oauth-authorization-server", issuer_path),
            );
            let mut paths = well_known("openid-configuration", issuer_path);
            // OpenID Connect Discovery 1.0 §4 appends where RFC 8414 §3 inserts; clients try both (AS-14).
            paths.push(format!("{issuer_path}/.well-known/openid-configuration"));
            publish(&Document::new(openid), &paths);
            publish(
                &Document::new(jwks),
                &["/.well-known/jwks.json".to_owned(), format!("{issuer_path}/.well-known/jwks.json")],
            );
        }
        let mut paths = well_known("oauth-protected-resource", "");
        paths.push(protected_resource_path.to_owned());
        publish(&Document::new(protected_resource), &paths);
        Self(documents)
    }

    pub(super) fn find(&self, path: &str) -> Option<&Document> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, document)| document)
    }
}

/// The path at the root and the one with `path` inserted after it, with and without a final slash (RFC 8414 §3.1).
fn well_known(name: &str, path: &str) -> Vec<String> {
    let root = format!("/.well-known/{name}");
    let inserted = format!("{root}{}", path.trim_end_matches('/'));
    vec![format!("{root}/"), format!("{inserted}/"), inserted, root]
}

/// One document and its header fields, made once.
#[derive(Clone)]
pub(super) struct Document {
    body: Bytes,
    etag: HeaderValue,
}

impl Document {
    fn new(body: Bytes) -> Self {
        let tag = base64url(sha256(&body).get(..16).unwrap_or_default());
        let etag = HeaderValue::try_from(format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body, etag }
    }

    pub(super) fn answer(&self, method: &Method, request: &HeaderMap) -> Response<ResponseBody> {
        match *method {
            Method::GET | Method::HEAD => self.content(method == Method::HEAD, request),
            Method::OPTIONS => cors::open_preflight(request, METHODS),
            _ => reply::method_not_allowed(METHODS),
        }
    }

    fn content(&self, head: bool, request: &HeaderMap) -> Response<ResponseBody> {
        let known = request.get_all(IF_NONE_MATCH).iter().any(|tags| self.matches(tags));
        let mut response = match (known, head) {
            (true, _) => reply::empty(StatusCode::NOT_MODIFIED),
            (false, true) => reply::empty(StatusCode::OK),
            (false, false) => Response::new(reply::full(self.body.clone())),
        };
        let headers = response.headers_mut();
        if !known {
            headers.insert(CONTENT_TYPE, reply::JSON);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
            headers.insert(X_CONTENT_TYPE_OPTIONS, reply::NOSNIFF);
        }
        headers.insert(CACHE_CONTROL, CACHE);
        headers.insert(ETAG, self.etag.clone());
        cors::open(headers);
        response
    }

    /// RFC 9110 §13.1.2; the comparison is weak.
    fn matches(&self, tags: &HeaderValue) -> bool {
        let Ok(tags) = tags.to_str() else { return false };
        tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.etag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery(issuer_path: &str) -> Discovery {
        let metadata = Metadata {
            authorization_server: Bytes::from_static(b"{\"as\":1}"),
            openid: Bytes::from_static(b"{\"openid\":1}"),
            jwks: Bytes::from_static(b"{\"keys\":[]}"),
        };
        Discovery::new(
            Some(metadata),
            issuer_path,
            Bytes::from_static(b"{\"resource\":1}"),
            "/.well-known/oauth-protected-resource/mcp",
        )
    }

    #[test]
    fn as_2_as_14_documents_are_at_the_inserted_and_the_appended_path() {
        let tenant = discovery("/tenant");
        for (path, body) in [
            ("/.well-known/oauth-authorization-server", "{\"as\":1}"),
            ("/.well-known/oauth-authorization-server/tenant", "{\"as\":1}"),
            ("/.well-known/openid-configuration/tenant", "{\"openid\":1}"),
            ("/tenant/.well-known/openid-configuration", "{\"openid\":1}"),
            ("/.well-known/openid-configuration/", "{\"openid\":1}"),
            ("/tenant/.well-known/jwks.json", "{\"keys\":[]}"),
            ("/.well-known/jwks.json", "{\"keys\":[]}"),
            ("/.well-known/oauth-protected-resource", "{\"resource\":1}"),
            ("/.well-known/oauth-protected-resource/mcp", "{\"resource\":1}"),
        ] {
            assert_eq!(tenant.find(path).map(|document| &document.body[..]), Some(body.as_bytes()), "{path}");
        }
        assert!(tenant.find("/.well-known/oauth-authorization-server/other").is_none());
        assert!(discovery("").find("/.well-known/oauth-authorization-server/mcp").is_none());
    }

    #[test]
    fn a_known_document_is_not_sent_again() {
        let discovery = discovery("");
        let document = discovery.find("/.well-known/jwks.json").unwrap();
        let first = document.answer(&Method::GET, &HeaderMap::new());
        let etag = first.headers().get(ETAG).unwrap().clone();
        let mut request = HeaderMap::new();
        for (tags, status) in [
            (etag.to_str().unwrap().to_owned(), 304),
            (format!("\"x\", W/{}", etag.to_str().unwrap()), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
        ] {
            request.insert(IF_NONE_MATCH, HeaderValue::try_from(&tags).unwrap());
            assert_eq!(document.answer(&Method::GET, &request).status(), status, "{tags}");
        }
    }
}
