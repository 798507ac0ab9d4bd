//! An authorization server with metadata, dynamic registration and its management, which believes nothing that it did not
//! hand out itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use thv_clock::{Clock, ManualClock};
use thv_jose::key::PublicKey;
use thv_jose::verify::{Expected, KeySource, Typ, verify};
use thv_oauth::params::Params;
use thv_testkit::http_server::TestServer;
use tokio::sync::watch;

/// The server.
pub(crate) struct Idp {
    pub(crate) server: TestServer,
    state: Arc<Mutex<State>>,
    /// Whether requests that manage registrations wait.
    pub(crate) held: watch::Sender<bool>,
}

/// What it does and what it knows.
pub(crate) struct State {
    clock: ManualClock,
    /// The issuer that its metadata names instead of its own.
    pub(crate) issuer: Option<String>,
    /// The authentication methods that it lists.
    pub(crate) methods: Vec<&'static str>,
    /// Whether it accepts metadata documents.
    pub(crate) documents: bool,
    /// The status of registration responses, where registration does not succeed.
    pub(crate) registration_status: Option<u16>,
    /// What happens elsewhere while it registers somebody.
    pub(crate) meanwhile: Option<Box<dyn FnOnce() + Send>>,
    /// How long secrets live.
    pub(crate) secret_life: Option<u64>,
    /// Whether registrations can be managed.
    pub(crate) manageable: bool,
    /// The status of answers to requests that manage registrations, where they do not succeed.
    pub(crate) management_status: Option<u16>,
    /// The status of answers of its token endpoint, where it does not succeed, and the error code.
    pub(crate) token_failure: Option<(u16, &'static str)>,
    /// How many token requests it will refuse with `invalid_client` whoever sends them.
    pub(crate) denials: usize,
    /// The clients that its token endpoint refuses although it knows them.
    pub(crate) denied: HashSet<String>,
    /// The path of its token endpoint.
    pub(crate) token_path: &'static str,
    /// The clients that it does not know any more.
    pub(crate) forgotten: HashSet<String>,
    /// The keys of clients that sign.
    pub(crate) keys: Vec<PublicKey>,
    /// Every request.
    pub(crate) asked: Vec<Asked>,
    /// Secrets of clients, by `client_id`; the last is the one that counts.
    pub(crate) secrets: HashMap<String, Vec<String>>,
    /// Every token, code and registration access token that it issued.
    pub(crate) issued: Vec<String>,
    registered: usize,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
    /// Who was recognized.
    pub(crate) client_id: Option<String>,
}

impl Asked {
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        Params::parse(self.body.as_bytes()).unwrap().one(name).unwrap().map(str::to_owned)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Idp {
    pub(crate) async fn start(clock: &ManualClock) -> Self {
        let state = Arc::new(Mutex::new(State {
            clock: clock.clone(),
            issuer: None,
            methods: vec!["client_secret_basic", "client_secret_post"],
            documents: false,
            registration_status: None,
            meanwhile: None,
            secret_life: None,
            manageable: true,
            management_status: None,
            token_failure: None,
            denials: 0,
            denied: HashSet::new(),
            token_path: "/token",
            forgotten: HashSet::new(),
            keys: Vec::new(),
            asked: Vec::new(),
            secrets: HashMap::new(),
            issued: Vec::new(),
            registered: 0,
        }));
        let (held, is_held) = watch::channel(false);
        let shared = Arc::clone(&state);
        let server = TestServer::http(move |request: Request<Bytes>| {
            let (shared, mut is_held) = (Arc::clone(&shared), is_held.clone());
            async move {
                if request.uri().path().starts_with("/register/") {
                    is_held.wait_for(|held| !held).await.unwrap();
                }
                shared.lock().unwrap().answer(&request)
            }
        });
        Self { server: server.await, state, held }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn issuer(&self) -> String {
        self.server.url("")
    }

    /// The requests of this method to paths that begin so.
    pub(crate) fn asked(&self, method: &Method, path: &str) -> Vec<Asked> {
        let matches = |asked: &&Asked| asked.method == *method && asked.path.starts_with(path);
        self.state().asked.iter().filter(matches).cloned().collect()
    }

    /// As which clients tokens were renewed.
    pub(crate) fn refreshed_as(&self) -> Vec<String> {
        let asked = self.asked(&Method::POST, "/token");
        let refreshes =
            asked.iter().filter(|asked| asked.form("grant_type").as_deref() == Some("refresh_token"));
        refreshes.filter_map(|asked| asked.client_id.clone()).collect()
    }

    pub(crate) fn registrations(&self) -> usize {
        self.asked(&Method::POST, "/register").len()
    }
}

type Answer = (u16, Value);

impl State {
    fn answer(&mut self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        let header = |name: &str| Some(request.headers().get(name)?.to_str().unwrap().to_owned());
        let origin = format!("http://{}", header("host").unwrap());
        let mut asked = Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            authorization: header("authorization"),
            body: String::from_utf8(request.body().to_vec()).unwrap(),
            client_id: None,
        };
        let (status, body) = match asked.path.clone().as_str() {
            "/.well-known/oauth-authorization-server" => (200, self.metadata(&origin)),
            "/register" => self.register(&origin, &asked),
            path if path.starts_with("/register/") => self.manage(&origin, &asked),
            path if path == self.token_path => self.token(&origin, &mut asked),
            _ => (404, Value::Null),
        };
        self.asked.push(asked);
        let response = Response::builder().status(status).header("content-type", "application/json");
        response.body(Full::new(body.to_string().into())).unwrap()
    }

    fn metadata(&self, origin: &str) -> Value {
        json!({
            "issuer": self.issuer.as_deref().unwrap_or(origin),
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}{}", self.token_path),
            "registration_endpoint": format!("{origin}/register"),
            "token_endpoint_auth_methods_supported": self.methods,
            "code_challenge_methods_supported": ["S256"],
            "client_id_metadata_document_supported": self.documents
        })
    }

