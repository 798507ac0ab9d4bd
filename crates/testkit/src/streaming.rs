//! Bodies that a test writes piece by piece.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;

/// A body of any kind; an error breaks the connection.
pub type AnyBody = BoxBody<Bytes, io::Error>;

/// A body that is complete from the start.
pub fn full(body: impl Into<Bytes>) -> AnyBody {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

/// A body whose pieces are sent one by one; it ends when the writer is dropped.
pub fn channel() -> (BodyWriter, AnyBody) {
    let (sender, receiver) = mpsc::channel(1);
    (BodyWriter(sender), ChannelBody(receiver).boxed())
}

/// The writing end of [`channel`].
pub struct BodyWriter(mpsc::Sender<io::Result<Bytes>>);

impl BodyWriter {
    /// Sends `piece`; false when the reader has gone.
    pub async fn send(&self, piece: impl Into<Bytes>) -> bool {
        self.0.send(Ok(piece.into())).await.is_ok()
    }

    /// Breaks the connection in the middle of the body.
    pub async fn fail(self) {
        let _ = self.0.send(Err(io::Error::other("the test broke the body"))).await;
    }

    /// Waits until the reader has gone, as a server sees the other side disconnect.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

struct ChannelBody(mpsc::Receiver<io::Result<Bytes>>);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.0.poll_recv(cx));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}
