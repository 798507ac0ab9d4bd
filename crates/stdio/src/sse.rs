//! Server-sent events.

use bytes::Bytes;

use crate::exchange::Event;
use crate::queue::Sender;

/// Keeps a silent stream open.
pub(crate) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// A message as one event.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(message.len() + 24);
    frame.extend_from_slice(b"event: message\ndata: ");
    // Line ends are white space between tokens of JSON, and would end the event's line.
    frame.extend(message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    frame.extend_from_slice(b"\n\n");
    Bytes::from(frame)
}

/// Sends a message on a stream; false when its client does not get it.
pub(crate) fn push(stream: &Sender<Event>, message: &[u8]) -> bool {
    push_frame(stream, frame(message))
}

/// Sends an event on a stream; false when its client does not get it.
pub(crate) fn push_frame(stream: &Sender<Event>, frame: Bytes) -> bool {
    let length = frame.len();
    stream.push(Event::Frame(frame), length).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_event_whatever_white_space_it_has() {
        assert_eq!(frame(b"{\r\"a\":\n1}"), "event: message\ndata: { \"a\": 1}\n\n");
    }
}
