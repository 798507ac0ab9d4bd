//! Logins at several upstreams (U10).

mod attacks;
mod failures;
mod order;
mod step_up;

use bytes::Bytes;
use http::Response;
use thv_authserver::Requirement;

use crate::fixture::{Browser, Fixture, Flow};
use crate::provider_world::{LOCAL, World};

const FILES: (&str, Requirement) = ("files", Requirement::Required);
const MAIL: (&str, Requirement) = ("mail", Requirement::Optional);
const ADMIN: (&str, Requirement) = ("admin", Requirement::OnDemand);

/// Our own login page, then a required, an optional and an on-demand upstream.
async fn world() -> World {
    World::new(&[(LOCAL, Requirement::Required), FILES, MAIL, ADMIN]).await
}

/// As [`world`], but who the user is, a provider says.
async fn world_of_providers() -> World {
    World::new(&[("corp", Requirement::Required), FILES, MAIL, ADMIN]).await
}

/// A new client's approved request: where the browser goes next.
async fn start(world: &World, server: &Fixture, browser: &mut Browser<'_>) -> Response<Bytes> {
    let flow = Flow::new(&server.register().await);
    world.approve(browser, &flow, "openid").await
}
