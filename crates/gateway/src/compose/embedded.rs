//! The embedded authorization server as the gateway's other parts see it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use thv_authserver::{AuthServer, CredentialFailure, Parts, Source, UpstreamCredential};
use thv_config::{Config, Problem, Profile};
use thv_egress::Client;
use thv_jose::reload::KeyHandle;
use thv_resource::Verifier;
use thv_resource::credential::{Credential, CredentialCache, CredentialError, UpstreamCredentials};
use thv_resource::verifier::{Sessions, Unavailable};
use thv_store::memory;
use tokio_util::task::TaskTracker;

use super::settings::{pinned_documents, settings};
use super::upstream::upstream;
use super::{Shared, egress_policy};
use crate::front::{AuthorizationServer, Check, Metadata};
use crate::keys::Keys;
use crate::peer::Peer;

/// What a client is told to wait when an upstream provider or the store does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// A session that never existed: asking for it shows whether the store answers.
const NO_SESSION: &str = "00000000000000000000000000000000";

/// The authorization server, for whoever asks it something. Clones share it.
#[derive(Clone)]
pub(crate) struct Embedded {
    server: AuthServer,
    /// The name of the upstream provider.
    upstream: String,
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
        let parts = Parts {
            settings: settings(config, server, profile)?,
            pinned_documents: pinned_documents(server, profile)?,
            upstream: upstream(server, Client::pooled(policy.clone(), &shared.roots), shared)?,
            stores: memory::stores(memory::Capacity::default()),
            keys: keys.signing(),
            hmac: keys.hmac(),
            egress: Client::new(policy, &shared.roots),
            clock: Arc::clone(&shared.clock),
            metrics: Arc::clone(&shared.metrics),
            tasks: tasks.clone(),
        };
        let upstream = parts.upstream.name().to_owned();
        Ok(Self { server: AuthServer::new(parts), upstream })
    }

    /// The keys that sign access tokens.
    pub(crate) fn keys(&self) -> KeyHandle {
        self.server.keys()
    }

    /// Forgets stored registrations that nobody uses.
    pub(crate) async fn reap_registrations(&self) {
        match self.server.reap_registrations().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "unused registrations forgotten"),
            Err(error) => {
                tracing::warn!(
                    error = thv_telemetry::chain(&error),
                    "unused registrations cannot be forgotten"
                );
            }
        }
    }

    /// Lets the verifier forget the tokens of a revoked grant at once, and the cache its upstream credential.
    pub(crate) fn tell_revocations(
        &self,
        verifier: &Arc<Verifier>,
        credentials: Option<&Arc<CredentialCache>>,
    ) {
        let (verifier, credentials) = (Arc::clone(verifier), credentials.cloned());
        self.server.on_revocation(move |grant| {
            session_revoked(&grant.to_string(), &verifier, credentials.as_deref());
        });
    }
}

/// Forgets what is remembered of a session.
fn session_revoked(tsid: &str, verifier: &Verifier, credentials: Option<&CredentialCache>) {
    verifier.session_revoked(tsid);
    if let Some(credentials) = credentials {
        credentials.forget(tsid);
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
        let store = self.server.is_live(NO_SESSION).await.err().map(|error| thv_telemetry::chain(&error));
        let upstream = self.server.upstream_readiness().await.err();
        vec![
            Check { name: "store".to_owned(), essential: true, failure: store },
            Check { name: format!("upstream {}", self.upstream), essential: false, failure: upstream },
        ]
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
        usable(self.server.vault().credential(session).await)
    }

    async fn refresh(&self, session: &str) -> Result<Option<Arc<Credential>>, CredentialError> {
        usable(self.server.vault().renewed(session).await)
    }
}

fn usable(
    outcome: Result<Option<UpstreamCredential>, CredentialFailure>,
) -> Result<Option<Arc<Credential>>, CredentialError> {
    match outcome {
        Ok(None) => Ok(None),
        Ok(Some(UpstreamCredential { provider, access_token, expires_at })) => {
            let credential = Credential::bearer(&access_token, provider, expires_at);
            credential.map(|credential| Some(Arc::new(credential))).map_err(|error| {
                tracing::error!(%error, "the upstream provider's token cannot be used");
                CredentialError::ReauthenticationNeeded
            })
        }
        Err(CredentialFailure::LoginNeeded) => Err(CredentialError::ReauthenticationNeeded),
        Err(failure @ CredentialFailure::Unavailable(_)) => {
            tracing::warn!(error = thv_telemetry::chain(&failure), "no upstream credential at the moment");
            Err(CredentialError::Unavailable { retry_after: RETRY_AFTER })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use thv_clock::{ManualClock, Timestamp};

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

        async fn refresh(&self, session: &str) -> Result<Option<Arc<Credential>>, CredentialError> {
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
        let ask_for_both = async || {
            for session in ["revoked", "other"] {
                credentials.credential(session).await.unwrap().unwrap();
            }
            source.asked.load(Ordering::SeqCst)
        };
        assert_eq!(ask_for_both().await, 2);
        assert_eq!(ask_for_both().await, 2);
        session_revoked("revoked", &verifier, Some(&credentials));
        assert_eq!(ask_for_both().await, 3);
    }
}
