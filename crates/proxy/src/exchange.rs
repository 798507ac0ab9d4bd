//! One attempt: request out, head of the response in, within the deadline.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use thv_egress::target::{TargetClient, TargetError};
use tokio::time::timeout;

use crate::body::{Passage, RequestBody};
use crate::respond::Failure;

/// Why an attempt gave no response.
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    pub(crate) cause: Option<TargetError>,
}

/// Sends a request and waits for the head of the response. The deadline, if there is one, counts from the last piece of the request's body,
/// so that a long upload is not cut off.
pub(crate) async fn exchange<B>(
    client: &TargetClient<RequestBody<B>>,
    request: Request<RequestBody<B>>,
    passage: &Passage,
    deadline: Option<Duration>,
) -> Result<Response<Incoming>, Failed>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let mut sending = pin!(client.send(request));
    let Some(deadline) = deadline else { return sending.await.map_err(Failed::from) };
    let mut passed = passage.frames();
    loop {
        match timeout(deadline, sending.as_mut()).await {
            Ok(outcome) => return outcome.map_err(Failed::from),
            Err(_) if passage.frames() != passed => passed = passage.frames(),
            Err(_) => return Err(Failed { failure: Failure::ResponseTimeout, cause: None }),
        }
    }
}

impl From<TargetError> for Failed {
    fn from(error: TargetError) -> Self {
        let is_timeout = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        let failure = match &error {
            TargetError::Connect { source } if cause(source).is_some_and(is_timeout) => {
                Failure::ConnectTimeout
            }
            TargetError::Connect { .. } => Failure::Unreachable,
            // The one thing that we do to an exchange is to feed it the client's body.
            TargetError::Exchange { source } if cause(source).is_some_and(hyper::Error::is_user) => {
                Failure::RequestBrokenOff
            }
            TargetError::Exchange { .. } => Failure::BrokenOff,
        };
        Self { failure, cause: Some(error) }
    }
}

/// The first cause of this type.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    thv_telemetry::causes(error).find_map(|cause| cause.downcast_ref())
}
