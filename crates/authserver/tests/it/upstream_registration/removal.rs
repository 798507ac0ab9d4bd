//! What becomes of registrations at upstreams that are no longer configured (U8).

use http::Method;
use thv_egress::{Client, Policy, Roots};

use super::world::{Away, Log, World, egress, log_in};

#[tokio::test]
async fn u6_a_removed_upstream_is_left_when_that_was_asked_for() {
    for (delete, deleted) in [(true, 1), (false, 0)] {
        let world = World::new().await;
        drop(world.ready(|settings| settings.registration.dynamic.delete_on_removal = delete).await);
        let (log, _guard) = Log::capture();
        world.start_without(egress()).await;
        assert_eq!(world.idp.asked(&Method::DELETE, "/register/client-1").len(), deleted);
        let message = "deleted the registration at an upstream that is no longer configured";
        assert_eq!(log.records(message).len(), deleted);
        world.start_without(egress()).await;
        assert_eq!(world.idp.asked(&Method::DELETE, "/register/client-1").len(), deleted, "once");
        // When it is configured again, it is a new registration, or still the old one.
        assert_eq!(
            Away::start(&world.ready(|_| {}).await).await.client_id(),
            format!("client-{}", 1 + deleted)
        );
    }
}

#[tokio::test]
async fn u6_a_registration_that_could_not_be_deleted_is_kept_and_tried_again() {
    for (status, attempts) in [(Some(400), 2), (Some(302), 2), (Some(503), 2), (Some(404), 1), (None, 1)] {
        let world = World::new().await;
        drop(world.ready(|settings| settings.registration.dynamic.delete_on_removal = true).await);
        world.idp.state().management_status = status;
        world.start_without(egress()).await;
        world.idp.state().management_status = None;
        for _ in 0..2 {
            world.start_without(egress()).await;
        }
        let asked = world.idp.asked(&Method::DELETE, "/register/client-1").len();
        assert_eq!(asked, attempts, "{status:?}");
    }
}

#[tokio::test]
async fn u6_a_registration_where_our_own_rules_forbid_to_go_is_kept() {
    let world = World::new().await;
    drop(world.ready(|settings| settings.registration.dynamic.delete_on_removal = true).await);
    world.start_without(Client::new(Policy::public(), &Roots::load(None).unwrap())).await;
    assert!(world.idp.asked(&Method::DELETE, "/").is_empty());
    world.start_without(egress()).await;
    assert_eq!(world.idp.asked(&Method::DELETE, "/register/client-1").len(), 1);
}

#[tokio::test]
async fn u6_a_registration_for_other_scopes_goes_with_its_upstream_and_not_before() {
    let world = World::new().await;
    let before = world.ready(|settings| settings.registration.dynamic.delete_on_removal = true).await;
    log_in(&before).await;
    let after = world
        .ready(|settings| {
            settings.registration.dynamic.delete_on_removal = true;
            settings.scopes.truncate(1);
        })
        .await;
    log_in(&after).await;
    assert!(world.idp.asked(&Method::DELETE, "/").is_empty());
    world.start_without(egress()).await;
    assert_eq!(world.idp.asked(&Method::DELETE, "/register/").len(), 2);
}
