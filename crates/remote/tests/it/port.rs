//! The port of the redirect URI, which others may want or have (R6).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use http::StatusCode;
use thv_remote::callback::{Callback, CallbackError, Outcome};
use thv_remote::error::LoginError;
use thv_remote::session::Demand;
use tokio::net::TcpListener;

use crate::callback::{accept, get};
use crate::support::authorization_server::{page, refusal};
use crate::support::user::{Act, within};
use crate::support::world::{World, free_port};

#[tokio::test]
async fn r6_a_free_port_is_used_where_the_server_takes_any() {
    let world = World::start().await;
    let _other_program = TcpListener::bind(("127.0.0.1", world.port())).await.unwrap();
    world.logged_in().await;
    let asked = &world.idp.browsed()[0];
    assert!(asked.must("client_id").starts_with("https://"));
    assert_ne!(asked.must("redirect_uri"), world.redirect_uri());
    assert!(asked.must("redirect_uri").starts_with("http://localhost:"));
}

#[tokio::test]
async fn r6_a_port_that_is_taken_on_one_address_is_taken() {
    let world = World::start().await;
    let _other_program = TcpListener::bind(("::1", world.port())).await.unwrap();
    world.logged_in().await;
    assert_ne!(world.idp.browsed()[0].must("redirect_uri"), world.redirect_uri());
}

#[tokio::test]
async fn r6_a_server_that_insists_on_the_port_gets_a_registration_with_another_one() {
    for says in [400, 403] {
        let world = World::start().await;
        let _other_program = TcpListener::bind(("127.0.0.1", world.port())).await.unwrap();
        let known = world.redirect_uri();
        world.idp.behave(|manner| {
            manner.on(move |asked| {
                let is_strict =
                    asked.one("client_id").is_some_and(|client_id| client_id.starts_with("https://"));
                let is_foreign = asked.path == "/authorize" && asked.one("redirect_uri") != Some(&known);
                (is_strict && is_foreign).then(|| match says {
                    400 => refusal(400, "invalid_request"),
                    _ => page(says, "text/html", "<h1>No</h1>"),
                })
            });
        });
        world.logged_in().await;
        let registered = &world.idp.asked("/register")[0].json()["redirect_uris"][0];
        assert_ne!(*registered, world.redirect_uri());
        assert_eq!(world.idp.browsed()[0].must("redirect_uri"), registered.as_str().unwrap());

        // Registered with a port that was free only then, it is still known when that one is taken, too.
        let port = registered.as_str().unwrap().split(':').nth(2).unwrap().split('/').next().unwrap();
        assert_ne!(port.parse::<u16>().unwrap(), world.port());
        world.process().await.log_in().await.unwrap();
        assert_eq!(world.idp.asked("/register").len(), 1, "the next login uses the registered port");
        assert_eq!(world.idp.browsed()[1].must("redirect_uri"), registered.as_str().unwrap());
    }
}

#[tokio::test]
async fn r6_a_port_that_nothing_can_replace_is_an_error_that_names_its_holder() {
    for configured in [false, true] {
        let mut world = World::start().await;
        if configured {
            world.settings.client_id = Some("by-hand".to_owned());
        }
        let _other_program = TcpListener::bind(("127.0.0.1", world.port())).await.unwrap();
        world.idp.behave(|manner| {
            manner.registers_nobody();
            manner.on(|asked| (asked.path == "/authorize").then(|| refusal(400, "invalid_request")));
        });
        let error = world.fails_to_log_in().await;
        let port = world.port();
        assert!(matches!(&error, LoginError::PortTaken { port: taken, .. } if *taken == port), "{error:?}");
        assert!(error.to_string().contains(&format!("nosy (pid {port})")), "{error}");
        assert!(error.hint().unwrap().contains("--remote-auth-callback-port"));
        assert!(world.user.opened().is_empty());
    }
}

#[tokio::test]
async fn r6_a_registration_is_not_given_up_because_its_port_is_taken() {
    let world = World::start().await;
    world.idp.behave(|manner| manner.supports_documents(false));
    world.logged_in().await;
    let _other_program = TcpListener::bind(("127.0.0.1", world.port())).await.unwrap();
    let known = world.redirect_uri();
    world.idp.behave(|manner| {
        manner.registers_nobody();
        manner.on(move |asked| {
            (asked.path == "/authorize" && asked.one("redirect_uri") != Some(&known))
                .then(|| page(400, "text/html", ""))
        });
    });
    assert!(matches!(world.fails_to_log_in().await, LoginError::PortTaken { .. }));
    assert!(world.keep.kept().registrations.contains_key(&world.idp.issuer()));
}

