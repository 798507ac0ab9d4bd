use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

/// The open streams of one HTTP/2 connection. A peer that answers pings would keep a connection without any for ever.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Counts>);

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    /// Whether one was opened or closed since somebody last looked.
    changed: AtomicBool,
}

/// One open stream, from the request's head to the last frame of the response.
pub(super) struct Stream(Streams);

impl Streams {
    pub(super) fn open(&self) -> Stream {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.changed.store(true, Ordering::Relaxed);
        Stream(self.clone())
    }

    /// Whether none is open, and none was since this was last asked.
    pub(super) fn were_idle(&self) -> bool {
        let changed = self.0.changed.swap(false, Ordering::Relaxed);
        !changed && self.0.open.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Counts { open, changed } = &*self.0.0;
        changed.store(true, Ordering::Relaxed);
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response's body that holds its stream open; none on HTTP/1.
pub(super) struct Streaming<B> {
    pub(super) body: B,
    pub(super) _stream: Option<Stream>,
}

impl<B: Body + Unpin> Body for Streaming<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
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

    #[test]
    fn a_connection_is_idle_when_nothing_was_open_since_the_last_look() {
        let streams = Streams::default();
        assert!(streams.were_idle());
        let one = streams.open();
        drop(streams.open());
        assert!(!streams.were_idle());
        assert!(!streams.were_idle(), "one is open");
        drop(one);
        assert!(!streams.were_idle(), "one was open a moment ago");
        assert!(streams.were_idle());
    }
}
