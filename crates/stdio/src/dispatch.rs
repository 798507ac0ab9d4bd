//! What comes out of the server: to whom each message goes.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use thv_mcp::method;
use tokio::io::AsyncRead;

use crate::connection::Connection;
use crate::edit;
use crate::hub::Hub;
use crate::jsonrpc::{self, Malformed, Message};
use crate::lines::{Line, Lines};
use crate::sse;
use crate::subscriptions::uri;

/// How much of a line that is no message is logged, in bytes.
const LOGGED: usize = 200;

impl Hub {
    /// Reads the server's output until it ends or the connection is closed.
    pub(crate) async fn read_output(
        self: Arc<Self>,
        connection: Arc<Connection>,
        output: impl AsyncRead + Unpin,
    ) {
        let mut lines = Lines::new(output, self.options.limits.message);
        loop {
            let line = tokio::select! {
                biased;
                () = connection.closed() => break,
                line = lines.next() => line,
            };
            match line {
                Ok(Some(Line::Whole(line))) => self.dispatch(&connection, &line),
                Ok(Some(Line::TooLong { head, tail, length })) => {
                    drop_overlong(&connection, &head, &tail, length);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(pid = connection.pid, %error, "the MCP server's output cannot be read");
                    break;
                }
            }
        }
        connection.output_ended.cancel();
    }

    fn dispatch(self: &Arc<Self>, connection: &Arc<Connection>, line: &Bytes) {
        match Message::parse(line) {
            Err(Malformed::Batch) => {
                for message in jsonrpc::batch(line).unwrap_or_default() {
                    let message = line.slice_ref(message.get().as_bytes());
                    self.dispatch_one(connection, &message, Message::parse(&message));
                }
            }
            message => self.dispatch_one(connection, line, message),
        }
    }

    fn dispatch_one(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        line: &Bytes,
        message: Result<Message<'_>, Malformed>,
    ) {
        match message {
            Ok(Message::Response { id, outcome }) => {
                let cut_out = |part: &str| line.slice_ref(part.as_bytes());
                let outcome = outcome.map(cut_out).map_err(cut_out);
                if !id.as_u64().is_some_and(|id| connection.exchanges.finish(id, outcome)) {
                    tracing::trace!(?id, "a response to no request in progress");
                }
            }
            Ok(Message::Request { id, method, .. }) if method == method::PING => {
                connection.send_urgent(jsonrpc::response(id.as_json(), Ok("{}")));
            }
            Ok(Message::Request { id, method, params }) => self.relay(connection, id, method, params),
            Ok(Message::Notification { method, params }) => self.notify(connection, &method, params),
            Err(error) if line.iter().any(|byte| !byte.is_ascii_whitespace()) => {
                let shown = String::from_utf8_lossy(line.get(..LOGGED).unwrap_or(line));
                tracing::debug!(pid = connection.pid, %error, line = %shown, "skipped a line of the MCP server's output");
            }
            Err(_) => {}
        }
    }

    fn notify(&self, connection: &Connection, method: &str, params: Option<&str>) {
        match method {
            method::PROGRESS => tell_progress(connection, params),
            method::CANCELLED => {
                if let Some((id, reason)) = withdrawn(params) {
                    let reason = reason.unwrap_or_else(|| "the server withdrew its request".to_owned());
                    connection.server_requests.withdrawn(&id, &reason);
                }
            }
            _ => self.broadcast(method, params),
        }
    }

    /// Sends a notification to everybody whom it concerns.
    pub(crate) fn broadcast(&self, method: &str, params: Option<&str>) {
        let streams = if method == method::RESOURCES_UPDATED {
            let Some(uri) = uri(params) else { return };
            let subscribers = self.subscriptions.subscribers(&uri);
            self.listeners.tell(method, params, |key, _| subscribers.contains(&key));
            self.sessions.streams(|key| subscribers.contains(&key))
        } else {
            self.listeners
                .tell(method, params, |_, notices| notices.list_changed().any(|told| told == method));
            self.sessions.streams(|_| true)
        };
        if streams.is_empty() {
            return;
        }
        let frame = sse::frame(&jsonrpc::notification(method, params));
        for (session, stream) in streams {
            if !sse::push_frame(&stream, frame.clone()) {
                tracing::info!("a client does not read its notifications: its stream is closed");
                session.drop_stream(&stream);
            }
        }
    }
}

