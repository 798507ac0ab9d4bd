//! A bare responder: a constant JSON body, as long as the document it is compared with.

use std::convert::Infallible;

use bytes::Bytes;

use crate::error::BenchError;
use crate::serve;

/// Answers every request with `body_bytes` bytes of JSON.
pub(super) async fn run(body_bytes: usize) -> Result<(), BenchError> {
    let body = Bytes::from(format!("{{\"padding\":\"{}\"}}", "x".repeat(body_bytes.saturating_sub(14))));
    serve::serve(move |_request| {
        let body = body.clone();
        async { Ok::<_, Infallible>(serve::json(body)) }
    })
    .await
}
