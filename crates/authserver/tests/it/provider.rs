//! A plain OAuth 2.0 provider that tests can disturb: its refresh tokens rotate, and it notices when one is used twice.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use thv_jose::digest::{base64url, sha256};
use thv_oauth::params::{Params, append_query};
use thv_testkit::http_server::TestServer;
use tokio::sync::Semaphore;

/// What goes wrong with one token request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is refused with this error code.
    Refuse(&'static str),
    /// It is answered with 503.
    Unavailable,
    /// It waits for [`Provider::release`] before anything is done.
    HoldBefore,
    /// It is done; only the answer waits for [`Provider::release`].
    HoldAfter,
    /// The new tokens are another user's.
    OtherUser,
}

/// The provider.
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) server: TestServer,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Semaphore,
    released: Semaphore,
}

/// What the provider knows, and what it counted.
pub(crate) struct State {
    name: String,
    /// Who logs in next.
    pub(crate) user: String,
    /// Whether refresh tokens are replaced.
    pub(crate) rotates: bool,
    /// The lifetime of access tokens.
    pub(crate) expires_in: Option<u64>,
    /// What goes wrong with the next token requests.
    pub(crate) faults: VecDeque<Fault>,
    /// Refreshes that were done.
    pub(crate) refreshes: usize,
    /// Token requests that arrived with a refresh token, whatever became of them.
    pub(crate) refresh_requests: usize,
    /// Rotated refresh tokens that came a second time.
    pub(crate) reuses: usize,
    /// Tokens that it was asked to revoke.
    pub(crate) revoked: Vec<String>,
    codes: HashMap<String, Code>,
    families: Vec<Family>,
}

struct Code {
    challenge: String,
    user: String,
}

/// Refresh tokens that descend from one login: `rt-<provider>-<family>-<generation>`.
struct Family {
    user: String,
    generation: usize,
    access_tokens: usize,
    void: bool,
}

impl Provider {
    pub(crate) async fn start(name: &str) -> Arc<Self> {
        let state = State {
            name: name.to_owned(),
            user: "uma".to_owned(),
            rotates: true,
            expires_in: Some(3600),
            faults: VecDeque::new(),
            refreshes: 0,
            refresh_requests: 0,
            reuses: 0,
            revoked: Vec::new(),
            codes: HashMap::new(),
            families: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            arrived: Semaphore::new(0),
            released: Semaphore::new(0),
        });
        let serving = Arc::clone(&shared);
        let server = TestServer::http(move |request| answer(Arc::clone(&serving), request)).await;
        Arc::new(Self { name: name.to_owned(), server, shared })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Disturbs the next token request.
    pub(crate) fn next(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Waits until a request is held.
    pub(crate) async fn arrived(&self) {
        self.shared.arrived.acquire().await.unwrap().forget();
    }

    /// Lets one held request go on.
    pub(crate) fn release(&self) {
        self.shared.released.add_permits(1);
    }

    /// The user logs in: from our authorization request to the path of the callback that the browser is sent to.
    pub(crate) fn log_in(&self, authorization_request: &str) -> String {
        let (endpoint, query) = authorization_request.split_once('?').unwrap();
        assert_eq!(endpoint, self.server.url("/authorize"));
        let params = Params::parse(query.as_bytes()).unwrap();
        let one = |name| params.one(name).unwrap().unwrap().to_owned();
        assert_eq!((one("response_type"), one("code_challenge_method")), ("code".into(), "S256".into()));
        let mut state = self.state();
        let code = format!("code-{}-{}", self.name, state.codes.len());
        let user = state.user.clone();
        state.codes.insert(code.clone(), Code { challenge: one("code_challenge"), user });
        append_query("/oauth/callback", &[("state", &one("state")), ("code", &code)])
    }

    /// The user, or the provider, refuses the login.
    pub(crate) fn refuse_login(&self, authorization_request: &str, error: &str) -> String {
        append_query(
            "/oauth/callback",
            &[("state", &param(authorization_request, "state")), ("error", error)],
        )
    }
}

/// A parameter of a URL's query.
pub(crate) fn param(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    Params::parse(query.as_bytes()).unwrap().one(name).unwrap().unwrap().to_owned()
}

async fn answer(shared: Arc<Shared>, request: Request<Bytes>) -> Response<Full<Bytes>> {
    let form = Params::parse(request.body()).unwrap();
    let form: BTreeMap<_, _> = ["grant_type", "code", "code_verifier", "refresh_token", "token"]
        .into_iter()
        .filter_map(|name| Some((name, form.one(name).unwrap()?.to_owned())))
        .collect();
    let (status, body) = match request.uri().path() {
        "/token" => token(&shared, &form).await,
        "/revoke" => {
            shared.state.lock().unwrap().revoke(&form["token"]);
            (200, Value::Null)
        }
        _ => (404, Value::Null),
    };
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::new(body.to_string().into())).unwrap()
}

