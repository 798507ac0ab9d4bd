//! Login sessions: their beginning, the upstream tokens in them, and the end of sessions and grants with everything that
//! hangs on them.

use std::time::Duration;

use http::HeaderMap;
use thv_store::records::{GrantId, Session, SessionId, Subject, UpstreamTokens, VaultEntry};
use thv_store::{Event, StoreError};

use crate::browser::{FLOW_SECONDS, SIGN_IN_SECONDS, SignIn};
use crate::server::AuthServer;

/// How long the legs of a login may take together. Upstream tokens that no grant uses by then are gone.
const UNFINISHED: Duration = Duration::from_secs(3600);

impl AuthServer {
    /// Who signed in in the browser that sent these headers, as it remembers it. The session may have ended since.
    pub(crate) fn sign_in(&self, headers: &HeaderMap) -> Option<SignIn> {
        let inner = &self.inner;
        SignIn::read(headers, inner.settings.secure(), &inner.hmac.load(), inner.clock.now())
    }

    /// The session of a sign-in, if it is still there, the same user's, and outlives what a user may take for a login.
    pub(crate) async fn own_session(&self, sign_in: &SignIn) -> Result<Option<SessionId>, StoreError> {
        let (inner, now) = (&self.inner, self.inner.clock.now());
        let session = inner.stores.sessions.load(&sign_in.session, now).await?;
        let (sub, needed_until) = (&sign_in.subject.sub, now + Duration::from_secs(FLOW_SECONDS));
        let session = session.map(|session| session.value);
        let session =
            session.filter(|session| session.subject.sub == *sub && session.expires_at > needed_until);
        Ok(session.map(|session| session.id))
    }

    /// A session for a user who has just signed in.
    pub(crate) async fn new_session(&self, subject: Subject) -> Result<SessionId, StoreError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let expires_at = now + Duration::from_secs(SIGN_IN_SECONDS);
        let session = Session { id: SessionId::random(), subject, grants: Vec::new(), expires_at };
        let id = session.id;
        inner.stores.sessions.insert(session, now).await?;
        Ok(id)
    }

    /// Keeps tokens for as long as a grant uses them, and until the login is finished; `false` when there is no such session
    /// any more.
    pub(crate) async fn keep_tokens(
        &self,
        session: &SessionId,
        tokens: UpstreamTokens,
    ) -> Result<bool, StoreError> {
        let inner = &self.inner;
        let (rows, now) = (&inner.stores.upstream_tokens, inner.clock.now());
        let Some(row) = inner.stores.sessions.load(session, now).await? else {
            inner.vault.revoke(tokens);
            return Ok(false);
        };
        let used_until = row.value.grants.iter().map(|(_, end)| *end).max().unwrap_or(now);
        let until = used_until.max(now + UNFINISHED).min(row.value.expires_at);
        let provider = tokens.provider.clone();
        loop {
            let before = rows.load(session, &provider, now).await?;
            let login = before.as_ref().map_or(1, |row| row.value.login.saturating_add(1));
            // A new login does not make the upstream another one.
            let rotates = before.as_ref().and_then(|row| row.value.rotates);
            let tokens = tokens.clone();
            let entry =
                VaultEntry { tokens, rotates, intent: None, login, forced_at: None, refused_at: None };
            if rows.put(session, before.as_ref(), entry, until, now).await? {
                break;
            }
        }
        // Whoever ended the session meanwhile may have missed these.
        if inner.stores.sessions.load(session, now).await?.is_none() {
            inner.vault.forget(session).await?;
            return Ok(false);
        }
        // Grants that rest on the session use the new tokens from now on.
        self.upstream_tokens_changed(session).await;
        Ok(true)
    }

    /// Ends a grant: its refresh tokens and its access tokens, and when no other grant rests on its session, the session
    /// with its upstream tokens. What depends on the grant goes first: if the store fails in between, ending it again
    /// finds the rest.
    pub(crate) async fn revoke_grant(&self, id: &GrantId) -> Result<(), StoreError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        if let Some(grant) = inner.stores.grants.load(id, now).await? {
            self.detach(&grant.value.session, id).await?;
        }
        inner.stores.grants.revoke(id, now).await?;
        self.grant_ended(id).await;
        Ok(())
    }

    /// Takes a grant that ends off its session, and ends that when it was the last one.
    pub(crate) async fn detach(&self, session: &SessionId, grant: &GrantId) -> Result<(), StoreError> {
        let inner = &self.inner;
        match inner.stores.sessions.detach(session, grant, inner.clock.now()).await? {
            true => inner.vault.forget(session).await,
            false => Ok(()),
        }
    }

    /// Ends a session: every grant that rests on it, and its upstream tokens. `false` when it was gone already.
    pub(crate) async fn end_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        while let Some(session) = inner.stores.sessions.load(id, now).await? {
            for (grant, _) in &session.value.grants {
                inner.stores.grants.revoke(grant, now).await?;
                self.grant_ended(grant).await;
            }
            inner.vault.forget(id).await?;
            // Another grant may have come to rest on it meanwhile; then that one ends, too.
            if inner.stores.sessions.end(&session, now).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells whoever remembers something of a grant, here and in other replicas.
    pub(crate) async fn grant_ended(&self, id: &GrantId) {
        self.inner.told(&Event::GrantRevoked(*id));
        self.inner.stores.events.publish(&Event::GrantRevoked(*id)).await;
    }

    /// Tells whoever remembers upstream tokens of a session, here and in other replicas.
    pub(crate) async fn upstream_tokens_changed(&self, session: &SessionId) {
        if let Some(event) = self.inner.vault.tell_others(session).await {
            self.inner.told(&event);
        }
    }

    /// Passes on what other replicas tell, until the store is closed.
    pub async fn follow_events(&self) {
        while let Some(event) = self.inner.stores.events.next().await {
            self.inner.told(&event);
        }
    }
}
