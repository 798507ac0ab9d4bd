//! Where the browser brings the login back to (R6).

use std::io::{Read, Write};
use std::sync::atomic::Ordering;

use http::header::{CONTENT_SECURITY_POLICY, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use thv_remote::callback::{Callback, Outcome};
use thv_remote::error::LoginError;
use thv_remote::ui::Input;
use thv_testkit::browser::{Browser, Page};

use crate::support::authorization_server::{redirect, redirected_error};
use crate::support::user::{Act, within};
use crate::support::world::{World, free_port};

pub(crate) async fn get(url: &str) -> Page {
    within(Browser::new(None).get(url)).await
}

/// Waits for one response, says that it was a login, and gives it.
pub(crate) async fn accept(mut callback: Callback) -> String {
    let delivery = within(callback.next()).await.unwrap();
    let query = delivery.query.clone();
    delivery.answer(Outcome::LoggedIn("https://mcp.example".to_owned())).await;
    query
}

#[tokio::test]
async fn cl_50_both_loopback_addresses_answer_and_nothing_else_does() {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let dir = tempfile::tempdir().unwrap();
        let callback = Callback::bind(free_port(), "s", dir.path()).await.unwrap();
        let port = callback.port();
        assert_eq!(callback.redirect_uri(), format!("http://localhost:{port}/callback"));
        let accepted = tokio::spawn(accept(callback));
        let page = get(&format!("http://{host}:{port}/callback?code=c&state=s")).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.text().contains("https://mcp.example"));
        assert_eq!(accepted.await.unwrap(), "code=c&state=s");
        // 127.0.0.2 is this machine, too, and not what was asked for.
        assert!(tokio::net::TcpStream::connect(("127.0.0.2", port)).await.is_err());
    }
}

#[tokio::test]
async fn cl_50_the_page_runs_nothing_but_its_own_and_closes_itself() {
    let dir = tempfile::tempdir().unwrap();
    for (outcome, closes) in [
        (Outcome::LoggedIn("https://mcp.example/<script>".to_owned()), true),
        (Outcome::Failed("because of <b>".to_owned()), false),
    ] {
        let mut callback = Callback::bind(0, "s", dir.path()).await.unwrap();
        let url = format!("http://127.0.0.1:{}/callback?state=s", callback.port());
        let browser = tokio::spawn(async move { get(&url).await });
        within(callback.next()).await.unwrap().answer(outcome).await;
        let page = browser.await.unwrap();
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        for directive in
            ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]
        {
            assert!(policy.contains(directive), "{policy}");
        }
        let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(page.text().contains(&format!("<script nonce=\"{nonce}\">")));
        assert_eq!(page.text().matches("<script").count(), 1, "what is shown is escaped");
        assert!(!page.text().contains("<b>"));
        assert!(page.text().contains("history.replaceState"), "the code does not stay in the address bar");
        assert_eq!(page.text().contains("window.close()"), closes);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
    }
}

/// A command that logs in ends right after that, and its user is to see the page nevertheless.
#[tokio::test]
async fn cl_50_the_page_is_out_when_the_answer_returns() {
    let dir = tempfile::tempdir().unwrap();
    let mut callback = Callback::bind(0, "s", dir.path()).await.unwrap();
    let port = callback.port();
    let mut browser = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(browser, "GET /callback?state=s HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n").unwrap();
    within(callback.next()).await.unwrap().answer(Outcome::LoggedIn("https://mcp.example".to_owned())).await;
    drop(callback);
    browser.set_nonblocking(true).unwrap();
    let mut page = String::new();
    // Whole, and nothing runs any more that could send it.
    browser.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("https://mcp.example"), "{page}");
}

