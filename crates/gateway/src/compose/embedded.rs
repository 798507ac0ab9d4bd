//! The embedded authorization server as the gateway's other parts see it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use secrecy::SecretString;
use thv_authserver::{AuthServer, CredentialFailure, Parts, Source, UpstreamCredential, step_up_scope};
use thv_config::{Config, Problem, Profile};
use thv_egress::Client;
use thv_jose::reload::KeyHandle;
use thv_resource::Verifier;
use thv_resource::credential::{Credential, CredentialCache, CredentialError, UpstreamCredentials};
use thv_resource::verifier::{Sessions, Unavailable};
use thv_store::Event;
use tokio_util::task::TaskTracker;

use super::settings::{pinned_documents, settings};
use super::storage::{self, Store};
use super::upstream::{Common, login_chain};
use super::{Shared, egress_policy};
use crate::front::{AuthorizationServer, Check, Metadata};
use crate::keys::Keys;
use crate::peer::Peer;

/// What a client is told to wait when an upstream provider or the store does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The authorization server, for whoever asks it something. Clones share it.
#[derive(Clone)]
pub(crate) struct Embedded {
    server: AuthServer,
    /// The upstream provider whose token the MCP server gets.
    injected: Option<Injected>,
    store: Arc<Store>,
}

/// An upstream provider whose token is injected.
#[derive(Clone)]
struct Injected {
    provider: String,
    /// The scope that makes its leg of a login run again; none for the first leg, which runs in every login.
    login_scope: Option<String>,
}

impl Embedded {
    /// Puts the authorization server together. Nothing is fetched: upstream providers may be down.
    pub(crate) fn new(
        config: &Config,
        server: &thv_config::AuthServer,
        profile: Profile,
        keys: &Keys,
        shared: &Shared,
        tasks: &TaskTracker,
    ) -> Result<Self, Problem> {
        let policy = egress_policy(config, profile);
        let store = Arc::new(storage::open(config, server, profile, keys)?);
        let upstreams = Common {
            server,
            policy: policy.clone(),
            stores: store.stores(),
            keys: keys.signing(),
            tasks: tasks.clone(),
            shared,
        };
        let parts = Parts {
            settings: settings(config, server, profile)?,
            pinned_documents: pinned_documents(server, profile)?,
            chain: login_chain(&upstreams)?,
            stores: store.stores(),
            keys: keys.signing(),
            hmac: keys.hmac(),
            egress: Client::new(policy, &shared.roots),
            clock: Arc::clone(&shared.clock),
            metrics: Arc::clone(&shared.metrics),
            tasks: tasks.clone(),
        };
        let injected = config.injected_provider().map(|provider| {
            let first = server.identity_provider().is_some_and(|first| first.name == provider.name);
            let login_scope = (!first).then(|| step_up_scope(&provider.name));
            Injected { provider: provider.name.clone(), login_scope }
        });
        Ok(Self { server: AuthServer::new(parts), injected, store })
    }

    /// Where its records are.
    pub(crate) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Passes on what other replicas tell, for as long as the store is open.
    pub(crate) async fn follow_events(self) {
        self.server.follow_events().await;
    }

    /// The keys that sign access tokens.
    pub(crate) fn keys(&self) -> KeyHandle {
        self.server.keys()
    }

    /// Lets the verifier forget the tokens of a revoked grant at once, and the cache upstream credentials that changed.
    pub(crate) fn tell_events(&self, verifier: &Arc<Verifier>, credentials: Option<&Arc<CredentialCache>>) {
        let (verifier, credentials) = (Arc::clone(verifier), credentials.cloned());
        self.server.on_event(move |event| forget(event, &verifier, credentials.as_deref()));
    }
}

/// Forgets what is remembered of grants that ended, or whose upstream tokens changed; everything, when it is not known which.
fn forget(event: &Event, verifier: &Verifier, credentials: Option<&CredentialCache>) {
    let grants = match event {
        Event::GrantRevoked(grant) => {
            verifier.session_revoked(&grant.to_string());
            std::slice::from_ref(grant)
        }
        Event::UpstreamTokensChanged(grants) => grants.as_slice(),
        Event::Missed => {
            verifier.forget_all();
            return credentials.map_or((), CredentialCache::forget_all);
        }
    };
    let Some(credentials) = credentials else { return };
    for grant in grants {
        credentials.forget(&grant.to_string());
    }
}

#[async_trait]
impl AuthorizationServer for Embedded {
    async fn handle(&self, request: Request<Bytes>, peer: Peer) -> Response<Bytes> {
        self.server.handle(request, Source { addr: peer.address }).await
    }

    fn metadata(&self) -> Metadata {
        // Whoever asks after a change of the keys gets them written anew.
        self.server.keys_changed();
        let documents = self.server.documents();
        Metadata {
            authorization_server: documents.authorization_server.clone(),
            openid: documents.openid.clone(),
            jwks: documents.jwks.clone(),
        }
    }

