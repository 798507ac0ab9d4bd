//! Grants and their refresh token families.

use std::time::Duration;

use thv_clock::Timestamp;

use super::samples::{T0, sample_grant};
use crate::records::{GrantId, RefreshFamily};
use crate::{Rotation, RotationPolicy, StoreError, Stores};

const POLICY: RotationPolicy =
    RotationPolicy { grace: Duration::from_secs(30), idle: Duration::from_secs(3600) };

fn family() -> RefreshFamily {
    RefreshFamily {
        generation: 0,
        rotated_at: T0,
        idle_expires_at: T0 + POLICY.idle,
        absolute_expires_at: T0 + Duration::from_secs(5000),
    }
}

/// Loads and rotates, as the token endpoint does.
async fn rotate(
    stores: &Stores,
    id: &GrantId,
    presented: u32,
    now: Timestamp,
    policy: RotationPolicy,
) -> Result<Rotation, StoreError> {
    match stores.grants.load(id, now).await? {
        Some(loaded) => stores.grants.rotate(loaded, presented, now, policy).await,
        None => Ok(Rotation::Absent),
    }
}

pub(super) async fn a_refresh_token_rotates_and_its_reuse_ends_the_family(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    let Rotation::Rotated(rotated) = rotate(stores, &id, 0, T0, POLICY).await.unwrap() else {
        panic!("current")
    };
    assert_eq!(rotated.refresh.unwrap().generation, 1);
    let within = T0 + POLICY.grace;
    let Rotation::Replayed(same) = rotate(stores, &id, 0, within, POLICY).await.unwrap() else {
        panic!("grace")
    };
    assert_eq!(same.refresh.unwrap().generation, 1, "the same successor");
    let after = within + Duration::from_secs(1);
    assert!(matches!(rotate(stores, &id, 0, after, POLICY).await.unwrap(), Rotation::Reused(_)));
    assert!(stores.grants.load(&id, after).await.unwrap().is_none(), "the grant ended with its family");
    assert!(matches!(rotate(stores, &id, 1, after, POLICY).await.unwrap(), Rotation::Absent));
    assert!(!stores.grants.revoke(&id, after).await.unwrap(), "nothing is left to revoke");
}

pub(super) async fn parallel_refreshes_get_the_same_successor(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    let (a, b) = tokio::join!(rotate(stores, &id, 0, T0, POLICY), rotate(stores, &id, 0, T0, POLICY));
    let generations = [a.unwrap(), b.unwrap()].map(|outcome| match outcome {
        Rotation::Rotated(grant) | Rotation::Replayed(grant) => grant.refresh.unwrap().generation,
        Rotation::Reused(_) | Rotation::Absent => panic!("both are answered"),
    });
    assert_eq!(generations, [1, 1]);
}

pub(super) async fn a_family_ends_by_inactivity_and_absolutely(stores: &Stores) {
    let idle = sample_grant(Some(family()));
    let id = idle.id;
    stores.grants.insert(idle, T0).await.unwrap();
    assert!(matches!(rotate(stores, &id, 0, T0 + POLICY.idle, POLICY).await.unwrap(), Rotation::Absent));
    let used = sample_grant(Some(family()));
    let id = used.id;
    stores.grants.insert(used, T0).await.unwrap();
    let soon = T0 + Duration::from_secs(3500);
    assert!(matches!(rotate(stores, &id, 0, soon, POLICY).await.unwrap(), Rotation::Rotated(_)));
    let end = T0 + Duration::from_secs(5000);
    assert!(matches!(rotate(stores, &id, 1, end, POLICY).await.unwrap(), Rotation::Absent));
    let without = sample_grant(None);
    let id = without.id;
    stores.grants.insert(without, T0).await.unwrap();
    assert!(matches!(rotate(stores, &id, 0, T0, POLICY).await.unwrap(), Rotation::Absent), "no family");
}

pub(super) async fn an_ended_login_is_noted_without_disturbing_the_family(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    let loaded = stores.grants.load(&id, T0).await.unwrap().unwrap();
    stores.grants.note_ended_login(&id, "corp", T0).await.unwrap();
    let rotated = stores.grants.rotate(loaded, 0, T0, POLICY).await.unwrap();
    assert!(matches!(rotated, Rotation::Rotated(grant) if grant.ended_login.as_deref() == Some("corp")));
    stores.grants.note_ended_login(&GrantId::random(), "corp", T0).await.unwrap();
}

pub(super) async fn a_grant_that_is_there_is_not_inserted_again(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    assert!(stores.grants.insert(grant.clone(), T0).await.unwrap());
    assert!(matches!(rotate(stores, &id, 0, T0, POLICY).await.unwrap(), Rotation::Rotated(_)));
    assert!(!stores.grants.insert(grant.clone(), T0).await.unwrap());
    let kept = stores.grants.load(&id, T0).await.unwrap().unwrap();
    assert_eq!(kept.value.refresh.unwrap().generation, 1, "not back at its beginning");
    let other = sample_grant(Some(family()));
    let (a, b) = tokio::join!(stores.grants.insert(other.clone(), T0), stores.grants.insert(other, T0));
    assert!(a.unwrap() != b.unwrap(), "one of them");
}

/// The store was restored from a backup, or failed over to a replica that was behind.
pub(super) async fn a_generation_that_the_store_has_lost_is_the_current_one(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    let Rotation::Rotated(rotated) = rotate(stores, &id, 7, T0, POLICY).await.unwrap() else {
        panic!("its owner goes on")
    };
    assert_eq!(rotated.refresh.unwrap().generation, 8);
    let Rotation::Replayed(same) = rotate(stores, &id, 7, T0, POLICY).await.unwrap() else {
        panic!("its answer was lost")
    };
    assert_eq!(same.refresh.unwrap().generation, 8);
    assert!(matches!(rotate(stores, &id, 6, T0, POLICY).await.unwrap(), Rotation::Reused(_)), "a copy");
    assert!(stores.grants.load(&id, T0).await.unwrap().is_none());
}

pub(super) async fn a_family_ends_with_the_last_generation_that_can_be_counted(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    assert!(matches!(rotate(stores, &id, u32::MAX - 1, T0, POLICY).await.unwrap(), Rotation::Rotated(_)));
    assert!(matches!(rotate(stores, &id, u32::MAX, T0, POLICY).await.unwrap(), Rotation::Absent));
}
