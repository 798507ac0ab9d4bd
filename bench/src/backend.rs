//! The MCP server behind the proxies: the smallest answer to `tools/call`.

use std::convert::Infallible;

use bytes::Bytes;

use crate::error::BenchError;
use crate::serve;

const RESULT: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}],"isError":false}}"#;

/// Answers every request with the same tool result.
///
/// # Errors
/// When no port can be bound.
pub(crate) async fn run() -> Result<(), BenchError> {
    serve::serve(|request| async {
        serve::drain(request).await;
        Ok::<_, Infallible>(serve::json(Bytes::from_static(RESULT.as_bytes())))
    })
    .await
}