async fn token(shared: &Shared, form: &BTreeMap<&str, String>) -> (u16, Value) {
    let fault = {
        let mut state = shared.state.lock().unwrap();
        state.refresh_requests += usize::from(form.contains_key("refresh_token"));
        state.faults.pop_front()
    };
    match fault {
        Some(Fault::Refuse(error)) => return refused(error),
        Some(Fault::Unavailable) => return (503, Value::Null),
        Some(Fault::HoldBefore) => hold(shared).await,
        Some(Fault::HoldAfter | Fault::OtherUser) | None => {}
    }
    let mut answer = shared.state.lock().unwrap().token(form);
    match fault {
        Some(Fault::HoldAfter) => hold(shared).await,
        Some(Fault::OtherUser) => answer.1["sub"] = json!("somebody else"),
        _ => {}
    }
    answer
}

async fn hold(shared: &Shared) {
    shared.arrived.add_permits(1);
    shared.released.acquire().await.unwrap().forget();
}

fn refused(error: &str) -> (u16, Value) {
    (if error == "invalid_client" { 401 } else { 400 }, json!({ "error": error }))
}

impl State {
    fn token(&mut self, form: &BTreeMap<&str, String>) -> (u16, Value) {
        match form["grant_type"].as_str() {
            "authorization_code" => self.redeem(form),
            "refresh_token" => self.refresh(&form["refresh_token"]),
            _ => refused("unsupported_grant_type"),
        }
    }

    fn redeem(&mut self, form: &BTreeMap<&str, String>) -> (u16, Value) {
        let Some(code) = self.codes.remove(&form["code"]) else { return refused("invalid_grant") };
        if code.challenge != base64url(&sha256(form["code_verifier"].as_bytes())) {
            return refused("invalid_grant");
        }
        self.families.push(Family { user: code.user, generation: 0, access_tokens: 0, void: false });
        let family = self.families.len() - 1;
        let mut tokens = self.issue(family);
        tokens["refresh_token"] = json!(self.refresh_token(family));
        (200, tokens)
    }

    fn refresh(&mut self, refresh_token: &str) -> (u16, Value) {
        let Some((family, generation)) = self.family(refresh_token) else { return refused("invalid_grant") };
        let rotates = self.rotates;
        let row = &mut self.families[family];
        if row.generation != generation {
            row.void = true;
            self.reuses += 1;
            return refused("invalid_grant");
        }
        if row.void {
            return refused("invalid_grant");
        }
        row.generation += usize::from(rotates);
        self.refreshes += 1;
        let mut tokens = self.issue(family);
        if rotates {
            tokens["refresh_token"] = json!(self.refresh_token(family));
        }
        (200, tokens)
    }

    fn issue(&mut self, family: usize) -> Value {
        let row = &mut self.families[family];
        row.access_tokens += 1;
        let access_token = format!("at-{}-{family}-{}", self.name, row.access_tokens);
        let mut tokens = json!({ "access_token": access_token, "token_type": "Bearer", "sub": row.user });
        if let Some(expires_in) = self.expires_in {
            tokens["expires_in"] = json!(expires_in);
        }
        tokens
    }

    fn refresh_token(&self, family: usize) -> String {
        format!("rt-{}-{family}-{}", self.name, self.families[family].generation)
    }

    fn family(&self, refresh_token: &str) -> Option<(usize, usize)> {
        let rest = refresh_token.strip_prefix(&format!("rt-{}-", self.name))?;
        let (family, generation) = rest.split_once('-')?;
        let family = family.parse().ok().filter(|family| *family < self.families.len())?;
        Some((family, generation.parse().ok()?))
    }

    fn revoke(&mut self, token: &str) {
        self.revoked.push(token.to_owned());
        if let Some((family, _)) = self.family(token) {
            self.families[family].void = true;
        }
    }
}
