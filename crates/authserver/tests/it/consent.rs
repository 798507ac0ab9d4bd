//! Consent, and the browser that a flow is bound to.

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, SET_COOKIE, X_FRAME_OPTIONS};
use thv_authserver::upstream::Upstream;
use thv_authserver::upstream::local::{LocalUser, LocalUsers};
use thv_authserver::{ConsentMode, LoginChain};

use crate::fixture::{Browser, Fixture, Flow, answer, assert_page, location, text};

#[tokio::test]
async fn a9_as_35_as_140_consent_is_asked_before_anything_goes_to_the_upstream() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let page = browser.consent_page(&flow.query(&[])).await;
    assert!(!browser.cookies.contains_key("__Host-thv_flow"), "as_143: no flow cookie before consent");
    let response = browser.decide(&page, "approve").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "as_35");
    assert!(location(&response).starts_with("/oauth/login?state="));
    assert!(browser.cookies.contains_key("__Host-thv_flow"));
}

#[tokio::test]
async fn as_36_pages_cannot_be_framed_scripted_or_cached() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let response = Browser::new(&fixture).get(&format!("/oauth/authorize?{}", flow.query(&[]))).await;
    let headers = response.headers();
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
    assert_eq!(
        (&headers[X_FRAME_OPTIONS], &headers[REFERRER_POLICY]),
        (&"DENY".parse().unwrap(), &"no-referrer".parse().unwrap())
    );
    assert_eq!(headers["cache-control"], "no-store");
    let cookie = headers[SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-thv_csrf=") && cookie.ends_with("HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    assert!(!text(&response).contains("<script"));
}

#[tokio::test]
async fn as_38_and_39_the_page_shows_where_it_leads_and_warns_of_programs_on_this_machine() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let page =
        Browser::new(&fixture).consent_page(&flow.query(&[("scope", "openid offline_access")])).await.0;
    for part in [
        "Test client",
        "127.0.0.1",
        "Runs on your own computer",
        "Not verified",
        "https://mcp.example.com/mcp",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(page.contains("know who you are") && page.contains("stay signed in"));
}

#[tokio::test]
async fn a_client_cannot_write_html_into_the_page() {
    let fixture = Fixture::new();
    let body = serde_json::json!({"client_name": "<b onmouseover=x>\"'&", "redirect_uris": [crate::fixture::REDIRECT]});
    let registered = crate::fixture::json(&fixture.post_json("/oauth/register", &body).await);
    let flow = Flow::new(registered["client_id"].as_str().unwrap());
    let page = Browser::new(&fixture).consent_page(&flow.query(&[])).await.0;
    assert!(!page.contains("<b onmouseover"), "{page}");
}

#[tokio::test]
async fn a_refusal_goes_back_to_the_client_with_state_and_iss() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let page = browser.consent_page(&flow.query(&[])).await;
    let refusal = answer(&browser.decide(&page, "deny").await);
    assert_eq!((refusal["error"].as_str(), refusal["state"].as_str()), ("access_denied", "client-state"));
    assert_eq!(refusal["iss"], crate::fixture::ISSUER);
}

#[tokio::test]
async fn as_141_a_decision_counts_only_in_the_browser_that_was_asked() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let mut asked = Browser::new(&fixture);
    let page = asked.consent_page(&flow.query(&[])).await;
    assert_page(&Browser::new(&fixture).decide(&page, "approve").await, 400, "consent_other_browser");
    let mut other = Browser::new(&fixture);
    other.consent_page(&flow.query(&[])).await;
    assert_page(&other.decide(&page, "approve").await, 400, "consent_other_browser");
    let mut ticket = page.field("ticket");
    let last = ticket.pop().unwrap();
    ticket.push(if last == 'A' { 'B' } else { 'A' });
    let forged = asked.submit("/oauth/consent", &[("ticket", &ticket), ("decision", "approve")]).await;
    assert_page(&forged, 400, "consent_unreadable");
    fixture.clock.advance(std::time::Duration::from_secs(600));
    assert_page(&asked.decide(&page, "approve").await, 400, "consent_expired");
}

#[tokio::test]
async fn a_post_from_another_site_is_no_decision() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let page = browser.consent_page(&flow.query(&[])).await;
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let body = thv_oauth::params::encode(&[("ticket", &page.field("ticket")), ("decision", "approve")]);
    let request = http::Request::builder()
        .method("POST")
        .uri("/oauth/consent")
        .header("cookie", cookies.join("; "))
        .header("sec-fetch-site", "cross-site")
        .body(bytes::Bytes::from(body))
        .unwrap();
    assert_page(&fixture.call(request).await, 400, "consent_other_browser");
}

