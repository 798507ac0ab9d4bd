//! From the server's URL and its challenge to the authorization server (R1).

use http::StatusCode;
use serde_json::{Value, json};
use thv_egress::{Limits, Roots};
use thv_remote::error::{DiscoveryError, LoginError};
use thv_remote::reach::Reach;
use thv_remote::settings::AuthSettings;

use crate::support::authorization_server::{AuthorizationServer, OPENID, RFC8414, State, page};
use crate::support::resource::{PRM, challenged};
use crate::support::world::World;

const DOCUMENT: &str = "https://toolhive.dev/oauth/client-metadata.json";

#[tokio::test]
async fn cl_1_the_bearer_challenge_is_found_among_others_in_any_order() {
    for fields in [
        &[r#"Negotiate abc=, Basic realm="x, y", Bearer resource_metadata="META", scope="s""#][..],
        &[r#"Basic realm="x""#, r#"bearer scope="s", RESOURCE_METADATA=META"#],
        &[r#"Bearer realm="first""#, r#"Bearer scope="s", resource_metadata="META""#],
    ] {
        let world = World::start().await;
        world.mcp.serve(
            "/odd/place",
            json!({"resource": world.mcp.url(), "authorization_servers": [world.idp.issuer()]}),
        );
        let metadata = world.mcp.server.url("/odd/place");
        let fields: Vec<String> = fields.iter().map(|field| field.replace("META", &metadata)).collect();
        world.mcp.challenge(&fields.iter().map(String::as_str).collect::<Vec<_>>());
        world.logged_in().await;
        assert_eq!(world.idp.browsed()[0].must("scope"), "s", "{fields:?}");
    }
}

#[tokio::test]
async fn cl_2_where_the_challenge_points_is_looked_at_and_nowhere_else() {
    let world = World::start().await;
    world.mcp.serve(
        PRM,
        json!({"resource": world.mcp.server.url(""), "authorization_servers": ["https://trap.invalid"]}),
    );
    world.logged_in().await;
    assert_eq!(world.mcp.looked_for(), [format!("{PRM}/mcp")]);
}

#[tokio::test]
async fn cl_2_without_a_pointer_the_path_comes_before_the_root() {
    let world = World::start().await;
    world.mcp.challenge(&["Bearer"]);
    world.logged_in().await;
    assert_eq!(world.mcp.looked_for(), [format!("{PRM}/mcp")]);

    let world = World::start().await;
    world.mcp.challenge(&[]);
    world.mcp.serve_nothing();
    let origin = world.mcp.server.url("");
    world.mcp.serve(PRM, json!({"resource": origin, "authorization_servers": [world.idp.issuer()]}));
    world.logged_in().await;
    assert_eq!(world.mcp.looked_for(), [format!("{PRM}/mcp"), PRM.to_owned()]);
    assert_eq!(world.idp.browsed()[0].must("resource"), origin, "as the metadata has it (CL-46)");
}

#[tokio::test]
async fn cl_3_metadata_of_another_resource_is_never_used() {
    let world = World::start().await;
    for other in ["https://evil.example/mcp".to_owned(), world.mcp.server.url("/other"), String::new()] {
        world.mcp.say("resource", other.clone());
        let error = world.fails_to_log_in().await;
        assert!(
            matches!(error, LoginError::Discovery { source: DiscoveryError::Resource(_), .. }),
            "{other}: {error:?}"
        );
    }
    assert!(world.idp.asked(RFC8414).is_empty() && world.user.opened().is_empty());
}

#[tokio::test]
async fn cl_8_every_named_authorization_server_is_a_candidate() {
    let world = World::start().await;
    let (foreign, gone) = (AuthorizationServer::start().await, AuthorizationServer::start().await);
    foreign.behave(|manner| manner.metadata()["issuer"] = "https://another.example".into());
    let gone_issuer = gone.issuer();
    drop(gone);
    world.mcp.names(&[foreign.issuer(), gone_issuer, "no url".to_owned(), world.idp.issuer()]);
    world.logged_in().await;
    assert_eq!(world.idp.browsed().len(), 1);
    assert!(foreign.asked("/authorize").is_empty());
}

#[tokio::test]
async fn cl_5_an_issuer_with_a_path_is_looked_for_inserted_then_appended_and_never_at_the_root() {
    let world = World::start().await;
    let issuer = format!("{}/t/1", world.idp.issuer());
    world.idp.behave(|manner| {
        let mut metadata = manner.documents.remove(RFC8414).unwrap();
        metadata["issuer"] = issuer.clone().into();
        manner.documents.insert(format!("/t/1{OPENID}"), metadata);
        manner.documents.insert(RFC8414.to_owned(), json!({"issuer": "trap"}));
    });
    world.mcp.names(std::slice::from_ref(&issuer));
    world.logged_in().await;
    assert_eq!(world.idp.asked(RFC8414).len(), 0, "the root is another issuer's");
    let order = [format!("{RFC8414}/t/1"), format!("{OPENID}/t/1"), format!("/t/1{OPENID}")];
    for path in order {
        assert_eq!(world.idp.asked(&path).len(), 1, "{path}");
    }
}

/// The advertisement stands in one of the two documents, whichever way the issuer was found; a server that registers nobody
/// is among them.
#[tokio::test]
async fn r1_t_3_the_advertisement_is_found_in_either_document_for_every_way_to_the_issuer() {
    const FLAG: &str = "client_id_metadata_document_supported";
    for advertised_in in [RFC8414, OPENID] {
        for way in ["configured", "realm", "discovered", "origin"] {
            for registers in [true, false] {
                let mut world = World::start().await;
                let embedded = State::new();
                if way == "origin" {
                    world.mcp.embeds(&embedded);
                }
                let server = if way == "origin" { &embedded } else { &world.idp.state };
                server.behave(|manner| {
                    if !registers {
                        manner.registers_nobody();
                    }
                    let with = manner.documents[RFC8414].clone();
                    let mut without = with.clone();
                    without.as_object_mut().unwrap().remove(FLAG);
                    let other = if advertised_in == RFC8414 { OPENID } else { RFC8414 };
                    manner.documents.insert(advertised_in.to_owned(), with);
                    manner.documents.insert(other.to_owned(), without);
                });
                match way {
                    "configured" => {
                        world.mcp.serve_nothing();
                        world.mcp.challenge(&["Bearer"]);
                        world.settings.issuer = Some(world.idp.issuer());
                    }
                    "realm" => {
                        world.mcp.serve_nothing();
                        world.mcp.challenge(&[&format!(r#"Bearer realm="{}""#, world.idp.issuer())]);
                    }
                    "origin" => {
                        world.mcp.serve_nothing();
                        world.mcp.challenge(&["Bearer"]);
                    }
                    _ => {}
                }
                world.logged_in().await;
                let case = format!("{way}, in {advertised_in}, registers: {registers}");
                let asked = server.asked("/authorize");
                let browsed = asked.iter().find(|asked| asked.by_browser()).expect(&case);
                assert_eq!(browsed.must("client_id"), DOCUMENT, "{case}");
                assert!(server.asked("/register").is_empty(), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn cl_6_metadata_of_another_issuer_is_never_used() {
    let world = World::start().await;
    let issuer = world.idp.issuer();
    for other in [format!("{issuer}/"), issuer.replace("http:", "HTTP:"), "https://evil.example".to_owned()] {
        world.idp.behave(|manner| manner.metadata()["issuer"] = other.clone().into());
        let error = world.fails_to_log_in().await;
        assert!(
            matches!(error, LoginError::Discovery { source: DiscoveryError::Metadata { .. }, .. }),
            "{other}: {error:?}"
        );
    }
    assert!(world.idp.asked("/register").is_empty() && world.user.opened().is_empty());
}

#[tokio::test]
async fn cl_7_a_server_without_s256_is_refused_unless_the_user_named_it_and_it_is_silent() {
    let mut world = World::start().await;
    for methods in [json!(["plain"]), Value::Null] {
        world.idp.behave(|manner| manner.metadata()["code_challenge_methods_supported"] = methods.clone());
        let error = world.fails_to_log_in().await;
        assert!(
            matches!(error, LoginError::Discovery { source: DiscoveryError::NoPkce { .. }, .. }),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("--remote-auth-issuer"));
    }
    world.settings.issuer = Some(world.idp.issuer());
    world.logged_in().await;
    assert_eq!(world.idp.browsed()[0].must("code_challenge_method"), "S256");

    world.idp.behave(|manner| manner.metadata()["code_challenge_methods_supported"] = json!(["plain"]));
    let error = world.fails_to_log_in().await;
    assert!(
        matches!(error, LoginError::Discovery { source: DiscoveryError::NoPkce { .. }, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn cl_10_a_server_without_any_metadata_is_its_own_authorization_server() {
    for documents in [false, true] {
        let world = World::start().await;
        let embedded = State::new();
        world.mcp.serve_nothing();
        world.mcp.challenge(&[]);
        world.mcp.embeds(&embedded);
        if !documents {
            embedded.behave(|manner| manner.documents.clear());
        }
        let process = world.logged_in().await;
        assert_eq!(
            embedded.asked("/register").len(),
            usize::from(!documents),
            "default endpoints take no documents"
        );
        let asked = embedded.asked("/authorize");
        assert_eq!(asked[0].must("resource"), world.mcp.url());
        assert_eq!(process.call().await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn cl_10_a_start_page_at_every_path_is_no_metadata() {
    let world = World::start().await;
    let embedded = State::new();
    world.mcp.serve_nothing();
    world.mcp.challenge(&[]);
    world.mcp.embeds(&embedded);
    embedded.behave(|manner| {
        manner.documents.clear();
        manner.on(|asked| {
            asked
                .path
                .contains("well-known")
                .then(|| page(200, "text/html", "<h1>Welcome to our start page</h1>"))
        });
    });
    world.logged_in().await;
    assert_eq!(embedded.asked("/register").len(), 1);
}

/// A server may let strangers in at first, and challenge any later request.
#[tokio::test]
async fn px_1_any_request_may_be_the_one_that_is_challenged() {
    for status in [401, 403] {
        let world = World::start().await;
        let place = world.mcp.server.url(&format!("{PRM}/mcp"));
        world.mcp.on(move |asked, issued| {
            let is_initialize = String::from_utf8_lossy(&asked.body).contains("initialize");
            match issued {
                None if is_initialize => Some(page(200, "application/json", "{}")),
                None => Some(challenged(status, &[format!(r#"Bearer resource_metadata="{place}""#)])),
                Some(_) => None,
            }
        });
        let process = world.process().await;
        let initialize = http::Request::post("/mcp").body(r#"{"method":"initialize"}"#.into()).unwrap();
        assert_eq!(process.send(initialize).await.status, StatusCode::OK);
        assert!(
            world.user.opened().is_empty() && world.mcp.looked_for().is_empty(),
            "nobody asked for a login"
        );
        assert_eq!(process.call().await.status, StatusCode::OK, "{status}");
        assert_eq!(world.user.opened().len(), 1);
    }
}

#[tokio::test]
async fn a_403_without_a_challenge_is_the_servers_own_answer() {
    let world = World::start().await;
    world.mcp.on(|_, _| Some(page(403, "text/plain", "not for you")));
    let got = world.process().await.call().await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::FORBIDDEN, "not for you"));
    assert!(world.mcp.looked_for().is_empty());
}

/// A server answers a GET without a look at who asks, and names its metadata in the challenge to a POST alone.
#[tokio::test]
async fn px_1_a_login_before_any_request_finds_the_challenge_of_a_post() {
    let world = World::start().await;
    world.mcp.serve_nothing();
    world.mcp.serve(
        "/odd/place",
        json!({"resource": world.mcp.url(), "authorization_servers": [world.idp.issuer()]}),
    );
    let metadata = world.mcp.server.url("/odd/place");
    world.mcp.challenge(&[&format!(r#"Bearer resource_metadata="{metadata}""#)]);
    world
        .mcp
        .on(|asked, _| (asked.method == "GET").then(|| page(200, "text/html", "<h1>An MCP server</h1>")));
    world.process().await.log_in().await.unwrap();
    assert_eq!(world.mcp.looked_for(), [] as [&str; 0]);

    let world_of_get = World::start().await;
    let process = world_of_get.process().await;
    assert!(process.session.prepare().await.unwrap(), "the server wants a login");
    assert_eq!(world_of_get.user.opened().len(), 1);
    assert!(process.session.prepare().await.unwrap());
    assert_eq!(world_of_get.user.opened().len(), 1, "and has one");
}

#[tokio::test]
async fn a_server_that_wants_no_login_gets_none() {
    let world = World::start().await;
    world.mcp.on(|_, _| Some(page(200, "application/json", "{}")));
    let process = world.process().await;
    assert!(!process.session.prepare().await.unwrap());
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert!(world.user.opened().is_empty());
}

#[tokio::test]
async fn cl_11_a_server_on_the_internet_leads_to_nothing_on_this_machine() {
    let world = World::start().await;
    let roots = Roots::load(None).unwrap();
    let limits = Limits { total: std::time::Duration::from_secs(5), max_body: 1024 };
    for (server, insecure, reached) in [
        ("https://8.8.8.8/mcp", false, false),
        ("https://8.8.8.8/mcp", true, false),
        (&world.mcp.url(), false, true),
    ] {
        let settings = AuthSettings { insecure_allow_http: insecure, ..AuthSettings::default() };
        let reach = Reach::of(server, &settings, None, &roots).await;
        let got = reach.egress().get(&world.idp.server.url(RFC8414), http::HeaderMap::new(), limits).await;
        assert_eq!(got.is_ok(), reached, "{server}");
    }
}

#[tokio::test]
async fn a_configured_issuer_does_without_resource_metadata_but_not_while_they_are_down() {
    let mut world = World::start().await;
    world.settings.issuer = Some(world.idp.issuer());
    world.mcp.say("resource", "https://evil.example");
    world.logged_in().await;
    assert_eq!(world.idp.browsed()[0].must("resource"), world.mcp.url());

    let mut world = World::start().await;
    world.settings.issuer = Some(world.idp.issuer());
    world.mcp.server.down();
    let error = world.fails_to_log_in().await;
    assert!(error.is_temporary(), "{error:?}");
    assert!(world.user.opened().is_empty());
    world.settings.resource = Some(world.mcp.url());
    world.process().await.log_in().await.unwrap();
}

#[tokio::test]
async fn configured_endpoints_need_no_discovery() {
    let mut world = World::start().await;
    world.settings.authorize_url = Some(world.idp.server.url("/authorize?tenant=a"));
    world.settings.token_url = Some(world.idp.server.url("/token"));
    let error = world.fails_to_log_in().await;
    assert!(
        matches!(error, LoginError::NoIdentity { .. }),
        "nobody is known there without a client_id: {error:?}"
    );
    world.settings.client_id = Some("by-hand".to_owned());
    world.settings.scopes = vec!["a".to_owned(), "b".to_owned()];
    world.settings.scope_param_name = Some("user_scope".to_owned());
    world.settings.oauth_params = [("audience".to_owned(), "x y".to_owned())].into();
    world.process().await.log_in().await.unwrap();
    let asked = &world.idp.browsed()[0];
    assert_eq!(
        (asked.must("client_id"), asked.must("tenant"), asked.must("audience")),
        ("by-hand", "a", "x y")
    );
    assert_eq!((asked.must("user_scope"), asked.one("scope"), asked.one("resource")), ("a b", None, None));
    assert!(world.mcp.looked_for().is_empty() && world.idp.asked(RFC8414).is_empty());
}
