//! A public OAuth client that walks the authorization code flow as a user with a browser would.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use thv_jose::random;
use url::Url;

use crate::browser::{Browser, Form, Page};
use crate::pkce::Pkce;

/// How many pages and redirects a login may take.
const MAX_STEPS: usize = 20;

/// An authorization server, known by its metadata (RFC 8414).
#[derive(Clone, Debug)]
pub struct AuthorizationServer {
    /// The whole metadata document.
    pub metadata: Value,
}

impl AuthorizationServer {
    /// Reads the metadata of `issuer`.
    pub async fn discover(browser: &mut Browser, issuer: &str) -> Self {
        let mut url = Url::parse(issuer).expect("the issuer is a URL");
        let path = format!("/.well-known/oauth-authorization-server{}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let page = browser.get(url.as_str()).await;
        assert_eq!(page.status(), StatusCode::OK, "{url}: {}", page.text());
        let metadata = page.json();
        assert_eq!(metadata["issuer"], issuer, "the issuer is the one that was asked (RFC 8414 §3.3)");
        Self { metadata }
    }

    /// A member of the metadata that is a string, such as `token_endpoint`.
    pub fn text(&self, member: &str) -> &str {
        let value = self.metadata.get(member).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("the metadata has no {member}: {}", self.metadata))
    }

    /// Registers a client with `metadata` (RFC 7591 §3.1). The response may be an error.
    pub async fn register(&self, browser: &mut Browser, metadata: &Value) -> Page {
        let request = Request::post(self.text("registration_endpoint"))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::from(metadata.to_string())))
            .unwrap();
        browser.send(request).await
    }

    /// Sends a token request with these parameters (RFC 6749 §3.2). The response may be an error.
    pub async fn token(&self, browser: &mut Browser, fields: &[(&str, &str)]) -> Page {
        browser.post_form(self.text("token_endpoint"), fields).await
    }

    /// Registers a public client with one redirect_uri, and gives its client_id.
    pub async fn register_public(&self, browser: &mut Browser, redirect_uri: &str) -> String {
        let metadata = json!({
            "client_name": "Test client",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let page = self.register(browser, &metadata).await;
        assert_eq!(page.status(), StatusCode::CREATED, "{}", page.text());
        page.json()["client_id"].as_str().expect("a client_id").to_owned()
    }
}

/// An authorization request of a public client (RFC 6749 §4.1.1, RFC 7636 §4.3).
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// The `client_id`.
    pub client_id: String,
    /// The `redirect_uri`. Nothing needs to listen there: the browser stops in front of it.
    pub redirect_uri: String,
    /// The `state`.
    pub state: String,
    /// The proof key.
    pub pkce: Pkce,
    /// Further parameters, such as `scope`, `resource` and `prompt`; may repeat names.
    pub parameters: Vec<(String, String)>,
}

impl AuthorizationRequest {
    /// A request with fresh `state` and proof key, and no further parameters.
    pub fn new(client_id: &str, redirect_uri: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            state: random::token(),
            pkce: Pkce::generate(),
            parameters: Vec::new(),
        }
    }

    /// Adds a parameter.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The URL that the user's browser opens.
    pub fn url(&self, server: &AuthorizationServer) -> String {
        let mut url = Url::parse(server.text("authorization_endpoint")).expect("the endpoint is a URL");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("state", &self.state)
            .append_pair("code_challenge", &self.pkce.challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(&self.parameters);
        url.into()
    }

    /// Opens the authorization endpoint and answers pages until the browser is sent back to the client.
    ///
    /// `answers` are filled into fields of these names (`username`, `password`); a button `decision` with the value
    /// `approve` is pressed where there is one.
    pub async fn authorize(
        &self,
        browser: &mut Browser,
        server: &AuthorizationServer,
        answers: &[(&str, &str)],
    ) -> Callback {
        let page = browser.get(&self.url(server)).await;
        let callback = walk(browser, page, &self.redirect_uri, answers).await;
        assert_eq!(callback.get("state"), Some(self.state.as_str()), "the state comes back: {callback:?}");
        callback
    }

    /// Exchanges `code` (RFC 6749 §4.1.3), with the `resource` of the request if it has one. The response may be an error.
    pub async fn exchange(&self, browser: &mut Browser, server: &AuthorizationServer, code: &str) -> Page {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("code", code),
            ("code_verifier", &self.pkce.verifier),
        ];
        let resources = self.parameters.iter().filter(|(name, _)| name == "resource");
        fields.extend(resources.map(|(name, value)| (name.as_str(), value.as_str())));
        server.token(browser, &fields).await
    }
}

