//! Logging in before anything is asked of the server.

use std::sync::Arc;

use super::{Demand, Session, SharedLoginError};
use crate::error::LoginError;
use crate::probe::probe;

impl Session {
    /// Finds out whether the server wants a login, and if it does, has the user log in now rather than in the middle of
    /// their work. True if there is a login.
    ///
    /// # Errors
    /// When the server wants a login and there is none to be had, or cannot be reached.
    pub async fn prepare(&self) -> Result<bool, SharedLoginError> {
        let access = self.access().await?;
        let mut headers = self.0.config.headers.clone();
        if let Some(access) = &access {
            let (name, value) = access.header();
            headers.insert(name, value.clone());
        }
        match probe(&self.0.config.reach.egress(), self.server_url(), headers).await {
            Ok(probed) if probed.is_refusal() => {
                self.obtain(Demand::Unauthorized(probed.challenge), access.as_ref()).await.map(|_| true)
            }
            Ok(probed) => {
                access
                    .as_ref()
                    .filter(|_| !probed.status.is_server_error())
                    .inspect(|access| self.accepted(access));
                Ok(access.is_some())
            }
            Err(source) => {
                let server = self.server_url().split('?').next().unwrap_or_default().to_owned();
                Err(Arc::new(LoginError::ServerUnreachable { server, source }))
            }
        }
    }
}
