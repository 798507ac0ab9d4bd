//! The token vault (U11), driven through a whole server: no upstream token is lost, and none is used twice.

mod disorder;
mod ends;
mod failing_store;
mod faulty_rows;
mod lost_outcomes;
mod refusals;
mod renewal;

use std::sync::Arc;
use std::time::Duration;

use thv_authserver::Requirement;

use crate::fixture::Fixture;
use crate::provider::Provider;
use crate::provider_world::{Failure, LOCAL, World, credential};

/// The first access tokens of the provider `files`, which live an hour, in order.
const FIRST: &str = "at-files-0-1";
const SECOND: &str = "at-files-0-2";
const THIRD: &str = "at-files-0-3";

const LIFE: Duration = Duration::from_secs(3600);
/// How long an announced refresh is waited for.
const INTENT: Duration = Duration::from_secs(60);
/// When a token that lives an hour is to be renewed.
const RENEWAL: Duration = Duration::from_secs(3600 - 120);

/// Users of our own login page with accounts at two providers.
async fn world() -> World {
    World::new(&[(LOCAL, Requirement::Required), FILES, MAIL]).await
}

const FILES: (&str, Requirement) = ("files", Requirement::Required);
const MAIL: (&str, Requirement) = ("mail", Requirement::Required);

/// Lets the token of `files` be renewed once, so that the vault has seen whether the provider rotates.
async fn renew_once(world: &World, server: &Fixture, tsid: &str) {
    world.clock.advance(LIFE);
    assert_eq!(credential(server, tsid, "files").await.unwrap(), SECOND);
}

/// Waits for a renewal that goes on in the background.
async fn becomes(server: &Fixture, tsid: &str, token: &str) {
    let renewed = async {
        while credential(server, tsid, "files").await.as_deref() != Ok(token) {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), renewed).await;
    in_time.unwrap_or_else(|_| panic!("the token does not become {token}"));
}

/// Asks the vault on a task of its own.
fn ask(server: &Arc<Fixture>, tsid: &str) -> tokio::task::JoinHandle<Result<String, Failure>> {
    let (server, tsid) = (Arc::clone(server), tsid.to_owned());
    tokio::spawn(async move { credential(&server, &tsid, "files").await })
}

/// The connection to the provider breaks while it has done what was asked and is about to answer.
async fn lose_the_answer(files: &Provider, server: &Arc<Fixture>, tsid: &str) -> Result<String, Failure> {
    files.next(crate::provider::Fault::HoldAfter);
    let asked = ask(server, tsid);
    files.arrived().await;
    files.server.down();
    let outcome = asked.await.unwrap();
    files.server.up();
    outcome
}
