//! One request over one connection, without a pool: what a test sends is what it sees on the wire.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certs::client_config;

/// Opens a connection per request and speaks HTTP/1.1.
#[derive(Clone)]
pub struct Connector {
    tls: Arc<ClientConfig>,
    addresses: HashMap<String, SocketAddr>,
}

impl Connector {
    /// Trusts the authority in `ca_pem`; without one no https server is trusted.
    pub fn new(ca_pem: Option<&str>) -> Self {
        Self { tls: client_config(ca_pem.unwrap_or_default()), addresses: HashMap::new() }
    }

    /// Connects to `addr` for `host`, whatever port the URL names.
    pub fn resolve(mut self, host: &str, addr: SocketAddr) -> Self {
        self.addresses.insert(host.to_owned(), addr);
        self
    }

    /// Sends `request`, whose URI is absolute. Dropping the response's body closes the connection.
    ///
    /// # Errors
    /// When the server cannot be reached, is not trusted or breaks the connection.
    pub async fn send<B>(&self, mut request: Request<B>) -> io::Result<Response<Incoming>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let uri = request.uri().clone();
        let (host, https) = (uri.host().unwrap_or_default(), uri.scheme_str() == Some("https"));
        if !request.headers().contains_key(HOST) {
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            request.headers_mut().insert(HOST, HeaderValue::from_str(authority).map_err(io::Error::other)?);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>().map_err(io::Error::other)?;

        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let stream = match self.addresses.get(host) {
            Some(addr) => TcpStream::connect(addr).await?,
            None => TcpStream::connect((host.trim_matches(['[', ']']), port)).await?,
        };
        stream.set_nodelay(true)?;
        if https {
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    }
}

async fn exchange<S, B>(stream: S, request: Request<B>) -> io::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with the response's body.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(io::Error::other)
}
