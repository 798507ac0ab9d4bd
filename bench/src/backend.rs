//! The MCP server behind the proxies: the smallest answer to `tools/call`.

use std::convert::Infallible;

use bytes::Bytes;
use clap::Args;
use http::{Response, StatusCode, header};
use http_body_util::Full;

use crate::error::BenchError;
use crate::serve;

const RESULT: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}],"isError":false}}"#;

/// What the backend demands.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Answer 401 to every request whose `Authorization` is another
    #[arg(long)]
    authorization: Option<String>,
}

/// Answers every request with the same tool result.
///
/// # Errors
/// When no port can be bound.
pub(crate) async fn run(options: Options) -> Result<(), BenchError> {
    let demanded = options.authorization.map(Bytes::from);
    serve::serve(move |request| {
        let shown = request.headers().get(header::AUTHORIZATION);
        let allowed =
            demanded.as_ref().is_none_or(|demanded| shown.is_some_and(|shown| shown.as_bytes() == demanded));
        async move {
            serve::drain(request).await;
            Ok::<_, Infallible>(if allowed {
                serve::json(Bytes::from_static(RESULT.as_bytes()))
            } else {
                unauthorized()
            })
        }
    })
    .await
}

fn unauthorized() -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}
