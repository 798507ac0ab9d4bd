//! `local` upstream: users in a file with argon2id hashes, or one development user (U13).

use std::collections::HashMap;
use std::sync::Arc;

use argon2::password_hash::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use thv_oauth::params;
use thv_store::records::Subject;
use tokio::sync::Semaphore;

use super::subject;

/// Verifications at once: each takes tens of MiB by design.
const VERIFICATIONS_AT_ONCE: usize = 2;
const PASSWORD_MAX: usize = 1024;

/// A user of the file.
#[derive(Clone)]
pub struct LocalUser {
    /// The upstream subject; the user name unless configured.
    pub subject: String,
    /// Display name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// argon2id hash in PHC format.
    pub password_hash: SecretString,
}

/// The users of a `local` upstream.
pub struct LocalUsers {
    upstream: String,
    users: Users,
    verifications: Arc<Semaphore>,
}

enum Users {
    Development(String),
    File(HashMap<String, LocalUser>),
}

impl LocalUsers {
    /// Users by name.
    pub fn from_file(upstream: impl Into<String>, users: HashMap<String, LocalUser>) -> Self {
        Self::new(upstream.into(), Users::File(users))
    }

    /// One user who needs no password; only for `--dev`.
    pub fn development(upstream: impl Into<String>, username: impl Into<String>) -> Self {
        Self::new(upstream.into(), Users::Development(username.into()))
    }

    fn new(upstream: String, users: Users) -> Self {
        Self { upstream, users, verifications: Arc::new(Semaphore::new(VERIFICATIONS_AT_ONCE)) }
    }

    pub(crate) fn development_user(&self) -> Option<&str> {
        match &self.users {
            Users::Development(username) => Some(username),
            Users::File(_) => None,
        }
    }

    pub(crate) fn is_development(&self) -> bool {
        self.development_user().is_some()
    }

    /// The user with this name and password.
    pub(crate) async fn authenticate(&self, username: &str, password: &SecretString) -> Option<Subject> {
        let users = match &self.users {
            Users::Development(known) if known == username => {
                return Some(subject(&self.upstream, known, Some("Development user".to_owned()), None));
            }
            Users::Development(_) => return None,
            Users::File(users) => users,
        };
        if password.expose_secret().len() > PASSWORD_MAX {
            return None;
        }
        let user = users.get(username);
        // Somebody's hash is verified for unknown names too, so that they take as long as known ones.
        let hash = user.or_else(|| users.values().next())?.password_hash.clone();
        let permit = Arc::clone(&self.verifications).acquire_owned().await.ok()?;
        let password = password.clone();
        let matches = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            PasswordHash::new(hash.expose_secret()).is_ok_and(|hash| {
                Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok()
            })
        });
        let user = matches.await.ok()?.then_some(user)??;
        Some(subject(&self.upstream, &user.subject, user.name.clone(), user.email.clone()))
    }
}

/// Our login page, for the pending authorization that `state` names. A path, so that it is on the browser's own host.
pub(super) fn login_url(base_path: &str, state: &str) -> String {
    params::append_query(&format!("{base_path}/oauth/login"), &[("state", state)])
}
