//! Turns, and what may happen once.

use std::time::Duration;

use super::samples::T0;
use crate::Stores;

pub(super) async fn a_turn_has_one_holder_until_it_is_given_back_or_ends(stores: &Stores) {
    let (leases, until) = (&stores.leases, T0 + Duration::from_secs(60));
    let (a, b) = tokio::join!(leases.acquire([5; 32], until, T0), leases.acquire([5; 32], until, T0));
    let held = a.unwrap().xor(b.unwrap()).expect("one of them");
    assert!(leases.acquire([6; 32], until, T0).await.unwrap().is_some(), "another turn");
    leases.release(held, T0).await.unwrap();
    assert!(leases.acquire([5; 32], until, T0).await.unwrap().is_some());
    let next = leases.acquire([5; 32], until + Duration::from_secs(60), until).await.unwrap();
    assert!(next.is_some(), "it ended by itself");
    leases.release(held, until).await.unwrap();
    assert!(leases.acquire([5; 32], until, until).await.unwrap().is_none(), "not ours to give back any more");
}

pub(super) async fn a_key_is_claimed_once(stores: &Stores) {
    let until = T0 + Duration::from_secs(60);
    assert!(stores.replays.claim([1; 32], until, T0).await.unwrap());
    assert!(!stores.replays.claim([1; 32], until, T0).await.unwrap());
    assert!(stores.replays.claim([1; 32], until, until).await.unwrap(), "free again after its time");
}
