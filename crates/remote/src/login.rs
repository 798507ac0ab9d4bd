//! One login: who this client is, the browser, the code, the tokens (R3, R5, R6).

mod browser;
mod redeem;
pub(crate) mod request;
mod verdict;

use std::path::Path;

use secrecy::SecretString;
use thv_client::authorization_response::ResponseError;
use thv_client::preflight::preflight;
use thv_clock::SharedClock;
use thv_jose::random;

use self::request::Asked;
use self::verdict::{Address, judge};
use crate::callback::{Callback, CallbackError};
use crate::credentials::{Credentials, Grant, Keep, StoredRegistration, Turn, amend};
use crate::discovery::Found;
use crate::error::LoginError;
use crate::identity::{Identity, Ladder, Rung};
use crate::reach::Reach;
use crate::registration::{self, Standing};
use crate::scope::covers;
use crate::settings::AuthSettings;
use crate::ui::{Progress, Ui};

/// What a login needs.
pub(crate) struct Login<'a> {
    /// The remote server's URL, for people.
    pub(crate) server: &'a str,
    pub(crate) settings: &'a AuthSettings,
    pub(crate) client_secret: Option<&'a SecretString>,
    pub(crate) reach: &'a Reach,
    pub(crate) clock: &'a SharedClock,
    pub(crate) ui: &'a dyn Ui,
    pub(crate) keep: &'a dyn Keep,
    /// Where processes share the port of the redirect URI.
    pub(crate) shared: &'a Path,
}

/// A login that succeeded.
pub(crate) struct LoggedIn {
    pub(crate) grant: Grant,
    /// To be given back when the grant is kept: whoever has waited for it then finds that.
    pub(crate) turn: Option<Turn>,
}

/// Why an attempt on one rung ended.
enum Ended {
    /// The server does not accept the client as it is on this rung.
    ClientRefused(String),
    /// It may be for the redirect URI alone, since `port` is taken and the server was not told of another one.
    PortRefused {
        port: u16,
        reason: String,
    },
    /// The client may not ask for this scope.
    ScopeRefused(ResponseError),
    Failed(LoginError),
}

impl From<LoginError> for Ended {
    fn from(error: LoginError) -> Self {
        Self::Failed(error)
    }
}