#[tokio::test]
async fn r6_a_port_is_free_as_soon_as_its_callback_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    for number in 0..20 {
        let callback = Callback::bind(port, &format!("s{number}"), dir.path()).await.unwrap();
        std::net::TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
        drop(callback);
        std::net::TcpListener::bind(("127.0.0.1", port)).expect("nobody listens");
        std::net::TcpListener::bind(("::1", port)).expect("nobody listens");
    }
}

/// The process that has the lock does not listen any more, or not yet: a browser must not be sent there.
#[tokio::test]
async fn r6_nobody_is_sent_to_a_port_that_is_locked_and_not_listened_on() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let lock = std::fs::File::create(dir.path().join(format!("port-{port}.lock"))).unwrap();
    lock.lock().unwrap();
    let shared = dir.path().to_owned();
    let bound = tokio::spawn(async move { Callback::bind(port, "s", &shared).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    lock.unlock().unwrap();
    let _callback = within(bound).await.unwrap().unwrap();
    std::net::TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");

    // One that stays so is nobody's to use.
    let port = free_port();
    let lock = std::fs::File::create(dir.path().join(format!("port-{port}.lock"))).unwrap();
    lock.lock().unwrap();
    let bound = within(Callback::bind(port, "s", dir.path())).await;
    assert!(matches!(bound, Err(CallbackError::Taken(taken)) if taken == port));
}

#[tokio::test]
async fn r6_another_programs_port_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _other_program = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let bound = Callback::bind(port, "s", dir.path()).await;
    assert!(matches!(bound, Err(CallbackError::Taken(taken)) if taken == port));
}

#[tokio::test]
async fn r6_two_logins_of_one_process_share_the_port() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let first = Callback::bind(port, "first", dir.path()).await.unwrap();
    let second = Callback::bind(port, "second", dir.path()).await.unwrap();
    assert_eq!(second.port(), port);
    let second = tokio::spawn(accept(second));
    let page = get(&format!("http://localhost:{port}/callback?code=2&state=second")).await;
    assert!(page.text().contains("You are logged in"));
    assert_eq!(second.await.unwrap(), "code=2&state=second");
    let first = tokio::spawn(accept(first));
    get(&format!("http://localhost:{port}/callback?code=1&state=first")).await;
    assert_eq!(first.await.unwrap(), "code=1&state=first");
}

#[tokio::test]
async fn r6_a_login_takes_the_port_over_when_the_one_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let first = Callback::bind(port, "first", dir.path()).await.unwrap();
    let second = Callback::bind(port, "second", dir.path()).await.unwrap();
    drop(first);
    listened_on(port).await;
    let second = tokio::spawn(accept(second));
    let page = get(&format!("http://[::1]:{port}/callback?code=2&state=second")).await;
    assert_eq!(page.status(), StatusCode::OK);
    second.await.unwrap();
}

/// Another program is quicker when the port becomes free: what the browser brings would go there.
#[tokio::test]
async fn r6_a_login_whose_port_was_snatched_ends_at_once() {
    let world = World::start().await;
    world.user.acts(Act::Waits);
    let shared = world.config().await.shared;
    let holder = Callback::bind(world.port(), "of-another-login", &shared).await.unwrap();
    let process = world.process().await;
    let login = tokio::spawn(async move { process.log_in().await });
    world.user.is_asked(1).await;
    drop(holder);
    let _other_program = std::net::TcpListener::bind(("127.0.0.1", world.port())).unwrap();
    let error = within(login).await.unwrap().unwrap_err();
    assert!(matches!(&*error, LoginError::PortTaken { holder: Some(_), .. }), "{error:?}");
}

