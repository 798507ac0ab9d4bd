//! A gateway that is killed while it refreshes tokens at a provider that replaces its refresh tokens.

use crate::support::{Crowd, Provider, Scene, discovered, gateway_with, registered_oidc};

const USERS: usize = 6;
const KILLS: usize = 3;

#[tokio::test]
async fn kills_during_refreshes_replay_nothing_and_cost_a_login_at_that_provider_at_most() {
    let scene = Scene::new("crash");
    let corp = Provider::oidc(&scene, "corp", &["--register"]).await;
    // Every refresh is done for a while before the gateway hears of it: kills hit the worst moment.
    let second = ["--register", "--access-token-seconds", "8", "--refresh-answer-ms", "400"];
    let second = Provider::oidc(&scene, "second", &second).await;
    let (_server, backend) = second.token_server(&scene).await;
    let upstreams = [registered_oidc("corp", &corp.issuer), discovered("second", &second.issuer, "")];
    let mut gateway = gateway_with(&scene, &backend, &upstreams).await;

    // Apart, so that one kill does not hit all of them.
    let crowd = Crowd::queue(&scene, &gateway.url, USERS, "900");
    crowd.until("that everybody is in", |progress| progress["least"].as_u64() >= Some(1)).await;
    for _ in 0..KILLS {
        let refreshes = second.handed_out("refresh_token").len();
        second.answered("refresh_token", refreshes + 1).await;
        gateway = gateway.kill(&scene).await.start_again(&scene).await;
    }

    // Who lost the outcome of a refresh is asked to log in once it is certain that nobody has it.
    crowd.all_call(10).await;
    assert_eq!(second.count("reused"), 0, "no refresh token was sent twice");
    assert_eq!((corp.count("registered"), second.count("registered")), (1, 1));
    let again = second.count("authorized") - USERS;
    assert!((1..=USERS).contains(&again), "{again} logins after the first");
    assert_eq!(corp.count("authorized"), USERS, "nobody had to go to the first provider again");
    for person in crowd.disperse().await {
        assert_eq!(person["stuck"], 0, "the client logs in by itself: {person}");
        assert_eq!(person["mistaken"], 0, "somebody else's token: {person}");
    }
    gateway.stop(&scene, 20).await;
}