impl Login<'_> {
    /// Logs in for `scope`. What becomes known of this client is saved as it happens; the tokens are the caller's to save.
    pub(crate) async fn run(
        &self,
        found: &Found,
        scope: &str,
        credentials: &mut Credentials,
    ) -> Result<LoggedIn, LoginError> {
        let mut ladder = Ladder::new(self.settings, &found.server);
        let mut taken = None;
        loop {
            let rung = match (ladder.next(credentials), taken) {
                (Ok(rung), _) => rung,
                (Err(_), Some(port)) => return Err(self.port_taken(port)),
                (Err(error), None) => return Err(error),
            };
            let (reason, is_certain) = match self.attempt(&ladder, rung, found, scope, credentials).await {
                Ok(logged_in) => return Ok(logged_in),
                Err(Ended::ClientRefused(reason)) => (reason, true),
                Err(Ended::PortRefused { port, reason }) => {
                    taken = Some(port);
                    (reason, false)
                }
                Err(Ended::ScopeRefused(error))
                    if was_registered_for_less(&ladder, rung, scope, credentials) =>
                {
                    (error.to_string(), false)
                }
                Err(Ended::ScopeRefused(error)) => return Err(LoginError::Response(error)),
                Err(Ended::Failed(error)) => return Err(error),
            };
            let client = rung.describe();
            tracing::warn!(
                issuer = found.server.issuer,
                client,
                reason,
                "the authorization server refuses this client"
            );
            if is_certain {
                self.forget(rung, found, credentials).await?;
            }
            ladder.refused(rung, reason);
        }
    }

    /// What the server does not accept any more is not tried again at the next login.
    async fn forget(
        &self,
        rung: Rung,
        found: &Found,
        credentials: &mut Credentials,
    ) -> Result<(), LoginError> {
        let issuer = &found.server.issuer;
        let is_known = match rung {
            Rung::Stored | Rung::Register => credentials.registrations.contains_key(issuer),
            Rung::MetadataDocument => credentials.metadata_documents.contains_key(issuer),
            Rung::Preregistered => false,
        };
        if is_known {
            *credentials = amend(self.keep, |kept| match rung {
                Rung::MetadataDocument => drop(kept.metadata_documents.remove(issuer)),
                _ => drop(kept.registrations.remove(issuer)),
            })
            .await?;
        }
        Ok(())
    }

    async fn attempt(
        &self,
        ladder: &Ladder<'_>,
        rung: Rung,
        found: &Found,
        scope: &str,
        credentials: &mut Credentials,
    ) -> Result<LoggedIn, Ended> {
        let state = random::token();
        let wanted = ladder.port(rung, credentials);
        let mut callback = self.listen(wanted, &state).await?;
        let port = callback.port();
        let is_known = ladder.knows_port(rung, credentials, port);
        let taken = (port != wanted && wanted != 0).then_some(wanted);
        let address = Address { is_known, taken };
        let uri = callback.redirect_uri();
        let identity = self.identity(ladder, rung, found, &uri, scope, credentials).await?;
        // A registered URI is used as it was registered, but for a port that had to be another one.
        let redirect_uri = match &identity.redirect_uri {
            Some(registered) if is_known => registered.clone(),
            _ => uri,
        };
        // A transaction of its own: a server may take a state or a challenge only once.
        let first = Asked::new(identity.clone(), redirect_uri.clone(), random::token(), scope);
        self.ui.show(Progress::Step("asking whether the server accepts this client"));
        let url = first.url(found, self.settings)?;
        let said = preflight(&self.reach.egress(), &url, &first.redirect_uri).await;
        if let Some(query) = judge(said, first.identity.kind, address)? {
            tracing::debug!("the authorization endpoint answered at once, without a browser");
            let grant = self.redeem(found, &first, &query).await?;
            return Ok(LoggedIn { grant, turn: None });
        }
        let asked = Asked::new(identity, redirect_uri, state, scope);
        let url = asked.url(found, self.settings)?;
        self.by_user(&mut callback, found, &asked, &url, credentials).await
    }

    /// Who the client is on `rung`, answers going to `redirect_uri`.
    async fn identity(
        &self,
        ladder: &Ladder<'_>,
        rung: Rung,
        found: &Found,
        redirect_uri: &str,
        scope: &str,
        credentials: &mut Credentials,
    ) -> Result<Identity, Ended> {
        let stored = match (rung, ladder.stored(credentials)) {
            (Rung::Preregistered, _) => return Ok(ladder.preregistered(self.client_secret)),
            (Rung::MetadataDocument, _) => return Ok(ladder.by_document()),
            (Rung::Stored, Some(stored)) => match registration::renew(self.reach, self.clock, stored).await {
                Standing::Holds => return Ok(Identity::registered(stored)),
                Standing::Renewed(renewed) => renewed,
                Standing::Expired => return Err(Ended::ClientRefused("it has expired".to_owned())),
            },
            (Rung::Register | Rung::Stored, _) => {
                self.ui.show(Progress::Step("registering this client"));
                registration::register(self.reach, &found.server, redirect_uri, scope).await?
            }
        };
        let identity = Identity::registered(&stored);
        *credentials = self.keep_registration(&found.server.issuer, stored).await?;
        Ok(identity)
    }

    async fn keep_registration(
        &self,
        issuer: &str,
        registration: StoredRegistration,
    ) -> Result<Credentials, LoginError> {
        amend(self.keep, |kept| drop(kept.registrations.insert(issuer.to_owned(), registration))).await
    }

    /// Listens on the wanted port or, where another program has it, on any other.
    async fn listen(&self, wanted: u16, state: &str) -> Result<Callback, LoginError> {
        let taken = match Callback::bind(wanted, state, self.shared).await {
            Ok(callback) => return Ok(callback),
            Err(CallbackError::Listen { source, .. }) => return Err(LoginError::Listen(source)),
            Err(CallbackError::Taken(port)) => port,
        };
        match Callback::bind(0, state, self.shared).await {
            Ok(callback) => Ok(callback),
            Err(_) => Err(self.port_taken(taken)),
        }
    }

    fn port_taken(&self, port: u16) -> LoginError {
        LoginError::PortTaken { port, holder: self.ui.who_listens(port) }
    }
}

/// A server may hold a client to the scope that it was registered for; then another registration is what helps.
fn was_registered_for_less(ladder: &Ladder<'_>, rung: Rung, scope: &str, credentials: &Credentials) -> bool {
    let stored = ladder.stored(credentials).filter(|_| rung == Rung::Stored);
    let is_less = |registered: String| !covers(&registered, scope);
    stored.is_some_and(|stored| stored.registration().scope.is_none_or(is_less))
}
