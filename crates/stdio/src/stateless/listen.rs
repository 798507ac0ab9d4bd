//! `subscriptions/listen`: streams of change notifications for clients without sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::Response;
use serde::Deserialize;
use thv_mcp::{meta, method};

use crate::body::{self, BridgeBody};
use crate::connection::Connection;
use crate::deliver::{self, Answered};
use crate::edit::{self, Meta};
use crate::exchange::Event;
use crate::handshake::Notices;
use crate::head::Accept;
use crate::hub::Hub;
use crate::jsonrpc::{self, Id};
use crate::lock::lock;
use crate::queue::{Sender, queue};
use crate::sse;
use crate::stateless::{StatelessRequest, invalid_params, subscription_meta};
use crate::subscriptions::resource;

/// The notifications that a client wants, or is to get.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Filter {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: Vec<String>,
}

impl Filter {
    fn read(params: Option<&str>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params {
            notifications: Filter,
        }
        serde_json::from_str::<Params>(params?).ok().map(|params| params.notifications)
    }

    /// What the server offers of it.
    fn honoured(mut self, offered: Notices) -> Self {
        self.tools_list_changed &= offered.tools;
        self.prompts_list_changed &= offered.prompts;
        self.resources_list_changed &= offered.resources;
        if !offered.updates {
            self.resource_subscriptions.clear();
        }
        self
    }

    const fn notices(&self) -> Notices {
        Notices {
            tools: self.tools_list_changed,
            prompts: self.prompts_list_changed,
            resources: self.resources_list_changed,
            updates: !self.resource_subscriptions.is_empty(),
        }
    }

    fn to_json(&self) -> String {
        let lists = [
            ("toolsListChanged", self.tools_list_changed),
            ("promptsListChanged", self.prompts_list_changed),
            ("resourcesListChanged", self.resources_list_changed),
        ];
        let uris: Vec<String> = self.resource_subscriptions.iter().map(|uri| jsonrpc::string(uri)).collect();
        let uris = (!uris.is_empty()).then(|| format!("[{}]", uris.join(",")));
        let lists = lists.into_iter().filter(|(_, told)| *told).map(|(name, _)| (name, "true"));
        edit::object(lists.chain(uris.as_deref().map(|uris| ("resourceSubscriptions", uris))))
    }
}

/// All open streams, by their keys as subscribers.
pub(crate) struct Listeners {
    open: Mutex<HashMap<u64, Listener>>,
    limit: usize,
}

struct Listener {
    id: Id,
    notices: Notices,
    stream: Sender<Event>,
}

impl Listeners {
    pub(crate) fn new(limit: usize) -> Self {
        Self { open: Mutex::default(), limit }
    }

    fn insert(&self, key: u64, listener: Listener) -> bool {
        let mut open = lock(&self.open);
        let has_room = open.len() < self.limit;
        if has_room {
            open.insert(key, listener);
        }
        has_room
    }

    /// Sends a notification to those that `wanted` lets pass. Who does not read them, loses the stream.
    pub(crate) fn tell(&self, method: &str, params: Option<&str>, wanted: impl Fn(u64, Notices) -> bool) {
        lock(&self.open).retain(|key, listener| {
            if !wanted(*key, listener.notices) {
                return true;
            }
            let read = sse::push(&listener.stream, &stamped(method, params, &listener.id));
            if !read {
                listener.stream.close();
            }
            read
        });
    }

    /// Ends all streams, with the result that says so.
    pub(crate) fn end_all(&self) {
        let open = std::mem::take(&mut *lock(&self.open));
        for listener in open.into_values() {
            listener.stream.finish(Event::Frame(sse::frame(&complete(&listener.id))));
        }
    }
}

/// A notification with the subscription that it belongs to.
fn stamped(method: &str, params: Option<&str>, id: &Id) -> Vec<u8> {
    let params = params.unwrap_or("{}");
    let own = Meta::of(Some(params)).ok().and_then(|meta| meta.text());
    let params = match own {
        Some(own) => edit::replace(params, own, &edit::insert(own, [(meta::SUBSCRIPTION_ID, id.as_json())])),
        None => edit::insert(params, [("_meta", subscription_meta(id).as_str())]),
    };
    jsonrpc::notification(method, Some(&params))
}

