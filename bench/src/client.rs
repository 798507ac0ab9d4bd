//! One keep-alive HTTP/1.1 connection, as the load generator and the login driver use it.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

use crate::error::{BenchError, During as _};

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One connection to one server.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to `server`, from `source` when one is given (every address of 127.0.0.0/8 is ours on Linux).
    ///
    /// # Errors
    /// When the connection cannot be made.
    pub(crate) async fn open(server: SocketAddr, source: Option<IpAddr>) -> Result<Self, BenchError> {
        let step = || format!("connecting to {server}");
        let socket = TcpSocket::new_v4().during(step())?;
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0)).during(step())?;
        }
        let stream = socket.connect(server).await.during(step())?;
        stream.set_nodelay(true).during(step())?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.during(step())?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, BenchError> {
        self.sender.ready().await.during("waiting for the connection")?;
        let response = self.sender.send_request(request).await.during("sending a request")?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.during("reading a response")?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}
