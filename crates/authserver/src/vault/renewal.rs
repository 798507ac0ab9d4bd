//! One refresh of an upstream's tokens, safe against crashes, other replicas and a store that fails (U11).
//!
//! Before the refresh token is sent, the intent to send it is written into the row; the outcome replaces both in one write
//! and only then is it used. So:
//! - Two replicas never send the same refresh token: the second finds the intent and waits for the outcome.
//! - An outcome that cannot be stored is kept in this process, and storing it is tried until it succeeds, also when another
//!   replica believes it lost by then.
//! - An intent older than [`INTENT_LIFETIME`] means that its process died and the outcome is lost. The refresh token may have
//!   been replaced, so it is not sent again: the access token serves until its end, then the user logs in to that upstream
//!   only. Where the upstream was seen not to replace refresh tokens, it is simply sent again.
//! - A token that a backend refused, and that nothing renews, has ended: otherwise the login that is asked for would find it
//!   still in force and end without a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use thv_clock::Timestamp;
use thv_store::records::{RefreshIntent, SessionId, UpstreamTokens, VaultEntry};
use thv_store::{Event, StoreError, Versioned};
use thv_telemetry::metrics::Outcome as Counted;

use super::{CredentialFailure, Outcome, Shared, TOO_LATE, credential, ends_by, is_same};
use crate::chain::Leg;
use crate::upstream::UpstreamError;

/// What a refresh may take, with everything that it has to ask for.
const REFRESH_DEADLINE: Duration = Duration::from_secs(30);
/// Longer than that, and than the clocks of replicas differ.
const INTENT_LIFETIME: Duration = Duration::from_secs(45);
/// How often the row is looked at while another replica refreshes.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often, and for how long, another replica is waited for.
const LOOKS: u32 = 100;
/// Attempts to store an outcome before those who wait are told that it takes longer.
const STORE_ATTEMPTS: u32 = 4;
/// Pauses between further attempts, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// Outcomes that wait to be stored; beyond it the process would rather lose one than its memory.
const UNSAVED_MAX: usize = 100_000;

/// Why tokens are renewed.
pub(super) enum Cause {
    /// The access token has ended, or is about to.
    Ending,
    /// A backend did not accept this access token.
    Refused(SecretString),
}

/// Outcomes that could not be stored yet.
#[derive(Default)]
pub(super) struct Unsaved(Mutex<HashMap<(SessionId, String), VaultEntry>>);

impl Unsaved {
    fn rows(&self) -> std::sync::MutexGuard<'_, HashMap<(SessionId, String), VaultEntry>> {
        // Each operation makes one change to the map, which a panic cannot leave half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, session: SessionId, entry: VaultEntry) {
        let mut rows = self.rows();
        if rows.len() < UNSAVED_MAX {
            rows.insert((session, entry.tokens.provider.clone()), entry);
        }
    }

    fn get(&self, session: SessionId, provider: &str) -> Option<VaultEntry> {
        self.rows().get(&(session, provider.to_owned())).cloned()
    }

    /// Removes this outcome, not a later one of the same row.
    fn remove(&self, session: SessionId, outcome: &VaultEntry) {
        let mut rows = self.rows();
        let key = (session, outcome.tokens.provider.clone());
        if rows.get(&key).is_some_and(|kept| kept.intent == outcome.intent) {
            rows.remove(&key);
        }
    }
}

/// What became of an outcome.
enum Saved {
    /// It is in the row.
    Kept,
    /// The user logged in meanwhile; those tokens are newer.
    Superseded(UpstreamTokens),
    /// The session is gone.
    SessionEnded,
}

/// One refresh.
pub(super) struct Renewal<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) session: SessionId,
    pub(super) provider: &'a str,
    pub(super) cause: Cause,
}

