//! Remembered approvals.

use std::time::Duration;

use thv_oauth::scope::ScopeSet;

use super::samples::T0;
use crate::Stores;
use crate::records::Approval;

pub(super) async fn approvals_are_per_user_and_client(stores: &Stores) {
    let approval = Approval {
        metadata_hash: "h".to_owned(),
        scopes: ScopeSet::parse("openid").unwrap(),
        resources: vec![],
        expires_at: T0 + Duration::from_secs(60),
    };
    stores.consents.save("corp:a", "c", approval.clone(), T0).await.unwrap();
    assert_eq!(stores.consents.load("corp:a", "c", T0).await.unwrap().as_deref(), Some(&approval));
    assert_eq!(stores.consents.load("corp:b", "c", T0).await.unwrap(), None);
    assert_eq!(stores.consents.load("corp:a", "d", T0).await.unwrap(), None);
    assert_eq!(stores.consents.load("corp:a", "c", T0 + Duration::from_secs(60)).await.unwrap(), None);
}
