//! Which clients want to be told of changes of which resources. The server sees one subscriber: the bridge.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use serde::Deserialize;

use crate::edit;
use crate::jsonrpc;
use crate::lock::lock;

/// Subscribers by the URIs of resources. Subscribers are keys of [`Sessions`](crate::session::Sessions).
pub(crate) struct Subscriptions {
    table: Mutex<Table>,
    limit: usize,
    /// Held while the server is told of a change, so that it is told in the order of the changes.
    pub(crate) order: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Table {
    by_uri: HashMap<String, BTreeSet<u64>>,
    pairs: usize,
}

/// There are as many subscriptions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManySubscriptions;

impl Subscriptions {
    pub(crate) fn new(limit: usize) -> Self {
        Self { table: Mutex::default(), limit, order: tokio::sync::Mutex::default() }
    }

    /// Adds a subscriber.
    ///
    /// # Errors
    ///
    /// [`TooManySubscriptions`].
    pub(crate) fn add(&self, uri: &str, subscriber: u64) -> Result<(), TooManySubscriptions> {
        let mut table = lock(&self.table);
        if table.pairs >= self.limit {
            return Err(TooManySubscriptions);
        }
        let is_new = table.by_uri.entry(uri.to_owned()).or_default().insert(subscriber);
        table.pairs += usize::from(is_new);
        Ok(())
    }

    /// Whether anybody subscribed to just this resource.
    pub(crate) fn has(&self, uri: &str) -> bool {
        lock(&self.table).by_uri.contains_key(uri)
    }

    /// Takes a subscriber off; true when it was the last one of this resource.
    pub(crate) fn remove(&self, uri: &str, subscriber: u64) -> bool {
        let mut table = lock(&self.table);
        let Some(subscribers) = table.by_uri.get_mut(uri) else { return false };
        let (was_there, is_last) = (subscribers.remove(&subscriber), subscribers.is_empty());
        if is_last {
            table.by_uri.remove(uri);
        }
        table.pairs -= usize::from(was_there);
        is_last
    }

    /// Takes a subscriber off all resources, and tells those that it was the last one of.
    pub(crate) fn remove_all(&self, subscriber: u64) -> Vec<String> {
        let uris = self.uris();
        uris.into_iter().filter(|uri| self.remove(uri, subscriber)).collect()
    }

    /// Who subscribed to this resource, or to one that it is a part of.
    pub(crate) fn subscribers(&self, uri: &str) -> BTreeSet<u64> {
        let table = lock(&self.table);
        let of_it = table.by_uri.iter().filter(|(whole, _)| is_part(uri, whole));
        of_it.flat_map(|(_, subscribers)| subscribers).copied().collect()
    }

    /// All resources that somebody subscribed to.
    pub(crate) fn uris(&self) -> Vec<String> {
        lock(&self.table).by_uri.keys().cloned().collect()
    }
}

/// Whether `uri` is `whole`, or lies under it.
fn is_part(uri: &str, whole: &str) -> bool {
    uri.strip_prefix(whole)
        .is_some_and(|rest| rest.is_empty() || whole.ends_with('/') || rest.starts_with(['/', '?', '#']))
}

/// The parameters that name a resource.
pub(crate) fn resource(uri: &str) -> String {
    edit::object([("uri", jsonrpc::string(uri).as_str())])
}

/// The resource that parameters name.
pub(crate) fn uri(params: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    struct Params {
        uri: String,
    }
    params.and_then(|params| serde_json::from_str::<Params>(params).ok()).map(|params| params.uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_subscriber_of_a_resource_is_told_apart() {
        let subscriptions = Subscriptions::new(3);
        for (uri, subscriber) in [("a", 1), ("a", 2), ("a", 2), ("b", 2)] {
            subscriptions.add(uri, subscriber).unwrap();
        }
        assert_eq!(subscriptions.add("c", 1), Err(TooManySubscriptions));
        assert!(!subscriptions.remove("a", 1));
        assert_eq!(subscriptions.subscribers("a"), BTreeSet::from([2]));
        assert!(!subscriptions.remove("a", 1), "it is not there any more");
        let mut last = subscriptions.remove_all(2);
        last.sort();
        assert_eq!(last, ["a", "b"]);
        assert!(subscriptions.uris().is_empty());
        for subscriber in 0..3 {
            subscriptions.add("d", subscriber).unwrap();
        }
    }

    #[test]
    fn who_subscribed_to_a_whole_is_told_of_its_parts() {
        let subscriptions = Subscriptions::new(9);
        for (subscriber, uri) in
            ["file:///a", "file:///a/b", "file:///", "file:///ab"].into_iter().enumerate()
        {
            subscriptions.add(uri, u64::try_from(subscriber).unwrap()).unwrap();
        }
        assert_eq!(subscriptions.subscribers("file:///a"), BTreeSet::from([0, 2]));
        assert_eq!(subscriptions.subscribers("file:///a/b"), BTreeSet::from([0, 1, 2]));
        assert_eq!(subscriptions.subscribers("http://a"), BTreeSet::new());
    }
}
