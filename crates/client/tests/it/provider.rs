//! An authorization server that answers what a test tells it, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use thv_clock::{ManualClock, Timestamp};
use thv_egress::{Client, Policy, Roots};
use thv_jose::key::SigningKey;
use thv_testkit::http_server::TestServer;

/// Tue, 14 Nov 2023 22:13:20 GMT.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(crate) fn clock() -> ManualClock {
    ManualClock::at(NOW)
}

pub(crate) fn egress() -> Client {
    Client::new(Policy::with_loopback(), &Roots::load(None).unwrap())
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(body: &Value) -> Self {
        Self::of(200, "application/json", body.to_string())
    }

    pub(crate) fn of(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Handler = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

#[derive(Default)]
struct Shared {
    handlers: Mutex<HashMap<String, Handler>>,
    asked: Mutex<Vec<Asked>>,
}

pub(crate) struct Provider {
    server: TestServer,
    shared: Arc<Shared>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let server = TestServer::http(move |request| std::future::ready(serving.answer(request))).await;
        Self { server, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// Every connection is closed at once while it is down.
    pub(crate) fn set_down(&self, down: bool) {
        if down { self.server.down() } else { self.server.up() }
    }

    pub(crate) fn on(&self, path: &str, handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) {
        self.shared.handlers.lock().unwrap().insert(path.to_owned(), Arc::new(handler));
    }

    pub(crate) fn on_json(&self, path: &str, body: Value) {
        self.on(path, move |_| Answer::json(&body));
    }

    /// Publishes these keys at `/jwks`.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.public().to_jwk()).collect();
        self.on_json("/jwks", json!({"keys": keys}));
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Asked {
        self.asked().pop().unwrap()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }
}

impl Shared {
    fn answer(&self, request: Request<Bytes>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let asked = Asked {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        self.asked.lock().unwrap().push(asked.clone());
        let handler = self.handlers.lock().unwrap().get(&asked.path).cloned();
        let answer = handler.map_or_else(|| Answer::of(404, "text/plain", "no"), |handler| handler(&asked));
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        response.body(Full::new(answer.body.into())).unwrap()
    }
}
