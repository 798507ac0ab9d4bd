//! An authorization server that does what a test tells it, and remembers what it was asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use thv_jose::digest::{base64url, sha256};
use thv_jose::random;
use thv_oauth::params::append_query;
use thv_testkit::certs::TestCa;
use thv_testkit::http_server::TestServer;
use url::form_urlencoded;

use super::user::COOKIE_OF_ALICE;

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) const RFC8414: &str = "/.well-known/oauth-authorization-server";
pub(crate) const OPENID: &str = "/.well-known/openid-configuration";

/// How long access tokens live, in seconds.
pub(crate) const LIFETIME: u64 = 600;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Of the query, or of the form.
    pub(crate) params: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn of(request: Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        let encoded = match head.method {
            Method::GET => head.uri.query().unwrap_or_default().as_bytes(),
            _ => &body,
        };
        let params = form_urlencoded::parse(encoded).into_owned().collect();
        let path = head.uri.path().to_owned();
        Self { method: head.method, path, headers: head.headers, body, params }
    }

    /// The one value of a parameter.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.params.iter().filter(|(known, _)| known == name);
        let first = values.next();
        assert!(values.next().is_none(), "{name} is repeated: {:?}", self.params);
        first.map(|(_, value)| value.as_str())
    }

    /// The one value of a parameter that must be there.
    pub(crate) fn must(&self, name: &str) -> &str {
        self.one(name).unwrap_or_else(|| panic!("{} lacks {name}: {:?}", self.path, self.params))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether it is the user's browser that asks, and no preflight.
    pub(crate) fn by_browser(&self) -> bool {
        self.header(COOKIE.as_str()).is_some_and(|cookie| cookie.contains(COOKIE_OF_ALICE))
    }
}

type Hook = Arc<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;

/// How the server behaves.
#[derive(Clone)]
pub(crate) struct Manner {
    /// What is served as JSON, by path.
    pub(crate) documents: BTreeMap<String, Value>,
    /// Asked before anything else.
    pub(crate) hook: Option<Hook>,
    /// Authorization requests are answered at once, whoever asks.
    pub(crate) knows_everybody: bool,
    /// `iss` of authorization responses.
    pub(crate) iss: Option<String>,
    /// `expires_in`.
    pub(crate) lifetime: Option<u64>,
    pub(crate) gives_refresh_tokens: bool,
    pub(crate) id_token: Option<&'static str>,
    /// Members of registration responses.
    pub(crate) registration: Value,
}

impl Manner {
    pub(crate) fn metadata(&mut self) -> &mut Value {
        self.documents.get_mut(RFC8414).unwrap()
    }

    pub(crate) fn supports_documents(&mut self, supported: bool) {
        self.metadata()["client_id_metadata_document_supported"] = supported.into();
    }

    pub(crate) fn registers_nobody(&mut self) {
        self.metadata().as_object_mut().unwrap().remove("registration_endpoint");
    }

    pub(crate) fn on(&mut self, hook: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) {
        self.hook = Some(Arc::new(hook));
    }
}

/// What was issued with an access token.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) client_id: String,
    pub(crate) scope: String,
}

#[derive(Default)]
struct Tokens {
    codes: HashMap<String, Asked>,
    access: HashMap<String, Issued>,
    refresh: HashMap<String, Issued>,
    /// Everything secret that was ever handed out.
    secrets: Vec<String>,
    registered: usize,
}

pub(crate) struct State {
    origin: OnceLock<String>,
    manner: Mutex<Option<Manner>>,
    asked: Mutex<Vec<Asked>>,
    tokens: Mutex<Tokens>,
}

/// A server whose users are called Alice and have a cookie.
pub(crate) struct AuthorizationServer {
    pub(crate) server: TestServer,
    pub(crate) state: Arc<State>,
}

impl AuthorizationServer {
    pub(crate) async fn start() -> Self {
        let state = State::new();
        let serving = Arc::clone(&state);
        let server = TestServer::http(move |request| std::future::ready(serving.answer(request))).await;
        state.settle(&server.url(""));
        Self { server, state }
    }

    pub(crate) async fn start_https(ca: &TestCa) -> Self {
        let state = State::new();
        let serving = Arc::clone(&state);
        let names = ["localhost"];
        let server =
            TestServer::https(ca, &names, move |request| std::future::ready(serving.answer(request))).await;
        state.settle(&server.url(""));
        Self { server, state }
    }

