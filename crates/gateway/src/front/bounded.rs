use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A request body that ends with an error once it is longer than it may be.
pub(crate) struct Bounded {
    body: Incoming,
    left: u64,
    exceeded: Option<Arc<AtomicBool>>,
}

/// Set once a body turned out to be too long; nothing for a body whose length was known to be right beforehand.
pub(crate) struct Exceeded(Option<Arc<AtomicBool>>);

/// The request body is too long.
#[derive(Debug, thiserror::Error)]
#[error("the request body is longer than allowed")]
pub(crate) struct TooLong;

impl Exceeded {
    pub(super) fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|exceeded| exceeded.load(Ordering::Relaxed))
    }
}

impl Bounded {
    /// # Errors
    /// When the announced length is already too much.
    pub(super) fn new(body: Incoming, limit: u64) -> Result<(Self, Exceeded), TooLong> {
        let hint = body.size_hint();
        if hint.lower() > limit {
            return Err(TooLong);
        }
        let exceeded = hint.exact().is_none().then(Arc::<AtomicBool>::default);
        Ok((Self { body, left: limit, exceeded: exceeded.clone() }, Exceeded(exceeded)))
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                if let Some(exceeded) = &self.exceeded {
                    exceeded.store(true, Ordering::Relaxed);
                }
                return Poll::Ready(Some(Err(TooLong.into())));
            };
            self.left = left;
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