#[tokio::test]
async fn a_login_link_opened_in_another_browser_yields_a_page_and_no_code() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let mut owner = Browser::new(&fixture);
    let page = owner.consent_page(&flow.query(&[])).await;
    let to_login = owner.decide(&page, "approve").await;
    let link = location(&to_login);
    let mut thief = Browser::new(&fixture);
    assert_page(&thief.get(&link).await, 400, "login_expired");
    let (_, state) = link.split_once("state=").unwrap();
    let fields = [("state", state), ("username", "dev")];
    assert_page(&thief.submit("/oauth/login", &fields).await, 400, "login_expired");
    let finished = owner.sign_in(&to_login).await;
    assert!(answer(&finished).contains_key("code"), "the owner still can");
    assert_page(&owner.submit("/oauth/login", &fields).await, 400, "login_expired");
}

#[tokio::test]
async fn as_143_a_callback_is_bound_to_its_browser_and_happens_once() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let mut owner = Browser::new(&fixture);
    let page = owner.consent_page(&flow.query(&[])).await;
    let link = location(&owner.decide(&page, "approve").await);
    let (_, state) = link.split_once("state=").unwrap();
    let callback = format!("/oauth/callback?state={state}&error=access_denied");
    assert_page(&Browser::new(&fixture).get(&callback).await, 400, "login_other_browser");
    assert_eq!(answer(&owner.get(&callback).await)["error"], "access_denied");
    assert_page(&owner.get(&callback).await, 400, "login_expired");
    assert_page(&owner.get("/oauth/callback?code=x").await, 400, "callback_malformed");
    assert_page(&owner.get("/oauth/callback?state=a&state=b").await, 400, "callback_malformed");
}

#[tokio::test]
async fn logins_in_flight_are_limited_per_source_address() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let page = browser.consent_page(&flow.query(&[])).await;
    for _ in 0..300 {
        assert_eq!(browser.decide(&page, "approve").await.status(), StatusCode::SEE_OTHER);
    }
    let refused = browser.decide(&page, "approve").await;
    assert_page(&refused, 429, "login_rate");
    assert_eq!(refused.headers()["retry-after"], "60");
}

#[tokio::test]
async fn codes_for_a_user_who_is_signed_in_are_limited_per_source_address() {
    let fixture = Fixture::with(|parts| parts.settings.consent = ConsentMode::Off);
    let flow = Flow::new(&fixture.register().await);
    let path = format!("/oauth/authorize?{}", flow.query(&[]));
    let mut browser = Browser::new(&fixture);
    let to_login = browser.get(&path).await;
    assert!(answer(&browser.sign_in(&to_login).await).contains_key("code"));
    for _ in 1..300 {
        assert!(answer(&browser.get(&path).await).contains_key("code"));
    }
    assert_page(&browser.get(&path).await, 429, "login_rate");
}

#[tokio::test]
async fn as_2_pages_lead_to_each_other_below_an_issuer_with_a_path() {
    let fixture = Fixture::with(|parts| {
        parts.settings.authorization_endpoint_base = "https://login.example.com/tenant".to_owned();
    });
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let page = browser.consent_page(&flow.query(&[])).await;
    assert!(
        page.0.contains("action=\"/tenant/oauth/consent\"") && page.0.contains("href=\"assets/page.css\"")
    );
    let login = browser.decide(&page, "approve").await;
    let path = location(&login);
    let path = path.strip_prefix("/tenant").unwrap_or_else(|| panic!("{path}"));
    assert!(text(&browser.get(path).await).contains("action=\"/tenant/oauth/login\""));
}

#[tokio::test]
async fn consent_off_goes_straight_to_the_login() {
    let fixture = Fixture::with(|parts| parts.settings.consent = ConsentMode::Off);
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let response = browser.get(&format!("/oauth/authorize?{}", flow.query(&[]))).await;
    assert!(answer(&browser.sign_in(&response).await).contains_key("code"));
}

fn remembering() -> Fixture {
    Fixture::with(|parts| parts.settings.consent = ConsentMode::Remember)
}