    async fn readiness(&self) -> Vec<Check> {
        let store = self.server.store_ready().await.err().map(|error| thv_telemetry::chain(&error));
        let mut checks = vec![Check { name: "store".to_owned(), essential: true, failure: store }];
        let upstreams = self.server.upstream_readiness().await;
        checks.extend(upstreams.into_iter().map(|(name, ready)| Check {
            name: format!("upstream {name}"),
            essential: false,
            failure: ready.err(),
        }));
        checks
    }
}

#[async_trait]
impl Sessions for Embedded {
    async fn is_live(&self, tsid: &str) -> Result<bool, Unavailable> {
        self.server.is_live(tsid).await.map_err(|error| {
            tracing::error!(error = thv_telemetry::chain(&error), "cannot tell whether a session is alive");
            Unavailable
        })
    }
}

#[async_trait]
impl UpstreamCredentials for Embedded {
    async fn credential(&self, session: &str) -> Result<Option<Arc<Credential>>, CredentialError> {
        let Some(injected) = &self.injected else { return Ok(None) };
        let found = self.server.vault().credential(session, &injected.provider).await;
        usable(found, injected)
    }

    async fn refused_anew(&self, session: &str, credential: &Credential) {
        let Some(injected) = &self.injected else { return };
        let is_refused = |token: &SecretString| credential.is_bearer_of(token);
        let noted = self.server.vault().refused_anew(session, &injected.provider, is_refused).await;
        if let Err(failure) = noted {
            tracing::warn!(error = thv_telemetry::chain(&failure), "a refused credential cannot be noted");
        }
    }

    async fn refresh(
        &self,
        session: &str,
        refused: &Credential,
    ) -> Result<Option<Arc<Credential>>, CredentialError> {
        let Some(injected) = &self.injected else { return Ok(None) };
        let is_refused = |token: &SecretString| refused.is_bearer_of(token);
        let found = self.server.vault().renewed(session, &injected.provider, is_refused).await;
        usable(found, injected)
    }
}

fn usable(
    outcome: Result<Option<UpstreamCredential>, CredentialFailure>,
    injected: &Injected,
) -> Result<Option<Arc<Credential>>, CredentialError> {
    match outcome {
        Ok(None) => Ok(None),
        Ok(Some(UpstreamCredential { provider, access_token, fresh_until })) => {
            let credential = Credential::bearer(&access_token, provider, fresh_until).map_err(|error| {
                tracing::error!(%error, "the upstream provider's token cannot be used");
                CredentialError::ReauthenticationNeeded { scope: injected.login_scope.clone() }
            })?;
            Ok(Some(Arc::new(match &injected.login_scope {
                Some(scope) => credential.with_login_scope(scope),
                None => credential,
            })))
        }
        Err(CredentialFailure::NeverLoggedIn { scope }) => Err(CredentialError::StepUpNeeded { scope }),
        Err(CredentialFailure::LoginNeeded { scope }) => {
            Err(CredentialError::ReauthenticationNeeded { scope })
        }
        Err(failure @ CredentialFailure::Unavailable(_)) => {
            tracing::warn!(error = thv_telemetry::chain(&failure), "no upstream credential at the moment");
            Err(CredentialError::Unavailable { retry_after: RETRY_AFTER })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use thv_clock::{ManualClock, Timestamp};
    use thv_store::records::GrantId;

    /// Counts how often it is asked for a credential. No session is alive.
    #[derive(Default)]
    struct Source {
        asked: AtomicUsize,
    }

    #[async_trait]
    impl UpstreamCredentials for Source {
        async fn credential(&self, _: &str) -> Result<Option<Arc<Credential>>, CredentialError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Arc::new(Credential::bearer(&SecretString::from("t"), "corp", None).unwrap())))
        }

        async fn refresh(
            &self,
            session: &str,
            _: &Credential,
        ) -> Result<Option<Arc<Credential>>, CredentialError> {
            self.credential(session).await
        }
    }

    #[async_trait]
    impl Sessions for Source {
        async fn is_live(&self, _: &str) -> Result<bool, Unavailable> {
            Ok(false)
        }
    }

    #[tokio::test]
    async fn the_upstream_credential_of_a_revoked_session_is_forgotten() {
        let (source, clock) =
            (Arc::new(Source::default()), ManualClock::at(Timestamp::from_secs(1)).shared());
        let verifier = Verifier::new(None, String::new(), Vec::new(), Arc::clone(&clock), source.clone(), 10);
        let credentials = CredentialCache::new(source.clone(), clock, 10);
        let (revoked, other) = (GrantId::random(), GrantId::random());
        let ask_for_both = async || {
            for session in [revoked, other] {
                credentials.credential(&session.to_string()).await.unwrap().unwrap();
            }
            source.asked.load(Ordering::SeqCst)
        };
        assert_eq!(ask_for_both().await, 2);
        assert_eq!(ask_for_both().await, 2);
        forget(&Event::GrantRevoked(revoked), &verifier, Some(&credentials));
        assert_eq!(ask_for_both().await, 3);
        forget(&Event::UpstreamTokensChanged(vec![revoked, other]), &verifier, Some(&credentials));
        assert_eq!(ask_for_both().await, 5);
        forget(&Event::Missed, &verifier, Some(&credentials));
        assert_eq!(ask_for_both().await, 7);
    }
}
