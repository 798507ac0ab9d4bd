//! The end of grants and sessions, with everything that hangs on them.

use thv_store::records::{GrantId, SessionId};
use thv_store::{Event, StoreError};

use crate::server::AuthServer;

impl AuthServer {
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
        let inner = &self.inner;
        // Whoever is not told asks again within a minute.
        let Ok(Some(session)) = inner.stores.sessions.load(session, inner.clock.now()).await else { return };
        let event =
            Event::UpstreamTokensChanged(session.value.grants.iter().map(|(grant, _)| *grant).collect());
        inner.told(&event);
        inner.stores.events.publish(&event).await;
    }

    /// Passes on what other replicas tell, until the store is closed.
    pub async fn follow_events(&self) {
        while let Some(event) = self.inner.stores.events.next().await {
            self.inner.told(&event);
        }
    }
}