#[tokio::test]
async fn r6_processes_share_the_port_and_outlive_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut holder = OtherProcess::holding(port, "theirs", dir.path());
    let ours = Callback::bind(port, "ours", dir.path()).await.unwrap();

    // What is meant for the other process goes there, and what is meant for us comes here, by way of it.
    let page = get(&format!("http://localhost:{port}/callback?code=1&state=theirs")).await;
    assert!(page.text().contains("another process"), "{}", page.text());
    assert_eq!(holder.line(), "code=1&state=theirs");
    let ours = tokio::spawn(accept(ours));
    let page = get(&format!("http://localhost:{port}/callback?code=2&state=ours")).await;
    assert!(page.text().contains("https://mcp.example"), "{}", page.text());
    assert_eq!(ours.await.unwrap(), "code=2&state=ours");
    let page = get(&format!("http://localhost:{port}/callback?code=3&state=nobodys")).await;
    assert_eq!(page.status(), StatusCode::NOT_FOUND);

    // A killed process gives the port back to those who wait.
    let waiting = Callback::bind(port, "waiting", dir.path()).await.unwrap();
    holder.kill();
    listened_on(port).await;
    let waiting = tokio::spawn(accept(waiting));
    get(&format!("http://localhost:{port}/callback?code=4&state=waiting")).await;
    assert_eq!(waiting.await.unwrap(), "code=4&state=waiting");
}

/// A process of this program that waits for a login, too.
struct OtherProcess {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl OtherProcess {
    fn holding(port: u16, state: &str, dir: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "port::holds_a_port", "--ignored", "--nocapture", "--quiet"]);
        command.env("PORT", port.to_string()).env("STATE", state).env("SHARED", dir);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self { child, lines };
        assert_eq!(process.line(), "listening");
        process
    }

    /// The next line that it says; the test harness says others.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the process has ended");
            if let Some(said) = line.trim().strip_prefix("says: ") {
                return said.to_owned();
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test]
#[ignore = "run by another test, as a process of its own"]
async fn holds_a_port() {
    let var = |name| std::env::var(name).unwrap();
    let (port, shared) = (var("PORT").parse().unwrap(), var("SHARED"));
    let mut callback = Callback::bind(port, &var("STATE"), Path::new(&shared)).await.unwrap();
    let say = |text: &str| {
        println!("\nsays: {text}");
        std::io::stdout().flush().unwrap();
    };
    say("listening");
    loop {
        let delivery = callback.next().await.unwrap();
        let query = delivery.query.clone();
        delivery.answer(Outcome::LoggedIn("another process".to_owned())).await;
        say(&query);
    }
}

/// Waits until somebody listens on both addresses.
async fn listened_on(port: u16) {
    within(async {
        for address in ["127.0.0.1", "::1"] {
            while tokio::net::TcpStream::connect((address, port)).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    })
    .await;
}

/// The same workload in two processes, both of which find that a login is needed.
#[tokio::test]
async fn r6_two_processes_that_need_the_same_login_open_one_tab() {
    for _ in 0..5 {
        let world = World::start().await;
        let (one, other) = (world.process().await, world.process().await);
        let (one, other) = tokio::join!(one.call(), other.call());
        assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
        assert_eq!(world.user.opened().len(), 1);
    }
}

/// The first process is done with its browser, and has yet to write what it got.
#[tokio::test]
async fn r6_a_waiting_process_opens_no_tab_before_the_first_one_has_kept_its_login() {
    let world = World::start().await;
    world.user.acts(Act::Waits);
    let (one, other) = (world.process().await, world.process().await);
    let first = tokio::spawn(async move { one.log_in().await });
    let url = world.user.is_asked(1).await;
    let second = tokio::spawn(async move { other.log_in().await });
    world.user.sees("another login at this server is under way").await;
    world.keep.slow_down(true);
    let (_, page) = tokio::join!(world.keep.is_writing(), world.user.browse(&url));
    assert_eq!(page.status(), StatusCode::OK);
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.user.opened().len(), 1);
    world.keep.slow_down(false);
    within(first).await.unwrap().unwrap();
    within(second).await.unwrap().unwrap();
    assert_eq!(world.user.opened().len(), 1);
}

/// Two logins, one server, one user.
#[tokio::test]
async fn r6_one_tab_at_a_time_for_a_server_and_its_user() {
    let world = World::start().await;
    world.user.acts(Act::Waits);
    let (one, other) = (world.process().await, world.process().await);
    let first = tokio::spawn(async move { one.log_in().await });
    let url = world.user.is_asked(1).await;
    let second = tokio::spawn(async move { other.session.obtain(Demand::Login, None).await.map(drop) });
    world.user.sees("another login at this server is under way").await;
    assert_eq!(world.user.opened().len(), 1);
    world.user.browse(&url).await;
    within(first).await.unwrap().unwrap();
    within(second).await.unwrap().expect("it has the login of the first");
    assert_eq!(world.user.opened().len(), 1);
    assert_eq!(world.idp.granted("authorization_code").len(), 1);
}