/// The end of a stream that the server side ends.
fn complete(id: &Id) -> Vec<u8> {
    let result = edit::object([("resultType", "\"complete\""), ("_meta", &subscription_meta(id))]);
    jsonrpc::response(id.as_json(), Ok(result))
}

impl Hub {
    pub(crate) async fn listen(
        self: Arc<Self>,
        connection: &Connection,
        request: StatelessRequest,
        params: Option<&str>,
        accept: Accept,
    ) -> Response<BridgeBody> {
        let Some(wanted) = Filter::read(params) else {
            let error = invalid_params("\"notifications\" is missing or is no filter of notifications");
            return deliver::answer(Err(error), &Answered::Stateless(request), accept);
        };
        let offered = request.initialized.as_ref().map(|initialized| initialized.notices).unwrap_or_default();
        let honoured = wanted.honoured(offered);
        let (stream, receiver) = queue(self.bounds());
        let acknowledged = edit::object([("notifications", honoured.to_json().as_str())]);
        sse::push(&stream, &stamped(method::SUBSCRIPTIONS_ACKNOWLEDGED, Some(&acknowledged), &request.id));
        let notices = honoured.notices();
        if notices == Notices::default() {
            stream.finish(Event::Frame(sse::frame(&complete(&request.id))));
        }
        let listening = Listening { key: self.sessions.next_key(), hub: Arc::clone(&self) };
        let listener = Listener { id: request.id.clone(), notices, stream };
        if !self.listeners.insert(listening.key, listener) {
            return deliver::error("there are too many subscriptions", &Answered::Stateless(request), accept);
        }
        for uri in &honoured.resource_subscriptions {
            let _in_order = self.subscriptions.order.lock().await;
            if self.subscriptions.add(uri, listening.key).is_err() {
                return deliver::error(
                    "there are too many subscriptions",
                    &Answered::Stateless(request),
                    accept,
                );
            }
            // When the server has gone, the next one is told.
            let _ = self.tell(connection, method::RESOURCES_SUBSCRIBE, &resource(uri)).await;
        }
        body::notifications(receiver, self.options.keep_alive, listening)
    }
}

/// An open stream, as long as its response's body lives.
struct Listening {
    key: u64,
    hub: Arc<Hub>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        lock(&self.hub.listeners.open).remove(&self.key);
        self.hub.unsubscribe_all(self.key);
    }
}

#[cfg(test)]
mod tests {
    use crate::jsonrpc::Message;

    use super::*;

    #[test]
    fn notifications_are_stamped_with_their_subscription() {
        let Message::Request { id, .. } =
            Message::parse(br#"{"jsonrpc":"2.0","id":"s","method":"m"}"#).unwrap()
        else {
            panic!("it is a request");
        };
        let text = |params| String::from_utf8(stamped("n", params, &id)).unwrap();
        let stamp = r#""io.modelcontextprotocol/subscriptionId":"s""#;
        assert_eq!(
            text(None),
            format!(r#"{{"jsonrpc":"2.0","method":"n","params":{{"_meta":{{{stamp}}}}}}}"#)
        );
        assert_eq!(
            text(Some(r#"{"uri":"u","_meta":{"a":1}}"#)),
            format!(r#"{{"jsonrpc":"2.0","method":"n","params":{{"uri":"u","_meta":{{{stamp},"a":1}}}}}}"#)
        );
    }

    #[test]
    fn only_what_the_server_offers_is_honoured() {
        let params = r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a\"b"]}}"#;
        let honoured = |offered| Filter::read(Some(params)).unwrap().honoured(offered).to_json();
        let all = Notices { tools: true, prompts: true, resources: true, updates: true };
        assert_eq!(
            honoured(all),
            r#"{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a\"b"]}"#
        );
        assert_eq!(honoured(Notices { tools: true, ..Notices::default() }), r#"{"toolsListChanged":true}"#);
        assert!(Filter::read(Some("{}")).is_none() && Filter::read(None).is_none());
    }
}
