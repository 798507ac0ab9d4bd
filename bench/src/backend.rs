//! The MCP server behind the proxies: the smallest answer to `tools/call`.

use std::convert::Infallible;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::error::BenchError;
use crate::{mcp, serve};

/// What the backend demands, and what it can do.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Answer 401 to every request whose `Authorization` is another
    #[arg(long)]
    authorization: Option<String>,
    /// Read each message and answer it as an MCP server does that has no sessions, instead of always the same
    #[arg(long)]
    reads: bool,
}

/// Answers every request with the same tool result, or with what its message asks for.
///
/// # Errors
/// When no port can be bound.
pub(crate) async fn run(options: Options) -> Result<(), BenchError> {
    let demanded = options.authorization.map(Bytes::from);
    let same = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, mcp::RESULT));
    let same = (!options.reads).then_some(same);
    serve::serve(move |request| {
        let shown = request.headers().get(header::AUTHORIZATION);
        let allowed =
            demanded.as_ref().is_none_or(|demanded| shown.is_some_and(|shown| shown.as_bytes() == demanded));
        let same = same.clone();
        async move {
            let response = match same {
                Some(same) => {
                    serve::drain(request).await;
                    serve::json(same)
                }
                None => read(request).await,
            };
            Ok::<_, Infallible>(if allowed { response } else { serve::empty(StatusCode::UNAUTHORIZED) })
        }
    })
    .await
}

/// What an MCP server without sessions answers: there is no stream of notifications, and nothing to delete.
async fn read(request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::POST {
        return serve::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let message = request.into_body().collect().await.unwrap_or_default().to_bytes();
    match mcp::answer(&message) {
        Some(response) => serve::json(Bytes::from(response)),
        None => serve::empty(StatusCode::ACCEPTED),
    }
}
