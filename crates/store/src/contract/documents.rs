//! Client ID metadata documents.

use std::time::Duration;

use super::samples::T0;
use crate::Stores;
use crate::records::StoredDocument;

pub(super) async fn documents_are_kept_until_their_time(stores: &Stores) {
    let document = StoredDocument {
        document: serde_json::json!({"client_id": "https://client.example/app.json"}),
        etag: Some("\"1\"".to_owned()),
        fresh_until: T0,
        fetched_at: T0,
    };
    let until = T0 + Duration::from_secs(60);
    stores.documents.save("https://client.example/app.json", document.clone(), until, T0).await.unwrap();
    let kept = stores.documents.load("https://client.example/app.json", T0).await.unwrap();
    assert_eq!(kept.as_deref(), Some(&document));
    assert!(stores.documents.load("https://client.example/app.json", until).await.unwrap().is_none());
}
