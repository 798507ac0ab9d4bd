//! A host of client ID metadata documents that can be slow, wrong or down.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::certs::TestCa;
use crate::http_server::TestServer;

/// An https server of documents, each with its own status, headers and delay.
pub struct DocumentHost {
    server: TestServer,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    documents: Mutex<HashMap<String, Document>>,
    /// The headers of every request so far, by path; watched so that a test can wait for one.
    requests: watch::Sender<HashMap<String, Vec<HeaderMap>>>,
}

#[derive(Clone)]
struct Document {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    held: watch::Receiver<bool>,
}

/// Holds the responses of one path until it is released or dropped.
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// Lets all held responses, and later ones, go.
    pub fn release(self) {
        self.0.send_replace(false);
    }
}

impl DocumentHost {
    /// Starts a host with a certificate for `names`; client IDs use the first of them.
    pub async fn start(ca: &TestCa, names: &[&str]) -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let server = TestServer::https(ca, names, move |request| answer(Arc::clone(&shared), request)).await;
        Self { server, state }
    }

    /// The URL of the document at `path`, which is its client_id.
    pub fn client_id(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// Where the host listens, whatever its names are.
    pub const fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Publishes a valid document of a public client at `path` and gives its client_id.
    pub fn publish(&self, path: &str, redirect_uris: &[&str]) -> String {
        let client_id = self.client_id(path);
        self.set(path, &public_client_document(&client_id, redirect_uris));
        client_id
    }

    /// Publishes `document` at `path` as 200 `application/json`, without the headers it may have had before.
    pub fn set(&self, path: &str, document: &Value) {
        self.set_bytes(path, document.to_string());
    }

    /// Publishes any bytes at `path` as 200 `application/json`.
    pub fn set_bytes(&self, path: &str, body: impl Into<Bytes>) {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let document =
            Document { status: StatusCode::OK, headers, body: body.into(), held: watch::channel(false).1 };
        self.documents().insert(path.to_owned(), document);
    }

    /// Sets a response header of the document at `path`, such as `cache-control` or `etag`.
    ///
    /// With an `etag`, a request whose `If-None-Match` is equal gets 304.
    pub fn set_header(&self, path: &str, name: &str, value: &str) {
        let (name, value) = (HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self.change(path, |document| {
            document.headers.insert(name, value);
        });
    }

    /// Sets the status of the document at `path`.
    pub fn set_status(&self, path: &str, status: u16) {
        self.change(path, |document| document.status = StatusCode::from_u16(status).unwrap());
    }

    /// Holds the responses of `path` from now on.
    pub fn hold(&self, path: &str) -> Gate {
        let (sender, held) = watch::channel(true);
        self.change(path, |document| document.held = held);
        Gate(sender)
    }

    /// How often `path` was requested.
    pub fn requests(&self, path: &str) -> usize {
        self.state.requests.borrow().get(path).map_or(0, Vec::len)
    }

    /// How many requests came for all paths together.
    pub fn total_requests(&self) -> usize {
        self.server.requests()
    }

    /// The headers of the latest request for `path`.
    pub fn last_request(&self, path: &str) -> Option<HeaderMap> {
        self.state.requests.borrow().get(path)?.last().cloned()
    }

    /// Waits until `path` was requested at least `count` times; held responses count as soon as they are asked for.
    pub async fn requested(&self, path: &str, count: usize) {
        let mut requests = self.state.requests.subscribe();
        requests.wait_for(|requests| requests.get(path).map_or(0, Vec::len) >= count).await.unwrap();
    }

    /// Breaks all connections until [`up`](Self::up).
    pub fn down(&self) {
        self.server.down();
    }

    /// Serves again.
    pub fn up(&self) {
        self.server.up();
    }

    fn documents(&self) -> std::sync::MutexGuard<'_, HashMap<String, Document>> {
        self.state.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut Document)) {
        change(self.documents().get_mut(path).expect("a document was published at this path"));
    }
}

/// A valid document of a public client with the code and refresh grants.
pub fn public_client_document(client_id: &str, redirect_uris: &[&str]) -> Value {
    json!({
        "client_id": client_id,
        "client_name": "Test client",
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

async fn answer(state: Arc<State>, request: Request<Bytes>) -> Response<Full<Bytes>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    state.requests.send_modify(|requests| {
        requests.entry(path.clone()).or_default().push(request.headers().clone());
    });
    let document = state.documents.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
    let Some(mut document) = document else {
        return respond(StatusCode::NOT_FOUND, HeaderMap::new(), Bytes::new());
    };
    // A dropped gate releases, too.
    let _ = document.held.wait_for(|held| !*held).await;
    let known = request.headers().get(IF_NONE_MATCH);
    if document.status == StatusCode::OK && known.is_some() && known == document.headers.get(ETAG) {
        return respond(StatusCode::NOT_MODIFIED, document.headers, Bytes::new());
    }
    respond(document.status, document.headers, document.body)
}

fn respond(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
