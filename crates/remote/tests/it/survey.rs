//! What a login would be like.

use serde_json::json;
use thv_remote::credentials::Credentials;
use thv_remote::discovery::Source;
use thv_remote::error::DiscoveryError;
use thv_remote::survey::{Survey, Verdict, survey};

use crate::support::authorization_server::{AuthorizationServer, OPENID, RFC8414, redirected_error, refusal};
use crate::support::resource::PRM;
use crate::support::world::World;

async fn of(world: &World) -> Survey {
    let (reach, clock) = (world.reach().await, world.clock.shared());
    survey(&world.mcp.url(), &world.settings, &Credentials::default(), &reach, &clock).await
}

fn nothing_happened(world: &World) {
    assert!(world.idp.asked("/register").is_empty() && world.idp.asked("/token").is_empty());
    assert!(world.user.opened().is_empty() && world.user.shown().is_empty());
    assert_eq!(world.keep.saves.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_survey_tells_what_is_where_and_what_the_first_way_would_meet() {
    let mut world = World::start().await;
    world.settings.callback_port = None;
    let foreign = AuthorizationServer::start().await;
    foreign.behave(|manner| manner.metadata()["issuer"] = "https://another.example".into());
    world.mcp.names(&[foreign.issuer(), world.idp.issuer()]);
    world.mcp.say("scopes_supported", json!(["read", "write"]));
    let survey = of(&world).await;

    let answer = survey.answer.unwrap();
    assert_eq!((answer.status, answer.wants_login), (401, true));
    assert!(answer.challenge.unwrap().resource_metadata().unwrap().ends_with("/mcp"));

    let seen: Vec<_> = survey.lookups.iter().map(|seen| (seen.url.as_str(), seen.is_found)).collect();
    let (prm, theirs, ours) =
        (world.mcp.server.url(&format!("{PRM}/mcp")), foreign.issuer(), world.idp.issuer());
    assert_eq!(
        seen,
        [
            (prm.as_str(), true),
            (&format!("{theirs}{RFC8414}"), false),
            (&format!("{theirs}{OPENID}"), false),
            (&format!("{ours}{RFC8414}"), true),
            (&format!("{ours}{OPENID}"), false),
        ]
    );
    assert!(survey.lookups[1].outcome.contains("another.example"), "{:?}", survey.lookups[1]);
    assert!(
        survey.lookups[3].outcome.contains("client ID metadata documents: yes"),
        "{:?}",
        survey.lookups[3]
    );
    assert_eq!(survey.lookups[4].outcome, "status 404");

    let outlook = survey.outlook.unwrap();
    assert_eq!((outlook.found.source, &outlook.found.server.issuer), (Source::ResourceMetadata, &ours));
    assert_eq!(outlook.found.passed_over[0].0, theirs);
    assert_eq!(outlook.scope, "read write");
    let open: Vec<_> = outlook.ways.iter().filter(|way| way.obstacle.is_none()).map(|way| way.name).collect();
    assert_eq!(open, ["client ID metadata document", "dynamic registration"]);
    assert!(outlook.ways[0].obstacle.unwrap().contains("no client_id is configured"));
    assert!(matches!(outlook.verdict, Verdict::Accepted), "{}", outlook.verdict);
    let [asked] = &world.idp.asked("/authorize")[..] else { panic!("one preflight") };
    assert_eq!(asked.must("redirect_uri"), "http://localhost:8666/callback");
    assert_eq!(asked.must("client_id"), "https://toolhive.dev/oauth/client-metadata.json");
    nothing_happened(&world);
}

#[tokio::test]
async fn a_survey_registers_nobody() {
    let mut world = World::start().await;
    world.settings.no_cimd = true;
    let outlook = of(&world).await.outlook.unwrap();
    assert!(matches!(outlook.verdict, Verdict::NotAsked(why) if why.contains("registered first")));
    assert_eq!(outlook.ways[2].obstacle, Some("--remote-auth-no-cimd forbids the metadata document"));
    world.settings.no_dcr = true;
    let outlook = of(&world).await.outlook.unwrap();
    assert!(matches!(outlook.verdict, Verdict::NotAsked(why) if why.contains("no way")));
    assert_eq!(outlook.ways[3].obstacle, Some("--remote-auth-no-dcr forbids registration"));
    assert!(world.idp.asked("/authorize").is_empty());
    nothing_happened(&world);
}

#[tokio::test]
async fn a_survey_repeats_what_the_server_says_about_the_client() {
    let world = World::start().await;
    world.idp.behave(|manner| {
        manner.on(|asked| (asked.path == "/authorize").then(|| refusal(400, "invalid_client")))
    });
    let verdict = of(&world).await.outlook.unwrap().verdict;
    assert!(matches!(&verdict, Verdict::ClientRefused(page) if page.error == "invalid_client"), "{verdict}");
    assert!(verdict.to_string().contains("invalid_client: the test says so"), "{verdict}");

    world.idp.behave(|manner| {
        manner.on(|asked| (asked.path == "/authorize").then(|| redirected_error(asked, "invalid_scope")));
    });
    let verdict = of(&world).await.outlook.unwrap().verdict;
    assert!(verdict.to_string().contains("invalid_scope"), "{verdict}");

    world.idp.behave(|manner| {
        manner.hook = None;
        manner.knows_everybody = true;
    });
    let verdict = of(&world).await.outlook.unwrap().verdict;
    assert!(matches!(verdict, Verdict::Answered(None)), "{verdict}");
    assert!(world.idp.secrets().iter().all(|code| !format!("{verdict:?}").contains(code)));
    nothing_happened(&world);
}

#[tokio::test]
async fn a_survey_of_a_server_that_cannot_be_used_says_why() {
    let world = World::start().await;
    world.mcp.say("resource", "https://evil.example");
    let survey = of(&world).await;
    assert!(matches!(survey.outlook, Err(DiscoveryError::Resource(_))));
    assert!(survey.lookups[0].outcome.contains("evil.example"), "{:?}", survey.lookups);

    world.mcp.server.down();
    let survey = of(&world).await;
    assert!(survey.answer.is_err() && survey.outlook.is_err());
    nothing_happened(&world);
}

#[tokio::test]
async fn a_survey_knows_what_is_kept() {
    let world = World::start().await;
    world.idp.behave(|manner| manner.supports_documents(false));
    world.logged_in().await;
    let (reach, clock) = (world.reach().await, world.clock.shared());
    let survey = survey(&world.mcp.url(), &world.settings, &world.keep.kept(), &reach, &clock).await;
    let outlook = survey.outlook.unwrap();
    assert_eq!(outlook.ways[1].obstacle, None);
    assert!(matches!(outlook.verdict, Verdict::Accepted));
    assert_eq!(world.idp.asked("/authorize").last().unwrap().must("client_id"), "registered-1");
}