    fn issue(&mut self, kind: &str) -> String {
        let token = format!("{kind}-{}-{}", self.issued.len(), "0123456789abcdef");
        self.issued.push(token.clone());
        token
    }

    fn register(&mut self, origin: &str, asked: &Asked) -> Answer {
        if let Some(status) = self.registration_status {
            return (status, Value::Null);
        }
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
        self.registered += 1;
        let client_id = format!("client-{}", self.registered);
        (201, self.registration(origin, &client_id, asked))
    }

    fn registration(&mut self, origin: &str, client_id: &str, asked: &Asked) -> Value {
        let mut answer = asked.json();
        answer["client_id"] = json!(client_id);
        if answer["token_endpoint_auth_method"].as_str().unwrap().starts_with("client_secret") {
            let secret = self.issue("secret");
            self.secrets.entry(client_id.to_owned()).or_default().push(secret.clone());
            answer["client_secret"] = json!(secret);
            let expires_at = self.secret_life.map_or(0, |life| self.clock.now().as_secs() + life);
            answer["client_secret_expires_at"] = json!(expires_at);
        }
        if self.manageable {
            answer["registration_access_token"] = json!(self.issue("rat"));
            answer["registration_client_uri"] = json!(format!("{origin}/register/{client_id}"));
        }
        answer
    }

    fn manage(&mut self, origin: &str, asked: &Asked) -> Answer {
        let client_id = asked.path.rsplit('/').next().unwrap().to_owned();
        let bearer = asked.authorization.as_deref().unwrap().strip_prefix("Bearer rat-");
        if bearer.is_none() || self.forgotten.contains(&client_id) {
            return (401, Value::Null);
        }
        if let Some(status) = self.management_status {
            return (status, Value::Null);
        }
        match asked.method {
            Method::GET => {
                let secret = self.secret(&client_id);
                (200, json!({"client_id": client_id, "client_secret": secret, "client_secret_expires_at": 0}))
            }
            Method::PUT => {
                let sent = asked.json();
                assert_eq!(sent["client_id"], json!(client_id));
                assert_eq!(sent["client_secret"].as_str(), self.secret(&client_id));
                (200, self.registration(origin, &client_id, asked))
            }
            Method::DELETE => {
                self.forgotten.insert(client_id);
                (204, Value::Null)
            }
            _ => (405, Value::Null),
        }
    }

    fn secret(&self, client_id: &str) -> Option<&str> {
        self.secrets.get(client_id)?.last().map(String::as_str)
    }

    fn token(&mut self, origin: &str, asked: &mut Asked) -> Answer {
        if let Some((status, error)) = self.token_failure {
            return (status, json!({"error": error}));
        }
        let denied = self.denials > 0;
        self.denials = self.denials.saturating_sub(1);
        let Some(client_id) = self.authenticated(origin, asked).filter(|_| !denied) else {
            return (401, json!({"error": "invalid_client"}));
        };
        asked.client_id = Some(client_id.clone());
        let bound = format!("rt-{client_id}-");
        match asked.form("grant_type").as_deref() {
            Some("authorization_code") => assert!(asked.form("code_verifier").is_some()),
            Some("refresh_token") if asked.form("refresh_token").unwrap().starts_with(&bound) => {}
            _ => return (400, json!({"error": "invalid_grant"})),
        }
        let (access_token, refresh_token) = (self.issue("at"), self.issue(bound.trim_end_matches('-')));
        (
            200,
            json!({
                "access_token": access_token, "token_type": "Bearer", "expires_in": 600,
                "refresh_token": refresh_token, "sub": "u1"
            }),
        )
    }

    fn authenticated(&self, origin: &str, asked: &Asked) -> Option<String> {
        let client_id = match (&asked.authorization, asked.form("client_assertion")) {
            (Some(basic), _) => {
                let pair = STANDARD.decode(basic.strip_prefix("Basic ").unwrap()).unwrap();
                let pair = String::from_utf8(pair).unwrap();
                let (client_id, secret) = pair.split_once(':').unwrap();
                (self.secret(client_id)? == secret).then(|| client_id.to_owned())?
            }
            (None, Some(assertion)) => self.signer(origin, &assertion, &asked.form("client_id").unwrap())?,
            (None, None) => return None,
        };
        (!self.forgotten.contains(&client_id) && !self.denied.contains(&client_id)).then_some(client_id)
    }

    fn signer(&self, origin: &str, assertion: &str, client_id: &str) -> Option<String> {
        let audiences = [origin];
        let expected = Expected {
            issuer: Some(client_id),
            ..Expected::new(Typ::ClientAssertion, &audiences, self.clock.now())
        };
        let claims: Value = verify(assertion, &Keys(&self.keys), &expected).ok()?;
        (claims["sub"] == client_id).then(|| client_id.to_owned())
    }
}

struct Keys<'a>(&'a [PublicKey]);

impl KeySource for Keys<'_> {
    fn candidates(&self, _kid: Option<&str>, algorithm: thv_jose::algorithm::Algorithm) -> Vec<&PublicKey> {
        self.0.iter().filter(|key| key.algorithm() == algorithm).collect()
    }
}
