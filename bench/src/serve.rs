//! The accept loop that the baselines and the backend share: hyper, HTTP/1.1, keep-alive, nothing else.

use std::error::Error;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::error::{BenchError, During as _};

/// Announces the address on stdout, then answers every connection with `answer` until the process is killed.
///
/// # Errors
/// When no port can be bound or the address cannot be announced.
pub(crate) async fn serve<F, Fut, B, E>(answer: F) -> Result<(), BenchError>
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.during("binding a port")?;
    announce(listener.local_addr().during("reading the bound address")?)?;
    loop {
        let (stream, _) = listener.accept().await.during("accepting a connection")?;
        stream.set_nodelay(true).during("switching Nagle's algorithm off")?;
        tokio::spawn(converse(TokioIo::new(stream), service_fn(answer.clone())));
    }
}

/// Serves one connection; how it ends is the client's affair.
async fn converse<S, B>(io: TokioIo<tokio::net::TcpStream>, service: S)
where
    S: HttpService<Incoming, ResBody = B, Error: Into<Box<dyn Error + Send + Sync>>>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}

/// Tells the parent process where to connect: one line, flushed.
fn announce(address: SocketAddr) -> Result<(), BenchError> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{address}").and_then(|()| stdout.flush()).during("announcing the address")
}

/// A 200 with a JSON body.
pub(crate) fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Reads a request's body to its end and forgets it, so that the connection can be used again.
pub(crate) async fn drain(request: Request<Incoming>) {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
}