    pub(crate) fn issuer(&self) -> String {
        self.server.url("")
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Manner)) {
        self.state.behave(change);
    }

    /// The requests to `path`, in their order.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.state.asked(path)
    }

    /// The authorization requests that a browser brought.
    pub(crate) fn browsed(&self) -> Vec<Asked> {
        self.asked("/authorize").into_iter().filter(Asked::by_browser).collect()
    }

    /// The token requests of this grant.
    pub(crate) fn granted(&self, grant_type: &str) -> Vec<Asked> {
        let mut asked = self.asked("/token");
        asked.retain(|asked| asked.one("grant_type") == Some(grant_type));
        asked
    }

    /// All access tokens stop working.
    pub(crate) fn forget_access_tokens(&self) {
        self.state.tokens.lock().unwrap().access.clear();
    }

    /// All refresh tokens stop working.
    pub(crate) fn forget_refresh_tokens(&self) {
        self.state.tokens.lock().unwrap().refresh.clear();
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        self.state.tokens.lock().unwrap().secrets.clone()
    }
}

impl State {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            origin: OnceLock::new(),
            manner: Mutex::new(None),
            asked: Mutex::default(),
            tokens: Mutex::default(),
        })
    }

    /// Where it is, and how it behaves until told otherwise: clients may come with a document or register.
    pub(crate) fn settle(&self, origin: &str) {
        self.origin.set(origin.to_owned()).unwrap();
        let metadata = json!({
            "issuer": origin,
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
            "registration_endpoint": format!("{origin}/register"),
            "revocation_endpoint": format!("{origin}/revoke"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            "client_id_metadata_document_supported": true,
        });
        *self.manner.lock().unwrap() = Some(Manner {
            documents: BTreeMap::from([(RFC8414.to_owned(), metadata)]),
            hook: None,
            knows_everybody: false,
            iss: None,
            lifetime: Some(LIFETIME),
            gives_refresh_tokens: true,
            id_token: None,
            registration: json!({}),
        });
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Manner)) {
        change(self.manner.lock().unwrap().as_mut().unwrap());
    }

    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// What an access token is good for, as long as it is.
    pub(crate) fn introspect(&self, access_token: &str) -> Option<Issued> {
        self.tokens.lock().unwrap().access.get(access_token).cloned()
    }

    pub(crate) fn answer(&self, request: Request<Bytes>) -> Answer {
        self.handle(Asked::of(request))
    }

    pub(crate) fn handle(&self, asked: Asked) -> Answer {
        self.asked.lock().unwrap().push(asked.clone());
        let manner = self.manner.lock().unwrap().clone().unwrap();
        if let Some(answer) = manner.hook.as_ref().and_then(|hook| hook(&asked)) {
            return answer;
        }
        if let Some(document) = manner.documents.get(&asked.path) {
            return json_answer(200, document);
        }
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/authorize") => self.authorize(&asked, &manner),
            ("POST", "/token") => self.token(&asked, &manner),
            ("POST", "/register") => self.register(&asked, &manner),
            ("POST", "/revoke") => self.revoke(&asked),
            ("PUT", path) if path.starts_with("/register/") => self.register(&asked, &manner),
            ("DELETE", path) if path.starts_with("/register/") => page(204, "text/plain", ""),
            _ => page(404, "text/html", "<h1>Not found</h1>"),
        }
    }

    fn authorize(&self, asked: &Asked, manner: &Manner) -> Answer {
        if !manner.knows_everybody && !asked.by_browser() {
            return page(200, "text/html", "<form action=login><input name=user></form>");
        }
        let code = self.secret("code");
        self.tokens.lock().unwrap().codes.insert(code.clone(), asked.clone());
        let mut pairs = vec![("code", code.as_str()), ("state", asked.must("state"))];
        pairs.extend(manner.iss.as_deref().map(|iss| ("iss", iss)));
        redirect(&append_query(asked.must("redirect_uri"), &pairs))
    }

    fn token(&self, asked: &Asked, manner: &Manner) -> Answer {
        let issued = match asked.must("grant_type") {
            "authorization_code" => self.redeem(asked),
            "refresh_token" => {
                // Every refresh token is accepted once.
                let issued = self.tokens.lock().unwrap().refresh.remove(asked.must("refresh_token"));
                issued.filter(|issued| Some(issued.client_id.as_str()) == client_of(asked).as_deref())
            }
            other => panic!("grant_type {other:?}"),
        };
        let Some(issued) = issued else { return refusal(400, "invalid_grant") };
        let (access, refresh) = (self.secret("access"), self.secret("refresh"));
        let mut answer = json!({"access_token": access, "token_type": "Bearer", "scope": issued.scope});
        if let Some(lifetime) = manner.lifetime {
            answer["expires_in"] = lifetime.into();
        }
        if let Some(id_token) = manner.id_token {
            answer["id_token"] = id_token.into();
        }
        let mut tokens = self.tokens.lock().unwrap();
        if manner.gives_refresh_tokens {
            answer["refresh_token"] = refresh.clone().into();
            tokens.refresh.insert(refresh, issued.clone());
        }
        tokens.access.insert(access, issued);
        json_answer(200, &answer)
    }

    /// RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 8707 §2.2.
    fn redeem(&self, asked: &Asked) -> Option<Issued> {
        let request = self.tokens.lock().unwrap().codes.remove(asked.must("code"))?;
        let challenge = base64url(&sha256(asked.must("code_verifier").as_bytes()));
        let same = |name| asked.one(name) == request.one(name);
        let client_id = client_of(asked)?;
        (request.must("code_challenge_method") == "S256"
            && request.must("code_challenge") == challenge
            && same("redirect_uri")
            && same("resource")
            && request.must("client_id") == client_id)
            .then(|| Issued { client_id, scope: request.one("scope").unwrap_or_default().to_owned() })
    }

    fn register(&self, asked: &Asked, manner: &Manner) -> Answer {
        let mut registered = asked.json();
        if asked.method == Method::POST {
            let mut tokens = self.tokens.lock().unwrap();
            tokens.registered += 1;
            registered["client_id"] = format!("registered-{}", tokens.registered).into();
        }
        let members = manner.registration.as_object().unwrap();
        for (name, value) in members {
            registered[name] = value.clone();
            if let (true, Some(secret)) = (name.contains("secret") || name.contains("token"), value.as_str())
            {
                self.tokens.lock().unwrap().secrets.push(secret.to_owned());
            }
        }
        json_answer(if asked.method == Method::POST { 201 } else { 200 }, &registered)
    }

    fn revoke(&self, asked: &Asked) -> Answer {
        let mut tokens = self.tokens.lock().unwrap();
        tokens.access.remove(asked.must("token"));
        tokens.refresh.remove(asked.must("token"));
        page(200, "text/plain", "")
    }

    fn secret(&self, kind: &str) -> String {
        let secret = format!("{kind}-{}", random::token());
        self.tokens.lock().unwrap().secrets.push(secret.clone());
        secret
    }
}

