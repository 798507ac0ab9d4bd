//! Authorization codes.

use std::time::Duration;

use thv_oauth::pkce::CodeVerifier;

use super::samples::{T0, sample_grant};
use crate::records::AuthorizationCode;
use crate::{Redemption, Stores};

pub(super) async fn a_code_is_redeemed_exactly_once_and_remembers_its_grant(stores: &Stores) {
    let code = AuthorizationCode {
        grant: sample_grant(None),
        redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
        code_challenge: CodeVerifier::from_random([7; 32]).challenge(),
        expires_at: T0 + Duration::from_secs(60),
    };
    let (id, grant) = ([9; 16], code.grant.id);
    stores.codes.insert(id, code.clone(), T0).await.unwrap();
    assert!(stores.codes.load(&id, T0).await.unwrap().is_some(), "reading does not redeem");
    let (first, second) = tokio::join!(stores.codes.redeem(&id, T0), stores.codes.redeem(&id, T0));
    let outcomes = [first.unwrap(), second.unwrap()];
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Redemption::First(_))).count(), 1);
    assert_eq!(
        outcomes.iter().filter(|outcome| matches!(outcome, Redemption::Again(id) if *id == grant)).count(),
        1
    );
    assert!(stores.codes.load(&id, T0).await.unwrap().is_none());
    stores.codes.insert([8; 16], code, T0).await.unwrap();
    let late = T0 + Duration::from_secs(60);
    assert!(matches!(stores.codes.redeem(&[8; 16], late).await.unwrap(), Redemption::Absent));
}
