//! Bodies of the bridge's responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::timeout;

use crate::exchange::Event;
use crate::queue::Receiver;
use crate::sse;

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A message, nothing at all, or a stream of events. Dropping it cancels the request that it answers.
pub struct BridgeBody(Kind);

enum Kind {
    Whole(Full<Bytes>),
    Events(BoxStream<'static, Bytes>),
}

impl Body for BridgeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().0 {
            Kind::Whole(body) => Pin::new(body).poll_frame(cx),
            Kind::Events(events) => {
                events.poll_next_unpin(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<BridgeBody> {
    with_status(status, Kind::Whole(Full::default()))
}

/// A response that is one JSON message.
pub(crate) fn json(status: StatusCode, message: Vec<u8>) -> Response<BridgeBody> {
    let mut response = with_status(status, Kind::Whole(Full::from(message)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response that is a stream of events.
pub(crate) fn events(stream: impl Stream<Item = Bytes> + Send + 'static) -> Response<BridgeBody> {
    let mut response = with_status(StatusCode::OK, Kind::Events(stream.boxed()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The events of a stream that belongs to no request. `guard` is dropped with the body.
pub(crate) fn notifications<G: Send + 'static>(
    queue: Receiver<Event>,
    keep_alive: Duration,
    guard: G,
) -> Response<BridgeBody> {
    events(futures_util::stream::unfold((queue, guard), move |(mut queue, guard)| async move {
        let frame = match timeout(keep_alive, queue.next()).await {
            Ok(Some(Event::Frame(frame))) => frame,
            Ok(_) => return None,
            Err(_) => sse::COMMENT,
        };
        Some((frame, (queue, guard)))
    }))
}

fn with_status(status: StatusCode, kind: Kind) -> Response<BridgeBody> {
    let mut response = Response::new(BridgeBody(kind));
    *response.status_mut() = status;
    response
}