/// Who asks, by Basic or in the form.
pub(crate) fn client_of(asked: &Asked) -> Option<String> {
    use base64::Engine as _;
    let Some(basic) = asked.header("authorization").and_then(|value| value.strip_prefix("Basic ")) else {
        return asked.one("client_id").map(str::to_owned);
    };
    let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(basic).unwrap()).unwrap();
    let client_id = pair.split_once(':').unwrap().0.to_owned();
    form_urlencoded::parse(format!("x={client_id}").as_bytes()).next().map(|(_, value)| value.into_owned())
}

pub(crate) fn page(status: u16, kind: &str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
    response
}

pub(crate) fn json_answer(status: u16, body: &Value) -> Answer {
    page(status, "application/json", body.to_string())
}

/// An error of the token endpoint and those like it.
pub(crate) fn refusal(status: u16, error: &str) -> Answer {
    json_answer(status, &json!({"error": error, "error_description": "the test says so"}))
}

pub(crate) fn redirect(location: &str) -> Answer {
    let mut response = page(302, "text/plain", "");
    response.headers_mut().insert(LOCATION, location.parse().unwrap());
    response
}

/// The error, at the redirect URI of the request.
pub(crate) fn redirected_error(asked: &Asked, error: &str) -> Answer {
    let pairs = [("error", error), ("state", asked.must("state"))];
    redirect(&append_query(asked.must("redirect_uri"), &pairs))
}
