//! Sessions of clients that opened one by `initialize` (revisions up to 2025-11-25).

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thv_clock::{SharedClock, Timestamp};
use thv_jose::random;
use tokio_util::sync::CancellationToken;

use crate::exchange::Event;
use crate::lock::lock;
use crate::queue::Sender;

/// What a client can be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capabilities(Arc<BTreeSet<String>>);

impl Capabilities {
    /// Reads them from a `ClientCapabilities` object.
    pub(crate) fn of(object: Option<&str>) -> Self {
        let members: HashMap<String, Option<IgnoredAny>> =
            object.and_then(|object| serde_json::from_str(object).ok()).unwrap_or_default();
        Self(Arc::new(
            members.into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect(),
        ))
    }

    /// Reads them from the parameters of `initialize`.
    pub(crate) fn of_initialize(params: &str) -> Self {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow)]
            capabilities: Option<&'a serde_json::value::RawValue>,
        }
        let params: Option<Params<'_>> = serde_json::from_str(params).ok();
        Self::of(params.and_then(|params| params.capabilities).map(serde_json::value::RawValue::get))
    }

    /// Whether the client answers a server's request of this method. A capability is named like the first half of its
    /// methods: `sampling` stands for `sampling/createMessage`.
    pub(crate) fn answer(&self, method: &str) -> bool {
        method.split_once('/').is_some_and(|(capability, _)| self.0.contains(capability))
    }
}

/// One client's session.
pub(crate) struct Session {
    /// Tells it from all other clients of this bridge, past ones too.
    pub(crate) key: u64,
    /// What the client knows it by.
    pub(crate) id: String,
    pub(crate) capabilities: Capabilities,
    /// Cancelled when the session ends.
    pub(crate) ended: CancellationToken,
    /// The stream that the client opened by GET.
    stream: Mutex<Option<Sender<Event>>>,
    activity: Mutex<Activity>,
}

#[derive(Clone, Copy)]
struct Activity {
    /// Requests and streams in progress.
    busy: usize,
    /// When the last one began or ended.
    last: Timestamp,
}

impl Session {
    /// The client's stream for what belongs to no request.
    pub(crate) fn stream(&self) -> Option<Sender<Event>> {
        lock(&self.stream).clone()
    }

    /// Makes `stream` the client's, and ends the one that it had before.
    pub(crate) fn set_stream(&self, stream: Sender<Event>) {
        if let Some(before) = lock(&self.stream).replace(stream) {
            before.close();
        }
    }

    /// Ends this stream if it is still the client's.
    pub(crate) fn drop_stream(&self, stream: &Sender<Event>) {
        lock(&self.stream).take_if(|current| current.is(stream));
        stream.close();
    }

    /// When the client was last heard of.
    pub(crate) fn last_active(&self) -> Timestamp {
        lock(&self.activity).last
    }

    fn is_idle(&self) -> bool {
        lock(&self.activity).busy == 0
    }
}

/// Keeps a session from being taken for idle.
pub(crate) struct Busy {
    session: Arc<Session>,
    clock: SharedClock,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut activity = lock(&self.session.activity);
        activity.busy = activity.busy.saturating_sub(1);
        activity.last = self.clock.now();
    }
}

/// There are as many sessions as there may be, and none of them is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManySessions;

/// All sessions.
pub(crate) struct Sessions {
    by_id: Mutex<HashMap<String, Arc<Session>>>,
    keys: AtomicU64,
    clock: SharedClock,
    limit: usize,
    idle: Duration,
}

impl Sessions {
    pub(crate) fn new(clock: SharedClock, limit: usize, idle: Duration) -> Self {
        Self { by_id: Mutex::default(), keys: AtomicU64::new(1), clock, limit, idle }
    }

    /// A key that no client has had.
    pub(crate) fn next_key(&self) -> u64 {
        self.keys.fetch_add(1, Ordering::Relaxed)
    }

    /// A new session, and those that ended to make room for it.
    ///
    /// # Errors
    ///
    /// [`TooManySessions`].
    pub(crate) fn open(
        &self,
        capabilities: Capabilities,
    ) -> Result<(Arc<Session>, Vec<Arc<Session>>), TooManySessions> {
        let now = self.clock.now();
        let mut by_id = lock(&self.by_id);
        let mut ended: Vec<Arc<Session>> = by_id
            .extract_if(|_, session| self.has_expired(session, now))
            .map(|(_, session)| session)
            .collect();
        if by_id.len() >= self.limit {
            let idle = by_id.values().filter(|session| session.is_idle());
            let oldest = idle.min_by_key(|session| session.last_active()).cloned().ok_or(TooManySessions)?;
            by_id.remove(&oldest.id);
            ended.push(oldest);
        }
        let session = Arc::new(Session {
            key: self.next_key(),
            id: random::token(),
            capabilities,
            ended: CancellationToken::new(),
            stream: Mutex::default(),
            activity: Mutex::new(Activity { busy: 0, last: now }),
        });
        by_id.insert(session.id.clone(), Arc::clone(&session));
        Ok((session, ended))
    }