/// Progress goes to the client whose request it is about. When that client reads too slowly, it misses some.
fn tell_progress(connection: &Connection, params: Option<&str>) {
    #[derive(Deserialize)]
    struct Progress<'a> {
        #[serde(borrow, rename = "progressToken")]
        token: &'a RawValue,
    }
    let Some(params) = params else { return };
    let Ok(Progress { token }) = serde_json::from_str(params) else { return };
    let pending = token.get().parse().ok().and_then(|id| connection.exchanges.get(id));
    if let Some((pending, own)) =
        pending.and_then(|pending| pending.progress_token().map(|own| (pending, own)))
    {
        let params = edit::replace(params, token.get(), &own);
        sse::push(&pending.events, &jsonrpc::notification(method::PROGRESS, Some(&params)));
    }
}

/// The request that a `notifications/cancelled` is about, as JSON, and the reason.
pub(crate) fn withdrawn(params: Option<&str>) -> Option<(String, Option<String>)> {
    #[derive(Deserialize)]
    struct Cancelled<'a> {
        #[serde(borrow, rename = "requestId")]
        id: &'a RawValue,
        reason: Option<String>,
    }
    let cancelled: Cancelled<'_> = serde_json::from_str(params?).ok()?;
    Some((cancelled.id.get().to_owned(), cancelled.reason))
}

/// An overlong message is dropped. If it is the response to a request, that request's client is told so: the id stands near
/// the beginning or near the end.
fn drop_overlong(connection: &Connection, head: &[u8], tail: &[u8], length: usize) {
    tracing::warn!(pid = connection.pid, length, "dropped a message of the MCP server that is too long");
    let error = jsonrpc::internal_error("the MCP server's response is too long for this bridge");
    let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
    for id in [id_at_the_beginning(&head), id_at_the_end(&tail)].into_iter().flatten() {
        if connection.exchanges.finish(id, Err(error.clone().into())) {
            return;
        }
    }
}

/// The id of a message that begins so, unless it comes after another object.
fn id_at_the_beginning(head: &str) -> Option<u64> {
    let (before, after) = head.split_once("\"id\"")?;
    if before.matches(['{', '[']).count() != 1 {
        return None;
    }
    let number = after.trim_start().strip_prefix(':')?.trim_start();
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The id of a message that ends so, unless another object comes after it.
fn id_at_the_end(tail: &str) -> Option<u64> {
    let (_, after) = tail.rsplit_once("\"id\"")?;
    let number = after.trim_start().strip_prefix(':')?.trim_start();
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_last = rest.matches(['}', ']']).count() == 1;
    number.get(..number.len() - rest.len()).filter(|_| is_last)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_overlong_message_is_found_at_either_end() {
        let table = [
            (r#"{"jsonrpc":"2.0","id":17,"result":{"content":[{"id":3"#, Some(17)),
            (r#"{ "id" : 18 , "result""#, Some(18)),
            (r#"{"result":{"id":3,"content":""#, None),
            (r#"{"jsonrpc":"2.0","id":"x","result""#, None),
        ];
        for (head, id) in table {
            assert_eq!(id_at_the_beginning(head), id, "{head}");
        }
        let table = [
            (r#"yyy"}]},"jsonrpc": "2.0", "id" : 18 }"#, Some(18)),
            (r#"yyy"}]},"id":19,"jsonrpc":"2.0"}"#, Some(19)),
            (r#"yyy","id":3}]},"jsonrpc":"2.0"}"#, None),
            (r#"yyy"}]},"jsonrpc":"2.0","id":"x"}"#, None),
        ];
        for (tail, id) in table {
            assert_eq!(id_at_the_end(tail), id, "{tail}");
        }
    }
}
