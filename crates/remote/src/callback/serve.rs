//! The HTTP server at the redirect URI.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::door::Post;
use super::page::{self, Outcome};
use super::relay;
use super::{Own, PATH, Shown};

/// For the whole of a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// After an accept that failed: the machine may be out of file descriptors for a while.
const PAUSE: Duration = Duration::from_millis(100);

/// What the server goes by.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) own: Own,
    pub(super) shared: PathBuf,
}

impl Server {
    /// Serves until the door is left. A browser that is here then still gets its page.
    pub(super) async fn serve(self, post: Arc<Post>) {
        while let Some(accepted) = post.accept().await {
            match accepted {
                Ok(stream) => drop(tokio::spawn(self.clone().connection(stream))),
                Err(error) => {
                    tracing::debug!(%error, "a connection to the redirect URI was not accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream) {
        // Let go of when the response is out.
        let shown = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&shown);
        let answer = service_fn(move |request: Request<Incoming>| {
            let (server, keep) = (self.clone(), Arc::clone(&keep));
            async move {
                let (response, shown) = server.respond(&request).await;
                *keep.lock().unwrap_or_else(PoisonError::into_inner) = shown;
                Ok::<_, Infallible>(response)
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            // A browser keeps connections open for later, and there is no later here.
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), answer);
        if let Err(error) = served.await {
            tracing::trace!(%error, "a connection to the redirect URI ended");
        }
        drop(shown);
    }

    async fn respond(&self, request: &Request<Incoming>) -> (Response<Full<Bytes>>, Option<Shown>) {
        if !self.is_meant(request) {
            return (page::bare(StatusCode::MISDIRECTED_REQUEST), None);
        }
        if request.uri().path() != PATH {
            return (page::bare(StatusCode::NOT_FOUND), None);
        }
        // A prefetch must not use up the login.
        if request.method() != Method::GET {
            let mut refusal = page::bare(StatusCode::METHOD_NOT_ALLOWED);
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return (refusal, None);
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        if self.own.is_meant(&query) {
            let (outcome, shown) = self.own.deliver(query).await;
            return (page::render(&outcome), Some(shown));
        }
        let outcome = relay::pass_on(&self.shared, &query).await.unwrap_or(Outcome::Unexpected);
        (page::render(&outcome), None)
    }

    /// Whether the request is for this machine: a web page must not get here under a name of its own (DNS rebinding).
    fn is_meant(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.strip_suffix(&format!(":{}", self.port)).unwrap_or_default();
        ["localhost", "127.0.0.1", "[::1]"].iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}
