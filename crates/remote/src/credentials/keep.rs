//! Where a record is kept.

use async_trait::async_trait;

use super::Credentials;
use crate::error::LoginError;

/// Changes what is kept, in a turn of its own, and gives what is kept then: others may have changed more of it.
///
/// # Errors
/// [`LoginError::Keep`].
pub(crate) async fn amend(
    keep: &dyn Keep,
    change: impl FnOnce(&mut Credentials) + Send,
) -> Result<Credentials, LoginError> {
    let failed = |done| move |source| LoginError::Keep { done, source };
    let _turn = keep.turn().await.map_err(failed("locked"))?;
    let mut kept = keep.load().await.map_err(failed("read"))?;
    change(&mut kept);
    keep.save(&kept).await.map_err(failed("written"))?;
    Ok(kept)
}

/// Why a record was not read or written, in the words of where it is kept.
pub type KeepError = Box<dyn std::error::Error + Send + Sync>;

/// What is held while nobody else may do the same; dropped, it is given back.
pub type Turn = Box<dyn Send + Sync>;

/// Where a workload's [`Credentials`] are kept. Several processes may share the place: whoever writes holds the turn.
#[async_trait]
pub trait Keep: Send + Sync + 'static {
    /// The record; an empty one when there is none.
    async fn load(&self) -> Result<Credentials, KeepError>;

    /// Puts `credentials` in place of what is there.
    async fn save(&self, credentials: &Credentials) -> Result<(), KeepError>;

    /// Waits until no other process renews or replaces this workload's credentials. A process that dies gives its turn back.
    async fn turn(&self) -> Result<Turn, KeepError>;

    /// Waits until no other process of this user has a browser open for the same server.
    async fn browser_turn(&self) -> Result<Turn, KeepError>;
}