impl Renewal<'_> {
    pub(super) async fn run(self) -> Outcome {
        let outcome = self.renew().await;
        if let (Cause::Refused(refused), Err(CredentialFailure::LoginNeeded { .. })) = (&self.cause, &outcome)
        {
            self.end(refused).await?;
        }
        outcome
    }

    async fn renew(&self) -> Outcome {
        let shared = self.shared;
        let leg = shared.chain.leg(self.provider).ok_or_else(|| shared.login_needed(self.provider))?;
        if let Some(unsaved) = shared.unsaved.get(self.session, self.provider) {
            store(shared, self.session, &unsaved).await?;
        }
        for _ in 0..LOOKS {
            let now = shared.clock.now();
            let row = shared.stores.upstream_tokens.load(&self.session, self.provider, now).await?;
            let row = row.ok_or_else(|| shared.login_needed(self.provider))?;
            if self.is_renewed(&row.value.tokens, now) {
                return Ok(credential(&row.value.tokens, now));
            }
            match row.value.intent {
                Some(intent) if now.since(intent.at) < INTENT_LIFETIME => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                Some(_) if may_rotate(&row.value) => {
                    if !self.give_up(&row, now).await? {
                        continue;
                    }
                    tracing::warn!(
                        upstream.name = self.provider,
                        "the outcome of a refresh was lost: login needed"
                    );
                    return Err(shared.login_needed(self.provider));
                }
                _ => {}
            }
            if row.value.tokens.refresh_token.is_none() {
                return Err(shared.login_needed(self.provider));
            }
            let intent = RefreshIntent { by: thv_jose::random::bytes(), at: now };
            let announced = VaultEntry { intent: Some(intent), ..(*row.value).clone() };
            match shared.stores.upstream_tokens.replace(&self.session, &row, announced.clone(), now).await {
                Ok(true) => return self.refresh(leg, &row.value, intent).await,
                // Whoever was faster refreshes; we look what came of it.
                Ok(false) => {}
                Err(error) => {
                    // It may be there all the same, and nothing was sent: it must not look like a lost outcome.
                    self.store_later(announced);
                    return Err(error.into());
                }
            }
        }
        Err(unavailable(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "another process is refreshing, or died while it did",
        )))
    }

    /// Whether these tokens are what the caller wants already.
    fn is_renewed(&self, tokens: &UpstreamTokens, now: Timestamp) -> bool {
        match &self.cause {
            Cause::Ending => now < super::renew_at(tokens),
            Cause::Refused(refused) => {
                !is_same(&tokens.access_token, refused) && !ends_by(tokens, now + TOO_LATE)
            }
        }
    }

    async fn refresh(&self, leg: &Leg, entry: &VaultEntry, intent: RefreshIntent) -> Outcome {
        let shared = self.shared;
        let refreshed = tokio::time::timeout(REFRESH_DEADLINE, leg.upstream.refresh(&entry.tokens)).await;
        match refreshed.unwrap_or_else(|elapsed| Err(UpstreamError::Unanswered(elapsed.into()))) {
            Ok(renewed) => {
                shared.metrics.upstream_refresh(Counted::Success);
                let forced = matches!(self.cause, Cause::Refused(_)).then(|| shared.clock.now());
                let forced_at = forced.or(entry.forced_at);
                self.save(VaultEntry { forced_at, ..succeeded(entry, renewed, intent) }).await
            }
            Err(error) => Err(self.failed(leg, entry, intent, error).await?),
        }
    }

    /// Stores an outcome before anybody uses it.
    async fn save(&self, entry: VaultEntry) -> Outcome {
        let shared = self.shared;
        shared.unsaved.keep(self.session, entry.clone());
        let mut pause = FIRST_PAUSE;
        for _ in 0..STORE_ATTEMPTS {
            match store(shared, self.session, &entry).await {
                Ok(saved) => return self.saved(saved, entry).await,
                Err(error) => {
                    tracing::warn!(
                        upstream.name = self.provider,
                        error = thv_telemetry::chain(&error),
                        "renewed upstream tokens cannot be stored yet"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
        self.store_later(entry);
        Err(unavailable(std::io::Error::other("the renewed tokens cannot be stored at the moment")))
    }

    fn store_later(&self, outcome: VaultEntry) {
        self.shared.unsaved.keep(self.session, outcome.clone());
        self.shared.tasks.spawn(keep_trying(Arc::clone(self.shared), self.session, outcome));
    }

    async fn saved(&self, saved: Saved, entry: VaultEntry) -> Outcome {
        let (shared, now) = (self.shared, self.shared.clock.now());
        match saved {
            Saved::Kept => {
                shared.tell_others(self.session).await;
                Ok(credential(&entry.tokens, now))
            }
            Saved::Superseded(tokens) => Ok(credential(&tokens, now)),
            Saved::SessionEnded => Err(shared.login_needed(self.provider)),
        }
    }

    async fn failed(
        &self,
        leg: &Leg,
        entry: &VaultEntry,
        intent: RefreshIntent,
        error: UpstreamError,
    ) -> Result<CredentialFailure, CredentialFailure> {
        let shared = self.shared;
        let refused = matches!(error, UpstreamError::Refused { .. } | UpstreamError::UnknownClient);
        tracing::warn!(
            upstream.name = self.provider,
            session.id = %self.session,
            error = thv_telemetry::chain(&error),
            "upstream refresh failed"
        );
        shared.metrics.upstream_refresh(if refused { Counted::Refused } else { Counted::Failed });
        let forgotten = match (&entry.tokens.client_id, error.is_invalid_client()) {
            (Some(client_id), true) => leg.upstream.replace_registration(client_id).await,
            _ => false,
        };
        // A refresh token is of no use any more when the upstream says so, when the registration that it is bound to is
        // gone, and when it may have been replaced by one that did not reach us.
        let void =
            error.is_invalid_grant() || forgotten || (error.may_have_been_processed() && may_rotate(entry));
        let refresh_token = entry.tokens.refresh_token.clone().filter(|_| !void);
        let tokens = UpstreamTokens { refresh_token, ..entry.tokens.clone() };
        let after = VaultEntry { tokens, intent: Some(intent), ..entry.clone() };
        if let Err(error) = store(shared, self.session, &after).await {
            self.store_later(after);
            return Err(error.into());
        }
        // What is wrong between the upstream and us, no login heals.
        let ours = error.is_invalid_client() && !forgotten;
        Ok(if (refused && !ours) || void { shared.login_needed(self.provider) } else { unavailable(error) })
    }

    /// Takes the refresh token away; `false` when the outcome, or a login, has just come after all.
    async fn give_up(&self, row: &Versioned<VaultEntry>, now: Timestamp) -> Result<bool, StoreError> {
        let tokens = UpstreamTokens { refresh_token: None, ..row.value.tokens.clone() };
        let entry = VaultEntry { tokens, intent: None, ..(*row.value).clone() };
        self.shared.stores.upstream_tokens.replace(&self.session, row, entry, now).await
    }

    /// Lets the access token end now, if it is the `refused` one still.
    async fn end(&self, refused: &SecretString) -> Result<(), StoreError> {
        let (rows, now) = (&self.shared.stores.upstream_tokens, self.shared.clock.now());
        while let Some(row) = rows.load(&self.session, self.provider, now).await? {
            let tokens = &row.value.tokens;
            if !is_same(&tokens.access_token, refused) || ends_by(tokens, now) {
                break;
            }
            let tokens = UpstreamTokens { expires_at: Some(now), ..tokens.clone() };
            let entry = VaultEntry { tokens, ..(*row.value).clone() };
            if rows.replace(&self.session, &row, entry, now).await? {
                self.shared.tell_others(self.session).await;
                break;
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Lets other replicas forget what they keep of a session. What they were told; `None` when it cannot be known whom it
    /// concerns: whoever is not told asks again within a minute.
    pub(super) async fn tell_others(&self, session: SessionId) -> Option<Event> {
        let session = self.stores.sessions.load(&session, self.clock.now()).await.ok().flatten()?;
        let grants = session.value.grants.iter().map(|(grant, _)| *grant).collect();
        let event = Event::UpstreamTokensChanged(grants);
        self.stores.events.publish(&event).await;
        Some(event)
    }
}

/// Whether the upstream may have replaced a refresh token that was sent to it.
fn may_rotate(entry: &VaultEntry) -> bool {
    entry.rotates != Some(false)
}

fn succeeded(entry: &VaultEntry, renewed: UpstreamTokens, intent: RefreshIntent) -> VaultEntry {
    let before = &entry.tokens;
    let replaced = match (&renewed.refresh_token, &before.refresh_token) {
        (Some(new), Some(old)) => !is_same(new, old),
        _ => false,
    };
    let tokens = UpstreamTokens {
        // An upstream that does not rotate leaves the refresh token out (RFC 6749 §6).
        refresh_token: renewed.refresh_token.or_else(|| before.refresh_token.clone()),
        scopes: renewed.scopes.or_else(|| before.scopes.clone()),
        client_id: renewed.client_id.or_else(|| before.client_id.clone()),
        ..renewed
    };
    // Once seen to rotate, always believed to: the safe side.
    let rotates = Some(replaced || entry.rotates == Some(true));
    VaultEntry { tokens, rotates, intent: Some(intent), ..entry.clone() }
}

/// Whether the row is what another replica left that believed this outcome lost: older tokens of the same login, which
/// nothing renews.
fn is_given_up(row: &VaultEntry, outcome: &VaultEntry) -> bool {
    row.intent.is_none()
        && row.login == outcome.login
        && row.tokens.refresh_token.is_none()
        && row.tokens.obtained_at < outcome.tokens.obtained_at
}

/// Whether the row is as it was before the announcement of a refresh that `outcome` withdraws.
fn is_untouched(row: &VaultEntry, outcome: &VaultEntry) -> bool {
    let same = |one: &Option<SecretString>, other: &Option<SecretString>| match (one, other) {
        (Some(one), Some(other)) => is_same(one, other),
        _ => false,
    };
    row.intent.is_none()
        && row.login == outcome.login
        && same(&row.tokens.refresh_token, &outcome.tokens.refresh_token)
}

/// Puts an outcome in the place of the intent that it carries. Tokens whose session has ended meanwhile are revoked.
async fn store(shared: &Shared, session: SessionId, outcome: &VaultEntry) -> Result<Saved, StoreError> {
    let (rows, provider) = (&shared.stores.upstream_tokens, outcome.tokens.provider.as_str());
    let saved = loop {
        let now = shared.clock.now();
        let Some(row) = rows.load(&session, provider, now).await? else { break Saved::SessionEnded };
        if row.value.intent != outcome.intent && !is_given_up(&row.value, outcome) {
            // The write of our announcement may still be on its way; after this one it finds another state.
            if is_untouched(&row.value, outcome)
                && !rows.replace(&session, &row, (*row.value).clone(), now).await?
            {
                continue;
            }
            break Saved::Superseded(row.value.tokens.clone());
        }
        let entry = VaultEntry { intent: None, ..outcome.clone() };
        if rows.replace(&session, &row, entry, now).await? {
            break Saved::Kept;
        }
    };
    shared.unsaved.remove(session, outcome);
    if matches!(saved, Saved::SessionEnded) {
        shared.revoke(provider, &outcome.tokens).await;
    }
    Ok(saved)
}

/// Until it succeeds: the tokens exist nowhere else.
async fn keep_trying(shared: Arc<Shared>, session: SessionId, entry: VaultEntry) {
    let mut pause = FIRST_PAUSE;
    while let Err(error) = store(&shared, session, &entry).await {
        tracing::error!(
            upstream.name = entry.tokens.provider,
            error = thv_telemetry::chain(&error),
            "renewed upstream tokens cannot be stored; trying on"
        );
        if shared.tasks.is_closed() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> CredentialFailure {
    CredentialFailure::Unavailable(Arc::new(error))
}
