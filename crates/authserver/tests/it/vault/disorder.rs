//! Whatever goes wrong in whatever order: no refresh token is used twice, and the session can be healed.

use std::sync::Arc;
use std::time::Duration;

use super::faulty_rows::{FaultyRows, Way};
use super::{ask, lose_the_answer, renew_once, world};
use crate::fixture::{Browser, Fixture};
use crate::provider::Fault;
use crate::provider_world::{Failure, World, credential, login_at};

/// Of access tokens: all rounds together are within one sign-in.
const SHORT_LIFE: Duration = Duration::from_secs(300);

/// What goes wrong in a round.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Nothing,
    Upstream(Fault),
    AnswerLost,
    Store(Way),
}

const TROUBLES: [Trouble; 8] = [
    Trouble::Nothing,
    Trouble::Upstream(Fault::Unavailable),
    Trouble::Upstream(Fault::Refuse("invalid_client")),
    Trouble::Upstream(Fault::Refuse("invalid_grant")),
    Trouble::Upstream(Fault::OtherUser),
    Trouble::AnswerLost,
    Trouble::Store(Way::LosesOneAnswer),
    Trouble::Store(Way::Closed),
];

/// Numbers that look random and are the same in every run (the constants of PCG).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

struct Setup {
    world: World,
    rows: [FaultyRows; 2],
    replicas: [Arc<Fixture>; 2],
}

async fn setup() -> Setup {
    let rows = FaultyRows::default();
    let rows = [rows.another_way(), rows];
    // The test itself looks through a way that never fails.
    let world = world().await.with_stores(rows[0].another_way().stores());
    let replicas = [&rows[0], &rows[1]].map(|rows| Arc::new(world.replica_over(rows.stores())));
    Setup { world, rows, replicas }
}

#[tokio::test]
async fn u11_in_any_disorder_no_refresh_token_is_used_twice_and_every_session_heals() {
    for seed in 0..6 {
        let mut numbers = Numbers(seed);
        let setup = setup().await;
        let (world, files) = (&setup.world, setup.world.provider("files"));
        files.state().expires_in = Some(SHORT_LIFE.as_secs());
        let mut browser = Browser::new(&setup.replicas[0]);
        let tsid = world.log_in_with(&mut browser, &setup.replicas[0], "openid offline_access").await.tsid;
        renew_once(world, &setup.replicas[1], &tsid).await;
        for round in 0..20 {
            world.clock.advance(SHORT_LIFE);
            let trouble = TROUBLES[numbers.below(TROUBLES.len())];
            let at = numbers.below(2);
            let seen = format!("seed {seed}, round {round}, {trouble:?} at replica {at}");
            let outcome = match trouble {
                Trouble::AnswerLost => lose_the_answer(&files, &setup.replicas[at], &tsid).await,
                Trouble::Nothing => ask(&setup.replicas[at], &tsid).await.unwrap(),
                Trouble::Upstream(fault) => {
                    files.next(fault);
                    ask(&setup.replicas[at], &tsid).await.unwrap()
                }
                Trouble::Store(way) => {
                    setup.rows[at].set(way);
                    let outcome = ask(&setup.replicas[at], &tsid).await.unwrap();
                    setup.rows[at].set(Way::Open);
                    outcome
                }
            };
            files.state().faults.clear();
            assert_eq!(outcome.is_ok(), matches!(trouble, Trouble::Nothing), "{seen}: {outcome:?}");
            // A replica that is in trouble with the store may have announced what it then did not send.
            let same_replica = credential(&setup.replicas[at], &tsid, "files").await;
            let healed = match &same_replica {
                Ok(token) => token.clone(),
                Err(failure) => {
                    assert_eq!((failure, outcome), (&login_at("files"), Err(login_at("files"))), "{seen}");
                    world.log_in_with(&mut browser, &setup.replicas[0], "openid upstream:files").await;
                    credential(&setup.replicas[at], &tsid, "files").await.unwrap()
                }
            };
            let other = credential(&setup.replicas[1 - at], &tsid, "files").await;
            assert_eq!(other, Ok::<_, Failure>(healed), "{seen}");
            assert_eq!(files.state().reuses, 0, "{seen}");
        }
    }
}
