use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use thv_testkit::http_server::TestServer;

/// An MCP server that writes down what it gets.
pub(super) struct Backend {
    server: TestServer,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    refused: Mutex<HashSet<String>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Seen {
    /// All values of a header, joined.
    pub(super) fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(", ")
    }
}

impl Backend {
    pub(super) async fn start() -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let server = TestServer::http(move |request| {
            let response = shared.answer(request);
            async move { response }
        })
        .await;
        Self { server, state }
    }

    pub(super) fn url(&self) -> String {
        self.server.url("/mcp")
    }

    /// Answers 401 to this `Authorization` from now on.
    pub(super) fn refuse(&self, authorization: &str) {
        self.state.refused.lock().unwrap().insert(authorization.to_owned());
    }

    /// What has arrived since the last time this was asked.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }

    /// The one request that has arrived since the last time.
    #[track_caller]
    pub(super) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0)
    }
}

impl State {
    /// Every `initialize` opens the session that its `Mcp-Test-Session` header asks for.
    fn answer(&self, request: Request<Bytes>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let authorization = head.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        let refused = authorization.is_some_and(|value| self.refused.lock().unwrap().contains(&value));
        let session = head.headers.get("mcp-test-session").cloned();
        let seen = Seen { method: head.method, target: head.uri.to_string(), headers: head.headers, body };
        self.seen.lock().unwrap().push(seen);
        let mut response = Response::new(Full::from(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
        response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
        if let Some(session) = session {
            response.headers_mut().insert("mcp-session-id", session);
        }
        if refused {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response.headers_mut().insert("www-authenticate", "Bearer realm=\"backend\"".parse().unwrap());
        }
        response
    }
}