/// The authorization response, as the client's redirection endpoint would see it (RFC 6749 §4.1.2).
#[derive(Clone, Debug)]
pub struct Callback(Vec<(String, String)>);

impl Callback {
    /// The parameter `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The code.
    pub fn code(&self) -> &str {
        self.get("code").unwrap_or_else(|| panic!("the authorization response has no code: {self:?}"))
    }
}

/// A successful token response (RFC 6749 §5.1).
#[derive(Clone, Debug)]
pub struct Tokens(pub Value);

impl Tokens {
    /// The tokens in `page`, which must be a success.
    pub fn of(page: &Page) -> Self {
        assert_eq!(page.status(), StatusCode::OK, "{}", page.text());
        Self(page.json())
    }

    /// The access token.
    pub fn access_token(&self) -> &str {
        self.0["access_token"].as_str().expect("an access_token")
    }

    /// The refresh token, if one was issued.
    pub fn refresh_token(&self) -> Option<&str> {
        self.0["refresh_token"].as_str()
    }

    /// Uses the refresh token (RFC 6749 §6). The response may be an error.
    pub async fn refresh(
        &self,
        browser: &mut Browser,
        server: &AuthorizationServer,
        client_id: &str,
    ) -> Page {
        let refresh_token = self.refresh_token().expect("a refresh_token");
        let fields =
            [("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", refresh_token)];
        server.token(browser, &fields).await
    }
}

/// The whole flow for `request`: authorize, come back, exchange the code.
pub async fn log_in(
    browser: &mut Browser,
    server: &AuthorizationServer,
    request: &AuthorizationRequest,
    answers: &[(&str, &str)],
) -> Tokens {
    let callback = request.authorize(browser, server, answers).await;
    assert_eq!(callback.get("error"), None, "{callback:?}");
    if let Some(iss) = callback.get("iss") {
        assert_eq!(iss, server.text("issuer"), "the response is from the server that was asked (RFC 9207)");
    }
    Tokens::of(&request.exchange(browser, server, callback.code()).await)
}

/// Answers pages from `page` on until a redirect leads to `redirect_uri`.
pub async fn walk(
    browser: &mut Browser,
    page: Page,
    redirect_uri: &str,
    answers: &[(&str, &str)],
) -> Callback {
    let mut page = page;
    for _ in 0..MAX_STEPS {
        page = match page.location() {
            Some(location) if leads_to(&location, redirect_uri) => {
                return Callback(location.query_pairs().into_owned().collect());
            }
            Some(location) => browser.get(location.as_str()).await,
            None => {
                let form = answered(&page, answers);
                browser.submit(&page, &form).await
            }
        };
    }
    panic!("no authorization response after {MAX_STEPS} steps; the last page is {}", page.url())
}

fn answered(page: &Page, answers: &[(&str, &str)]) -> Form {
    for mut form in page.forms() {
        if form.press("decision", "approve") {
            return form;
        }
    }
    let mut form = page.form();
    for (name, value) in answers {
        form.fill(name, value);
    }
    form
}

/// Whether `location` is `redirect_uri` with an authorization response in its query.
fn leads_to(location: &Url, redirect_uri: &str) -> bool {
    let expected = Url::parse(redirect_uri).expect("the redirect_uri is a URL");
    let is_response = location.query_pairs().any(|(name, _)| name == "code" || name == "error");
    let place = |url: &Url| {
        (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port(), url.path().to_owned())
    };
    is_response && place(location) == place(&expected)
}