#[tokio::test]
async fn a9_an_approval_is_remembered_for_the_user_client_and_access() {
    let fixture = remembering();
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    browser.authorize(&flow.query(&[("scope", "openid")])).await;
    let again = browser
        .get(&format!("/oauth/authorize?{}", flow.query(&[("scope", "openid"), ("prompt", "none")])))
        .await;
    assert!(answer(&again).contains_key("code"), "no page, even with prompt=none");
    browser.consent_page(&flow.query(&[("scope", "openid"), ("prompt", "consent")])).await;
    browser.consent_page(&flow.query(&[("scope", "openid email")])).await;
    Browser::new(&fixture).consent_page(&flow.query(&[("scope", "openid")])).await;
    let other = Flow::new(&{
        let body = serde_json::json!({"client_name": "Other", "redirect_uris": [crate::fixture::REDIRECT]});
        crate::fixture::json(&fixture.post_json("/oauth/register", &body).await)["client_id"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    browser.consent_page(&other.query(&[("scope", "openid")])).await;
}

/// argon2id of `secret`, cheap parameters.
const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$";

fn file_users() -> Fixture {
    use argon2::password_hash::{PasswordHasher, SaltString};
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let hash = |password: &str| {
        let salt = SaltString::encode_b64(b"somesaltsomesalt").unwrap();
        let hash = argon.hash_password(password.as_bytes(), &salt).unwrap().to_string();
        assert!(hash.starts_with(HASH));
        hash
    };
    let user = |name: &str, password| LocalUser {
        subject: name.to_owned(),
        name: None,
        email: None,
        password_hash: hash(password).into(),
    };
    let users = [("ann", user("ann", "secret-a")), ("bob", user("bob", "secret-b"))];
    let users = users.into_iter().map(|(name, user)| (name.to_owned(), user)).collect();
    Fixture::with(|parts| {
        parts.settings.consent = ConsentMode::Remember;
        parts.chain = LoginChain::single(Upstream::local("home", LocalUsers::from_file("home", users)));
    })
}

async fn log_in_as(
    browser: &mut Browser<'_>,
    query: &str,
    name: &str,
    password: &str,
) -> http::Response<bytes::Bytes> {
    let page = browser.consent_page(query).await;
    let response = browser.decide(&page, "approve").await;
    let page = browser.get(&location(&response)).await;
    let state = crate::fixture::Page(text(&page)).field("state");
    browser.submit("/oauth/login", &[("state", &state), ("username", name), ("password", password)]).await
}

#[tokio::test]
async fn u13_a_wrong_password_is_refused_and_the_login_goes_on() {
    let fixture = file_users();
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let refused = log_in_as(&mut browser, &flow.query(&[]), "ann", "wrong").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(text(&refused).contains("role=\"alert\""));
    let state = crate::fixture::Page(text(&refused)).field("state");
    let unknown = [("state", state.as_str()), ("username", "nobody"), ("password", "x")];
    assert_eq!(browser.submit("/oauth/login", &unknown).await.status(), StatusCode::FORBIDDEN);
    let right = [("state", state.as_str()), ("username", "ann"), ("password", "secret-a")];
    assert!(answer(&browser.submit("/oauth/login", &right).await).contains_key("code"));
}

#[tokio::test]
async fn u13_guessing_passwords_is_slowed_down() {
    let fixture = file_users();
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let refused = log_in_as(&mut browser, &flow.query(&[]), "ann", "wrong").await;
    let state = crate::fixture::Page(text(&refused)).field("state");
    let right = [("state", state.as_str()), ("username", "ann"), ("password", "secret-a")];
    let wrong = [("state", state.as_str()), ("username", "ann"), ("password", "guess")];
    for _ in 0..9 {
        assert_eq!(browser.submit("/oauth/login", &wrong).await.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(browser.submit("/oauth/login", &right).await.status(), StatusCode::TOO_MANY_REQUESTS);
    fixture.clock.advance(std::time::Duration::from_secs(60));
    assert!(answer(&browser.submit("/oauth/login", &right).await).contains_key("code"));
}

#[tokio::test]
async fn a9_an_approval_remembered_for_one_user_is_not_used_for_another() {
    let fixture = file_users();
    let flow = Flow::new(&fixture.register().await);
    let mut browser = Browser::new(&fixture);
    let query = flow.query(&[("scope", "openid")]);
    assert!(answer(&log_in_as(&mut browser, &query, "ann", "secret-a").await).contains_key("code"));
    // Ann's approval skips the page; then Bob signs in where Ann was expected.
    let query = flow.query(&[("scope", "openid"), ("prompt", "login")]);
    let to_login = browser.get(&format!("/oauth/authorize?{query}")).await;
    let page = browser.get(&location(&to_login)).await;
    let state = crate::fixture::Page(text(&page)).field("state");
    let bob = [("state", state.as_str()), ("username", "bob"), ("password", "secret-b")];
    let response = browser.submit("/oauth/login", &bob).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(&response).contains("name=\"ticket\""), "Bob is asked: {}", text(&response));
    let approved = browser.decide(&crate::fixture::Page(text(&response)), "approve").await;
    assert!(answer(&approved).contains_key("code"), "and not made to log in a second time");
}
