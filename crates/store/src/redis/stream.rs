//! Byte streams to a server: TCP or TLS, and writes that do not hang.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsConnector;

use super::settings::Endpoint;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection whose writes fail when the other side takes nothing for a while.
pub(super) struct Stream {
    inner: Box<dyn Duplex>,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Whether those who are ready to write had their turn before this write.
    gathered: bool,
}

impl Stream {
    /// Connects. The caller bounds how long it takes.
    pub(super) async fn open(
        endpoint: &Endpoint,
        tls: Option<&TlsConnector>,
        write_timeout: Duration,
    ) -> io::Result<Self> {
        let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        tcp.set_nodelay(true)?;
        let inner: Box<dyn Duplex> = match tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
                Box::new(tls.connect(name, tcp).await?)
            }
        };
        Ok(Self { inner, write_timeout, stalled: None, gathered: false })
    }

    /// Passes on what a write said, or the error when it has made no progress for too long.
    fn unless_stalled<T>(
        &mut self,
        progress: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.stalled = None;
            return progress;
        }
        let limit = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // The runtime would run us right after the first request that wakes us. One turn later the other requests that are
        // ready have written theirs, too, and one system call sends them all.
        if !std::mem::replace(&mut self.gathered, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let progress = Pin::new(&mut self.inner).poll_write(cx, buf);
        if progress.is_ready() {
            self.gathered = false;
        }
        self.unless_stalled(progress, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.inner).poll_flush(cx);
        self.unless_stalled(progress, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_write_that_nobody_takes_fails() {
        let (near, _far) = tokio::io::duplex(16);
        let limit = Duration::from_millis(20);
        let mut stream =
            Stream { inner: Box::new(near), write_timeout: limit, stalled: None, gathered: false };
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
