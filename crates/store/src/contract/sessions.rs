//! Login sessions.

use std::time::Duration;

use super::samples::{T0, sample_grant};
use crate::Stores;
use crate::records::{GrantId, Session, SessionId};

pub(super) async fn a_session_lives_as_long_as_its_grants(stores: &Stores) {
    let sessions = &stores.sessions;
    let until = T0 + Duration::from_secs(60);
    let session = Session {
        id: SessionId::random(),
        subject: sample_grant(None).subject,
        grants: vec![],
        expires_at: until,
    };
    let (id, one, other) = (session.id, GrantId::random(), GrantId::random());
    sessions.insert(session, T0).await.unwrap();
    let long = until + Duration::from_secs(60);
    let (a, b) = tokio::join!(sessions.attach(&id, one, long, T0), sessions.attach(&id, other, long, T0));
    assert!(a.unwrap().is_some() && b.unwrap().is_some());
    assert_eq!(sessions.load(&id, until).await.unwrap().unwrap().value.grants.len(), 2, "neither got lost");
    assert!(!sessions.detach(&id, &one, T0).await.unwrap(), "another grant rests on it");
    let loaded = sessions.load(&id, T0).await.unwrap().unwrap();
    assert_eq!(sessions.attach(&id, one, long, T0).await.unwrap(), Some(vec![]));
    assert!(!sessions.end(&loaded, T0).await.unwrap(), "it has changed");
    assert!(!sessions.detach(&id, &one, T0).await.unwrap());
    assert!(sessions.detach(&id, &other, T0).await.unwrap(), "the last one");
    assert!(sessions.load(&id, T0).await.unwrap().is_none());
    assert!(sessions.attach(&id, one, long, T0).await.unwrap().is_none());
    assert!(sessions.detach(&id, &one, T0).await.unwrap(), "gone already");
}
