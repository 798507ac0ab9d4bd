//! Registered clients.

use std::time::Duration;

use super::samples::{T0, sample_client};
use crate::Stores;
use crate::records::StoredClient;

pub(super) async fn a_registration_ends_unless_it_is_used(stores: &Stores) {
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    stores.clients.insert(sample_client("unused", T0), T0 + hour, T0).await.unwrap();
    stores.clients.insert(sample_client("used", T0), T0 + hour, T0).await.unwrap();
    stores.clients.used("used", T0 + day, T0).await.unwrap();
    let now = T0 + hour;
    assert!(stores.clients.load("unused", now).await.unwrap().is_none());
    assert_eq!(stores.clients.load("used", now).await.unwrap().unwrap().used_at, Some(T0));
    assert!(stores.clients.load("used", T0 + day).await.unwrap().is_none());
}

pub(super) async fn a_registration_is_changed_and_deleted(stores: &Stores) {
    let until = T0 + Duration::from_secs(3600);
    stores.clients.insert(sample_client("managed", T0), until, T0).await.unwrap();
    let secret = |client: &StoredClient| StoredClient { secret_digest: Some([1; 32]), ..client.clone() };
    assert!(stores.clients.update("managed", secret, T0).await.unwrap());
    assert!(!stores.clients.update("unknown", secret, T0).await.unwrap());
    assert_eq!(stores.clients.load("managed", T0).await.unwrap().unwrap().secret_digest, Some([1; 32]));
    assert!(stores.clients.delete("managed", T0).await.unwrap());
    assert!(!stores.clients.delete("managed", T0).await.unwrap());
    assert!(stores.clients.load("managed", T0).await.unwrap().is_none());
}
