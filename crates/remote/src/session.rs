//! The login at one remote server: what its requests are sent with, and how that is renewed, step by step, by whatever is
//! least trouble to the user.

mod access;
mod decide;
mod log_in;
mod logout;
mod pace;
mod prepare;
mod renewal;
mod state;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use http::header::HeaderMap;
use secrecy::SecretString;
use thv_clock::SharedClock;
use thv_oauth::received_challenge::ReceivedChallenge;
use tokio::sync::{Mutex, watch};

pub use access::Access;
pub use logout::LogoutReport;
pub use state::AuthState;
use work::Work;

use crate::credentials::Keep;
use crate::error::LoginError;
use crate::reach::Reach;
use crate::settings::AuthSettings;
use crate::token_exchange::TokenExchangeSettings;
use crate::ui::Ui;

/// Everything that a [`Session`] stands on.
pub struct SessionConfig {
    /// The remote server's URL, as the user wrote it.
    pub server_url: String,
    /// How to log in.
    pub settings: AuthSettings,
    /// The secret of a client that was registered by hand.
    pub client_secret: Option<SecretString>,
    /// Fields that every request to the server has besides its token: some servers know their users by these alone.
    pub headers: HeaderMap,
    /// A token that the user has, in place of all logins.
    pub bearer_token: Option<SecretString>,
    /// An exchange of the login's token, with its client's secret.
    pub token_exchange: Option<(TokenExchangeSettings, Option<SecretString>)>,
    /// The way out.
    pub reach: Reach,
    /// The time.
    pub clock: SharedClock,
    /// The user.
    pub ui: Arc<dyn Ui>,
    /// Where the login is kept.
    pub keep: Arc<dyn Keep>,
    /// A directory of this user's where processes share the port of the redirect URI.
    pub shared: PathBuf,
}

/// Why a request needs another token than the one it was sent with.
#[derive(Clone, Debug)]
pub enum Demand {
    /// 401, or 403 for want of any token.
    Unauthorized(Option<ReceivedChallenge>),
    /// 403 `insufficient_scope` (RFC 6750 §3.1).
    InsufficientScope(ReceivedChallenge),
    /// The token has expired.
    Expired,
    /// It is about to; the user is not to be asked.
    RenewQuietly,
    /// The user wants to log in, whatever is there.
    Login,
}

/// A failure that many requests may meet.
pub type SharedLoginError = Arc<LoginError>;

/// The login at one remote server. Clones share it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    config: SessionConfig,
    current: ArcSwapOption<Access>,
    /// Held by whoever renews; one at a time.
    work: Mutex<Work>,
    /// How many renewals have ended, one way or the other.
    ended: AtomicU64,
    state: watch::Sender<AuthState>,
}

impl Session {
    /// A session with what is kept of the last one.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub async fn open(config: SessionConfig) -> Result<Self, LoginError> {
        let work = Work::load(&config).await?;
        let current = ArcSwapOption::from(work.access(&config).map(Arc::new));
        let state = work.state(&config);
        let inner = Inner {
            config,
            current,
            work: Mutex::new(work),
            ended: AtomicU64::new(0),
            state: watch::Sender::new(state),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// What to send a request with: nothing, where no login was needed so far. An expired token is renewed first.
    ///
    /// # Errors
    /// When it has expired and cannot be renewed.
    pub async fn access(&self) -> Result<Option<Arc<Access>>, SharedLoginError> {
        let current = self.0.current.load_full();
        match &current {
            Some(access) if access.has_expired(self.0.config.clock.now()) => {
                self.obtain(Demand::Expired, Some(access)).await.map(Some)
            }
            _ => Ok(current),
        }
    }

    /// Another token than `used`. However many ask at once, one is obtained; it goes on when the asking request is gone.
    ///
    /// # Errors
    /// When there is none to be had. Who asked while it was tried hears of the same failure.
    pub async fn obtain(
        &self,
        demand: Demand,
        used: Option<&Arc<Access>>,
    ) -> Result<Arc<Access>, SharedLoginError> {
        let (inner, used) = (Arc::clone(&self.0), used.cloned());
        let seen = inner.ended.load(Ordering::Acquire);
        let task = tokio::spawn(async move { inner.obtain(demand, used, seen).await });
        task.await.unwrap_or_else(|_| Err(Arc::new(LoginError::Interrupted)))
    }

    /// The server has accepted a token: whatever failed before, the login is good.
    pub(crate) fn accepted(&self, access: &Arc<Access>) {
        access.prove();
        if *self.0.state.borrow() == AuthState::Authenticated {
            return;
        }
        let is_current = self.0.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, access));
        // Whoever works on it knows more.
        if let (true, Ok(mut work)) = (is_current, self.0.work.try_lock()) {
            work.forget_failure();
            self.0.state.send_replace(work.state(&self.0.config));
        }
    }

    /// Takes over what another process has done to the login: renewed it, replaced it, ended it.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub async fn reload(&self) -> Result<(), LoginError> {
        let mut work = self.0.work.lock().await;
        work.reload(&self.0.config).await?;
        self.0.current.store(work.access(&self.0.config).map(Arc::new));
        self.0.state.send_replace(work.state(&self.0.config));
        Ok(())
    }

    /// How the login stands, and how it changes.
    pub fn state(&self) -> watch::Receiver<AuthState> {
        self.0.state.subscribe()
    }

    /// The fields that every request to the server has besides its token.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.config.headers
    }

    /// The remote server's URL.
    pub fn server_url(&self) -> &str {
        &self.0.config.server_url
    }
}

impl Inner {
    async fn obtain(
        &self,
        demand: Demand,
        used: Option<Arc<Access>>,
        seen: u64,
    ) -> Result<Arc<Access>, SharedLoginError> {
        let mut work = self.work.lock().await;
        let explicit = matches!(demand, Demand::Login);
        if let Some(current) = self.current.load_full().filter(|_| !explicit)
            && used.as_ref().is_none_or(|used| !Arc::ptr_eq(used, &current))
        {
            return Ok(current);
        }
        let is_over = self.ended.load(Ordering::Acquire) != seen && !explicit;
        if let Some(failure) = work.last_failure().filter(|failure| is_over && failure.concerns_all()) {
            return Err(failure);
        }
        let outcome = work.perform(&self.config, demand, used.as_deref(), &self.state).await;
        let outcome = match outcome {
            Ok(access) => {
                let access = Arc::new(access);
                self.current.store(Some(Arc::clone(&access)));
                Ok(access)
            }
            Err(error) => Err(error),
        };
        self.ended.fetch_add(1, Ordering::AcqRel);
        self.state.send_if_modified(|state| std::mem::replace(state, work.state(&self.config)) != *state);
        outcome
    }
}
