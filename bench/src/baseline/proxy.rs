//! A bare reverse proxy: no header is looked at, no body is touched.

use std::net::SocketAddr;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::error::{BenchError, During as _};
use crate::serve;

/// Forwards every request to `backend` through hyper-util's pooled client.
pub(super) async fn run(backend: SocketAddr) -> Result<(), BenchError> {
    let authority = Authority::try_from(backend.to_string()).during("reading the backend's address")?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    serve::serve(move |mut request: Request<Incoming>| {
        let client = client.clone();
        *request.uri_mut() = redirected(request.uri(), authority.clone());
        async move { client.request(request).await }
    })
    .await
}

/// The same path and query at another authority.
fn redirected(uri: &Uri, authority: Authority) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query =
        Some(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