#[tokio::test]
async fn cl_50_only_a_get_of_the_redirect_uri_under_our_own_name_uses_the_login_up() {
    let dir = tempfile::tempdir().unwrap();
    let callback = Callback::bind(0, "s", dir.path()).await.unwrap();
    let port = callback.port();
    let url = format!("http://127.0.0.1:{port}/callback?code=c&state=s");
    let mut browser = Browser::new(None);
    for method in [Method::HEAD, Method::POST, Method::OPTIONS, Method::PUT] {
        let request = Request::builder().method(method.clone()).uri(&url).body(Full::default()).unwrap();
        assert_eq!(within(browser.send(request)).await.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "localhost".to_owned(),
        format!("localhost:{}", port - 1),
        format!("localhost.evil.example:{port}"),
    ] {
        let request = Request::get(&url).header(HOST, &host).body(Full::default()).unwrap();
        assert_eq!(within(browser.send(request)).await.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    for path in ["/", "/callback/", "/favicon.ico"] {
        let page = get(&format!("http://127.0.0.1:{port}{path}?code=c&state=s")).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let accepted = tokio::spawn(accept(callback));
    assert_eq!(get(&url).await.status(), StatusCode::OK, "the login is still waited for");
    assert_eq!(accepted.await.unwrap(), "code=c&state=s");
}

#[tokio::test]
async fn cl_44_what_belongs_to_no_login_is_said_and_does_not_end_it() {
    let world = World::start().await;
    world.user.acts(Act::Waits);
    let process = world.process().await;
    let login = tokio::spawn(async move { process.log_in().await });
    let url = world.user.is_asked(1).await;
    let callback = world.redirect_uri();
    for stray in ["", "?code=c", "?code=c&state=x", "?error=access_denied&state=x", "?state=x&state=y", "?%"]
    {
        let page = get(&format!("{callback}{stray}")).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND, "{stray}");
        assert!(page.text().contains("No login is waiting for this"), "{}", page.text());
    }
    let page = world.user.browse(&url).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.text().contains("You are logged in"));
    within(login).await.unwrap().unwrap();
    assert_eq!(world.idp.granted("authorization_code").len(), 1);
}

#[tokio::test]
async fn cl_42_a_response_of_another_issuer_ends_the_login_unread() {
    for (announced, iss) in [(false, Some("https://evil.example")), (true, None), (true, Some("HTTP://evil"))]
    {
        for is_error in [false, true] {
            let world = World::start().await;
            world.idp.behave(|manner| {
                manner.metadata()["authorization_response_iss_parameter_supported"] = announced.into();
                manner.iss = iss.map(str::to_owned);
                if is_error {
                    manner.on(move |asked| {
                        let iss = iss.map(|iss| format!("&iss={iss}")).unwrap_or_default();
                        let location = format!(
                            "{}?error=secretly_bad&state={}{iss}",
                            asked.one("redirect_uri")?,
                            asked.one("state")?
                        );
                        (asked.by_browser()).then(|| redirect(&location))
                    });
                }
            });
            let error = world.fails_to_log_in().await;
            let text = thv_telemetry::chain(&error);
            assert!(text.contains("iss"), "{text}");
            assert!(!text.contains("secretly_bad"), "{text}");
            assert!(!world.user.page(1).await.text().contains("secretly_bad"));
            assert!(world.idp.asked("/token").is_empty(), "no code is redeemed");
        }
    }
    let world = World::start().await;
    let issuer = world.idp.issuer();
    world.idp.behave(|manner| {
        manner.metadata()["authorization_response_iss_parameter_supported"] = true.into();
        manner.iss = Some(issuer);
    });
    world.logged_in().await;
}

#[tokio::test]
async fn r6_the_browser_opens_when_its_way_back_is_open() {
    let world = World::start().await;
    let port = world.port();
    world.idp.behave(|manner| {
        manner.on(move |asked| {
            // What the browser meets: both doors are open before it is even asked to log in.
            if asked.path == "/authorize" {
                for address in ["127.0.0.1", "::1"] {
                    std::net::TcpStream::connect((address, port)).expect(address);
                }
            }
            None
        });
    });
    world.logged_in().await;
}

#[tokio::test]
async fn r6_a_pasted_url_completes_the_login() {
    let mut world = World::start().await;
    world.settings.skip_browser = true;
    let process = world.process().await;
    let login = tokio::spawn(async move { process.log_in().await });
    let url = world.user.is_asked(1).await;
    assert!(world.user.opened().is_empty());
    // The browser is on another machine: it ends in front of the redirect URI.
    let ended_at = world.user.step(&url).await.location().unwrap();
    for wrong in
        ["", "no url", "http://localhost/callback?code=c&state=another", "http://localhost/callback?%"]
    {
        world.user.says(Input::CallbackUrl(wrong.to_owned()));
    }
    world.user.sees("does not belong to this login").await;
    world.user.says(Input::CallbackUrl(format!(" {ended_at}#_=_\n")));
    within(login).await.unwrap().unwrap();
    let told = |text: &str| world.user.shown().iter().filter(|shown| shown.contains(text)).count();
    assert_eq!((told("is not the address of the page"), told("does not belong to this login")), (2, 2));
}

#[tokio::test]
async fn r6_a_pasted_refusal_is_one() {
    let mut world = World::start().await;
    world.settings.skip_browser = true;
    world.idp.behave(|manner| {
        manner.on(|asked| asked.by_browser().then(|| redirected_error(asked, "access_denied")));
    });
    let process = world.process().await;
    let login = tokio::spawn(async move { process.log_in().await });
    let ended_at = world.user.step(&world.user.is_asked(1).await).await.location().unwrap();
    world.user.says(Input::CallbackUrl(ended_at.to_string()));
    let error = within(login).await.unwrap().unwrap_err();
    assert!(thv_telemetry::chain(&*error).contains("access_denied"), "{error:?}");
}

#[tokio::test]
async fn r6_the_browser_is_opened_again_when_the_user_wants_it() {
    let world = World::start().await;
    world.user.acts(Act::Waits);
    let process = world.process().await;
    let login = tokio::spawn(async move { process.log_in().await });
    world.user.is_asked(1).await;
    world.user.acts(Act::LogsIn);
    world.user.says(Input::Again);
    within(login).await.unwrap().unwrap();
    assert_eq!(world.user.opened().len(), 2);
}

#[tokio::test]
async fn r6_nobody_is_waited_for_where_nobody_is() {
    let world = World::start().await;
    world.user.acts(Act::IsAway);
    let error = world.fails_to_log_in().await;
    assert!(matches!(error, LoginError::Unattended), "{error:?}");
    assert!(error.hint().unwrap().contains("thv login"));
    assert!(world.user.shown().iter().all(|shown| !shown.starts_with("log in")));

    // Who has no browser may have one elsewhere.
    world.user.acts(Act::HasNoBrowser);
    let process = world.process().await;
    let login = tokio::spawn(async move { process.log_in().await });
    let url = world.user.is_asked(1).await;
    world.user.browse(&url).await;
    within(login).await.unwrap().unwrap();
}

#[tokio::test]
async fn r6_a_login_that_nobody_completes_ends() {
    let mut world = World::start().await;
    world.settings.timeout_secs = Some(1);
    world.user.acts(Act::Waits);
    let error = world.fails_to_log_in().await;
    assert!(matches!(&error, LoginError::TimedOut { after } if after.as_secs() == 1), "{error:?}");
    assert!(error.hint().unwrap().contains("--remote-auth-timeout"));
    assert_eq!(
        world.user.listened.load(Ordering::SeqCst),
        1,
        "what they were typing is not lost with every tick"
    );
    Callback::bind(world.port(), "next", world.shared.path()).await.expect("its port is free again");
}
