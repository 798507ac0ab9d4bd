//! From a refused metadata document to dynamic registration (R3).

use http::StatusCode;
use thv_remote::error::LoginError;

use crate::support::authorization_server::{Answer, Asked, page, redirected_error, refusal};
use crate::support::user::Act;
use crate::support::world::{A_MINUTE, World};

const DOCUMENT: &str = "https://toolhive.dev/oauth/client-metadata.json";

fn by_document(asked: &Asked) -> bool {
    asked.one("client_id").is_some_and(|client_id| client_id.starts_with("https://"))
}

/// Every way in which a server may refuse the document, by name.
type Refusal = (&'static str, fn(&Asked) -> Option<Answer>);

const REFUSALS: [Refusal; 9] = [
    ("redirect of the user", |asked| {
        (asked.path == "/authorize" && asked.by_browser()).then(|| redirected_error(asked, "invalid_client"))
    }),
    ("redirect at once", |asked| {
        (asked.path == "/authorize").then(|| redirected_error(asked, "unauthorized_client"))
    }),
    ("token endpoint, 401", |asked| (asked.path == "/token").then(|| refusal(401, "invalid_client"))),
    ("token endpoint, 400", |asked| (asked.path == "/token").then(|| refusal(400, "unauthorized_client"))),
    ("HTML page, 400", |asked| {
        (asked.path == "/authorize").then(|| page(400, "text/html", "<h1>Error: invalid_client</h1>"))
    }),
    ("HTML page without a code, 400", |asked| {
        (asked.path == "/authorize").then(|| page(400, "text/html", "<h1>Something is wrong</h1>"))
    }),
    ("JSON, 401", |asked| (asked.path == "/authorize").then(|| refusal(401, "invalid_client"))),
    ("empty, 401", |asked| (asked.path == "/authorize").then(|| page(401, "text/plain", ""))),
    ("page, 200", |asked| {
        (asked.path == "/authorize").then(|| page(200, "text/html", "<p>invalid_client: unknown client</p>"))
    }),
];

#[tokio::test]
async fn r3_t_5_a_refused_document_leads_to_exactly_one_registration() {
    for (case, refuse) in REFUSALS {
        let world = World::start().await;
        world
            .idp
            .behave(|manner| manner.on(move |asked| by_document(asked).then(|| refuse(asked)).flatten()));
        let process = world.process().await;
        assert_eq!(process.call().await.status, StatusCode::OK, "{case}");

        assert_eq!(world.idp.asked("/register").len(), 1, "{case}");
        let clients: Vec<_> =
            world.idp.browsed().iter().map(|asked| asked.must("client_id").to_owned()).collect();
        assert_eq!(clients.last().map(String::as_str), Some("registered-1"), "{case}");
        assert!(clients.len() <= 2, "{case}: {clients:?}");
        let refused = world.idp.asked("/authorize").iter().filter(|asked| by_document(asked)).count();
        assert!(
            (1..=2).contains(&refused),
            "{case}: the document is shown once, by the preflight and the browser"
        );
        assert!(world.idp.granted("authorization_code").len() <= 2, "{case}");

        // What is known is not tried out again.
        world.clock.advance(A_MINUTE);
        world.idp.forget_access_tokens();
        world.idp.forget_refresh_tokens();
        assert_eq!(process.call().await.status, StatusCode::OK, "{case}");
        assert_eq!(world.idp.asked("/register").len(), 1, "{case}");
        let again = world.idp.asked("/authorize").iter().filter(|asked| by_document(asked)).count();
        assert_eq!(again, refused, "{case}");
    }
}

#[tokio::test]
async fn r3_the_registered_client_is_refused_as_well_and_there_is_no_loop() {
    for (case, refuse) in REFUSALS {
        let world = World::start().await;
        world.idp.behave(|manner| manner.on(refuse));
        let error = world.fails_to_log_in().await;
        assert!(matches!(error, LoginError::NoIdentity { .. }), "{case}: {error:?}");
        let text = error.to_string();
        assert!(
            text.contains("metadata document was refused") && text.contains("new registration was refused"),
            "{text}"
        );
        assert!(error.hint().unwrap().contains("--remote-auth-client-id"));
        assert_eq!(world.idp.asked("/register").len(), 1, "{case}");
        assert!(world.user.opened().len() <= 2, "{case}");
        assert!(world.idp.asked("/authorize").len() <= 4, "{case}");
    }
}

#[tokio::test]
async fn r3_cl_27_a_refused_registration_is_the_end_and_says_why() {
    let world = World::start().await;
    world.idp.behave(|manner| {
        manner.on(|asked| match asked.path.as_str() {
            "/authorize" => Some(refusal(400, "invalid_client")),
            "/register" => Some(refusal(400, "invalid_redirect_uri")),
            _ => None,
        });
    });
    let error = world.fails_to_log_in().await;
    assert!(matches!(error, LoginError::Registration { .. }), "{error:?}");
    let text = thv_telemetry::chain(&error);
    assert!(text.contains("invalid_redirect_uri (the test says so)"), "{text}");
    assert_eq!(world.idp.asked("/register").len(), 1);
}

#[tokio::test]
async fn t_5_invalid_request_is_no_trigger() {
    let cases: [Refusal; 5] = [
        ("redirect of the user", |asked| {
            (asked.path == "/authorize" && asked.by_browser())
                .then(|| redirected_error(asked, "invalid_request"))
        }),
        ("redirect at once", |asked| {
            (asked.path == "/authorize").then(|| redirected_error(asked, "invalid_request"))
        }),
        ("JSON page", |asked| (asked.path == "/authorize").then(|| refusal(400, "invalid_request"))),
        ("HTML page", |asked| {
            (asked.path == "/authorize").then(|| page(400, "text/html", "error=invalid_request"))
        }),
        ("token endpoint", |asked| (asked.path == "/token").then(|| refusal(400, "invalid_request"))),
    ];
    for (case, refuse) in cases {
        let mut world = World::start().await;
        // The document is said to name the redirect URI, so the refusal cannot be for its port.
        world.settings.client_metadata_url = Some("https://client.example/metadata.json".to_owned());
        world.idp.behave(|manner| manner.on(refuse));
        let error = world.fails_to_log_in().await;
        assert!(thv_telemetry::chain(&error).contains("invalid_request"), "{case}: {error:?}");
        assert!(world.idp.asked("/register").is_empty(), "{case}");
    }
}

#[tokio::test]
async fn r3_access_denied_and_errors_of_the_server_are_no_triggers() {
    for error_code in ["access_denied", "server_error", "temporarily_unavailable", "invalid_scope"] {
        let world = World::start().await;
        world.idp.behave(|manner| {
            manner.on(move |asked| {
                (asked.path == "/authorize" && asked.by_browser())
                    .then(|| redirected_error(asked, error_code))
            });
        });
        let error = world.fails_to_log_in().await;
        assert!(matches!(error, LoginError::Response(_)), "{error:?}");
        assert!(world.idp.asked("/register").is_empty(), "{error_code}");
        let page = world.user.page(1).await;
        assert_eq!(page.status(), StatusCode::BAD_REQUEST);
        assert!(page.text().contains(error_code), "the user sees why: {}", page.text());
    }
}

#[tokio::test]
async fn r3_without_registration_a_refused_document_is_a_clear_error() {
    for forbidden in [true, false] {
        let mut world = World::start().await;
        world.settings.no_dcr = forbidden;
        world.idp.behave(|manner| {
            manner.on(|asked| by_document(asked).then(|| refusal(400, "invalid_client")));
            if !forbidden {
                manner.registers_nobody();
            }
        });
        let error = world.fails_to_log_in().await;
        let LoginError::NoIdentity { reasons, .. } = &error else { panic!("{error:?}") };
        assert!(reasons.contains("invalid_client: the test says so"), "{reasons}");
        let why = if forbidden { "--remote-auth-no-dcr" } else { "no registration endpoint" };
        assert!(reasons.contains(why), "{reasons}");
        assert!(world.idp.asked("/register").is_empty() && world.user.opened().is_empty());
    }
}

/// A firewall, an error of the server: what a program is told there, a browser need not be told.
#[tokio::test]
async fn r3_a_preflight_that_says_nothing_leaves_it_to_the_browser() {
    for status in [403, 404, 429, 500, 503] {
        let world = World::start().await;
        world.idp.behave(|manner| {
            manner.on(move |asked| {
                (asked.path == "/authorize" && !asked.by_browser())
                    .then(|| page(status, "text/html", "<h1>Blocked</h1>"))
            });
        });
        world.logged_in().await;
        assert_eq!(world.idp.browsed()[0].must("client_id"), DOCUMENT, "{status}");
    }
}

#[tokio::test]
async fn r3_the_preflight_has_no_cookies_and_follows_no_redirect() {
    let world = World::start().await;
    world.idp.behave(|manner| {
        manner.on(|asked| match (asked.path.as_str(), asked.by_browser()) {
            ("/authorize", false) => {
                let mut answer = crate::support::authorization_server::redirect("/login?step=1");
                answer.headers_mut().insert("set-cookie", "session=of-the-preflight".parse().unwrap());
                Some(answer)
            }
            _ => None,
        });
    });
    world.logged_in().await;
    let asked = world.idp.asked("/authorize");
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[0].by_browser(), asked[0].header("cookie")), (false, None));
    assert!(asked[1].by_browser());
    assert!(world.idp.asked("/login").is_empty());
    for (name, value) in &asked[0].params {
        let is_fresh = ["state", "code_challenge"].contains(&name.as_str());
        assert_eq!(
            asked[1].must(name) != value,
            is_fresh,
            "the browser asks for the same {name}, in its own transaction"
        );
    }
}

#[tokio::test]
async fn a_server_that_answers_at_once_needs_no_browser() {
    let world = World::start().await;
    world.idp.behave(|manner| manner.knows_everybody = true);
    world.user.acts(Act::HasNoBrowser);
    world.logged_in().await;
    assert!(world.user.opened().is_empty());
}

#[tokio::test]
async fn t_6_a_document_that_is_refused_later_is_given_up_for_a_registration() {
    let world = World::start().await;
    let process = world.logged_in().await;
    assert_eq!(world.keep.kept().metadata_documents[&world.idp.issuer()], DOCUMENT);
    world.idp.behave(|manner| manner.on(|asked| by_document(asked).then(|| refusal(400, "invalid_client"))));
    world.idp.forget_access_tokens();
    world.clock.advance(A_MINUTE);
    assert_eq!(process.call().await.status, StatusCode::OK);
    let kept = world.keep.kept();
    assert_eq!(kept.grant.unwrap().client_id, "registered-1");
    assert!(kept.metadata_documents.is_empty(), "it is not known by that any more");
}
