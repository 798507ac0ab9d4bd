//! Bodies on their way through: passed on frame by frame, never waited for.

use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

/// The body of a response: the backend's own, or ours.
pub type ResponseBody = Either<Incoming, Full<Bytes>>;

/// The body of a request to the backend: the client's own, or a kept copy of it.
pub type RequestBody<B> = Either<Passing<B>, Full<Bytes>>;

/// A client's body that notes what passes.
pub struct Passing<B> {
    body: B,
    passage: Arc<Passage>,
}

/// What has passed of a client's body.
#[derive(Default)]
pub struct Passage {
    frames: AtomicU64,
    kept: Option<Mutex<Kept>>,
}

struct Kept {
    expected: u64,
    chunks: Vec<Bytes>,
}

impl Passage {
    /// A passage that also keeps the body, if it is of known length and not longer than `longest` bytes. Chunks are shared,
    /// not copied.
    pub fn keeping<B: Body>(body: &B, longest: u64) -> Self {
        let kept = body.size_hint().exact().filter(|&length| length <= longest);
        let kept = kept.map(|expected| Mutex::new(Kept { expected, chunks: Vec::new() }));
        Self { frames: AtomicU64::new(0), kept }
    }

    /// Whether the body is being kept.
    pub fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    /// How many frames have passed so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// The whole body, if it was kept and has passed entirely.
    pub fn replay(&self) -> Option<Full<Bytes>> {
        let kept = self.kept.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let mut whole = BytesMut::new();
        kept.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        (u64::try_from(whole.len()) == Ok(kept.expected)).then(|| Full::new(whole.freeze()))
    }

    fn note(&self, frame: &Frame<Bytes>) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        if let (Some(kept), Some(chunk)) = (&self.kept, frame.data_ref()) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).chunks.push(chunk.clone());
        }
    }
}

impl<B> Passing<B> {
    /// A body whose passage is noted in `passage`.
    pub fn new(body: B, passage: Arc<Passage>) -> Self {
        Self { body, passage }
    }
}

impl<B> Body for Passing<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.passage.note(frame);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_short_body_is_replayed_only_when_all_of_it_has_passed() {
        let body = Full::new(Bytes::from_static(b"hello"));
        let passage = Arc::new(Passage::keeping(&body, 64));
        assert!(passage.replay().is_none());
        let passed = Passing::new(body, passage.clone()).collect().await.unwrap().to_bytes();
        let replayed = passage.replay().unwrap().collect().await.unwrap().to_bytes();
        assert_eq!((passed, passage.frames()), (replayed, 1));
    }

    #[tokio::test]
    async fn a_long_body_is_not_kept() {
        for (length, kept) in [(64, true), (65, false)] {
            let body = Full::new(Bytes::from(vec![7; length]));
            let passage = Arc::new(Passage::keeping(&body, 64));
            Passing::new(body, passage.clone()).collect().await.unwrap();
            assert_eq!(passage.replay().is_some(), kept, "{length}");
        }
    }
}
