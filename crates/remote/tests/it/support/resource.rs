//! A protected MCP server that trusts authorization servers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use thv_testkit::certs::TestCa;
use thv_testkit::http_server::TestServer;

use super::authorization_server::{Answer, Asked, Issued, State, json_answer, page};

pub(crate) const PRM: &str = "/.well-known/oauth-protected-resource";

type Hook = Arc<dyn Fn(&Asked, Option<&Issued>) -> Option<Answer> + Send + Sync>;

#[derive(Default)]
struct Conduct {
    documents: BTreeMap<String, Value>,
    challenges: Vec<String>,
    trusted: Vec<Arc<State>>,
    /// An authorization server at this very host.
    embedded: Option<Arc<State>>,
    hook: Option<Hook>,
    asked: Vec<Asked>,
}

/// The server at `/mcp`. It knows a token when one of the authorization servers does.
pub(crate) struct Resource {
    pub(crate) server: TestServer,
    conduct: Arc<Mutex<Conduct>>,
}

impl Resource {
    pub(crate) async fn start() -> Self {
        let conduct = Arc::new(Mutex::new(Conduct::default()));
        let serving = Arc::clone(&conduct);
        let server = TestServer::http(move |request| {
            let asked = Asked::of(request);
            std::future::ready(answer(&serving, asked))
        });
        Self { server: server.await, conduct }
    }

    pub(crate) async fn start_https(ca: &TestCa) -> Self {
        let conduct = Arc::new(Mutex::new(Conduct::default()));
        let serving = Arc::clone(&conduct);
        let server = TestServer::https(ca, &["localhost"], move |request| {
            let asked = Asked::of(request);
            std::future::ready(answer(&serving, asked))
        });
        Self { server: server.await, conduct }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("/mcp")
    }

    /// Names `issuers` in its metadata, to which its challenge points.
    pub(crate) fn names(&self, issuers: &[String]) {
        let place = format!("{PRM}/mcp");
        self.serve(&place, json!({"resource": self.url(), "authorization_servers": issuers}));
        let metadata = self.server.url(&place);
        self.challenge(&[&format!(r#"Bearer resource_metadata="{metadata}""#)]);
    }

    pub(crate) fn trusts(&self, authorization_server: &Arc<State>) {
        self.conduct.lock().unwrap().trusted.push(Arc::clone(authorization_server));
    }

    pub(crate) fn embeds(&self, authorization_server: &Arc<State>) {
        authorization_server.settle(&self.server.url(""));
        self.conduct.lock().unwrap().embedded = Some(Arc::clone(authorization_server));
        self.trusts(authorization_server);
    }

    pub(crate) fn serve(&self, path: &str, document: Value) {
        self.conduct.lock().unwrap().documents.insert(path.to_owned(), document);
    }

    pub(crate) fn serve_nothing(&self) {
        self.conduct.lock().unwrap().documents.clear();
    }

    /// Changes the metadata at the place that the challenge names.
    pub(crate) fn say(&self, member: &str, value: impl Into<Value>) {
        let mut conduct = self.conduct.lock().unwrap();
        conduct.documents.get_mut(&format!("{PRM}/mcp")).unwrap()[member] = value.into();
    }

    /// The `WWW-Authenticate` fields of refusals.
    pub(crate) fn challenge(&self, challenges: &[&str]) {
        self.conduct.lock().unwrap().challenges =
            challenges.iter().map(|challenge| (*challenge).to_owned()).collect();
    }

    /// Asked at every request to `/mcp`, with what the token is good for.
    pub(crate) fn on(
        &self,
        hook: impl Fn(&Asked, Option<&Issued>) -> Option<Answer> + Send + Sync + 'static,
    ) {
        self.conduct.lock().unwrap().hook = Some(Arc::new(hook));
    }

    /// The requests to `path`.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.all().into_iter().filter(|asked| asked.path == path).collect()
    }

    /// The paths below `/.well-known/`, in the order in which they were asked for.
    pub(crate) fn looked_for(&self) -> Vec<String> {
        let paths = self.all().into_iter().map(|asked| asked.path);
        paths.filter(|path| path.contains("/.well-known/")).collect()
    }

    fn all(&self) -> Vec<Asked> {
        self.conduct.lock().unwrap().asked.clone()
    }
}

fn answer(conduct: &Mutex<Conduct>, asked: Asked) -> Answer {
    let mut conduct = conduct.lock().unwrap();
    conduct.asked.push(asked.clone());
    if let Some(document) = conduct.documents.get(&asked.path) {
        return json_answer(200, document);
    }
    if asked.path != "/mcp" {
        let embedded = conduct.embedded.clone();
        drop(conduct);
        return embedded.map_or_else(|| page(404, "text/plain", ""), |server| server.handle(asked));
    }
    let token = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let issued = token.and_then(|token| conduct.trusted.iter().find_map(|server| server.introspect(token)));
    if let Some(answer) = conduct.hook.as_ref().and_then(|hook| hook(&asked, issued.as_ref())) {
        return answer;
    }
    match issued {
        Some(issued) => json_answer(200, &json!({"scope": issued.scope, "client": issued.client_id})),
        None => challenged(401, &conduct.challenges),
    }
}

/// A refusal with these challenges.
pub(crate) fn challenged<T: AsRef<str>>(status: u16, challenges: &[T]) -> Answer {
    let mut response = page(status, "text/plain", "no");
    for challenge in challenges {
        response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_str(challenge.as_ref()).unwrap());
    }
    response
}