    /// The session with this id, kept from being idle as long as the second value lives.
    pub(crate) fn enter(&self, id: &str) -> Option<(Arc<Session>, Busy)> {
        let now = self.clock.now();
        let session = lock(&self.by_id).get(id).filter(|session| !self.has_expired(session, now)).cloned()?;
        {
            let mut activity = lock(&session.activity);
            activity.busy += 1;
            activity.last = now;
        }
        let busy = Busy { session: Arc::clone(&session), clock: Arc::clone(&self.clock) };
        Some((session, busy))
    }

    /// Takes a session out.
    pub(crate) fn remove(&self, id: &str) -> Option<Arc<Session>> {
        lock(&self.by_id).remove(id)
    }

    /// All of them, the last active first.
    pub(crate) fn by_activity(&self) -> Vec<Arc<Session>> {
        let mut sessions: Vec<Arc<Session>> = lock(&self.by_id).values().cloned().collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.last_active()));
        sessions
    }

    /// The open streams of those whose key `wanted` lets pass.
    pub(crate) fn streams(&self, wanted: impl Fn(u64) -> bool) -> Vec<(Arc<Session>, Sender<Event>)> {
        let by_id = lock(&self.by_id);
        let sessions = by_id.values().filter(|session| wanted(session.key));
        sessions.filter_map(|session| Some((Arc::clone(session), session.stream()?))).collect()
    }

    fn has_expired(&self, session: &Session, now: Timestamp) -> bool {
        session.is_idle() && now.since(session.last_active()) >= self.idle
    }
}

#[cfg(test)]
mod tests {
    use thv_clock::ManualClock;

    use super::*;

    const IDLE: Duration = Duration::from_secs(1800);

    fn sessions(limit: usize) -> (Sessions, ManualClock) {
        let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
        (Sessions::new(clock.shared(), limit, IDLE), clock)
    }

    fn open(sessions: &Sessions) -> (String, Vec<String>) {
        let (session, ended) = sessions.open(Capabilities::default()).unwrap();
        (session.id.clone(), ended.iter().map(|session| session.id.clone()).collect())
    }

    #[test]
    fn a_session_expires_when_it_was_idle_for_too_long() {
        let (sessions, clock) = sessions(10);
        let (id, _) = open(&sessions);
        clock.advance(IDLE - Duration::from_secs(1));
        let (_, busy) = sessions.enter(&id).unwrap();
        clock.advance(IDLE * 2);
        assert!(sessions.enter(&id).is_some(), "it is not idle");
        drop(busy);
        clock.advance(IDLE);
        assert!(sessions.enter(&id).is_none());
        assert_eq!(open(&sessions).1, [id]);
    }

    #[test]
    fn the_session_that_was_idle_longest_makes_room() {
        let (sessions, clock) = sessions(3);
        let ids: Vec<String> = (0..3)
            .map(|_| {
                clock.advance(Duration::from_secs(1));
                open(&sessions).0
            })
            .collect();
        let (_, first_is_busy) = sessions.enter(&ids[0]).unwrap();
        let (fourth, ended) = open(&sessions);
        assert_eq!(ended, [ids[1].clone()]);
        let _busy = [&ids[2], &fourth].map(|id| sessions.enter(id).unwrap());
        assert_eq!(sessions.open(Capabilities::default()).err(), Some(TooManySessions));
        drop(first_is_busy);
        assert_eq!(open(&sessions).1, [ids[0].clone()]);
    }

    #[test]
    fn capabilities_are_the_members_that_are_not_null() {
        let params = r#"{"capabilities":{"sampling":{},"roots":{"listChanged":true},"elicitation":null}}"#;
        let capabilities = Capabilities::of_initialize(params);
        assert!(capabilities.answer("sampling/createMessage") && capabilities.answer("roots/list"));
        assert!(!capabilities.answer("elicitation/create") && !capabilities.answer("sampling"));
        assert!(!Capabilities::of_initialize("{}").answer("roots/list"));
    }
}
