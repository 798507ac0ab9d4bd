//! Which server is the master, as Sentinels say.
//!
//! See <https://redis.io/docs/latest/develop/reference/sentinel-clients/>: any Sentinel may be asked, and the server that it
//! names must confirm that it is the master.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::redis::{Value, cmd};

use super::connection::Dialer;
use super::fault::{Fault, RedisFault};
use super::settings::Endpoint;

/// The Sentinels that watch a master.
pub(super) struct Sentinels {
    pub(super) master_name: String,
    pub(super) addrs: Vec<Endpoint>,
    pub(super) dialer: Dialer,
    /// The one that answered last, which is asked first.
    pub(super) preferred: AtomicUsize,
}

impl Sentinels {
    /// Where the master is now.
    pub(super) async fn master(&self) -> Result<Endpoint, Fault> {
        let mut latest = None;
        let first = self.preferred.load(Ordering::Relaxed);
        let in_turn = self.addrs.iter().enumerate().cycle().skip(first).take(self.addrs.len());
        for (index, sentinel) in in_turn {
            match self.ask(sentinel).await {
                Ok(Some(master)) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(master);
                }
                Ok(None) => {}
                Err(fault) => latest = Some(fault),
            }
        }
        let sentinels = self.addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Err(Arc::new(RedisFault::NoMaster {
            master_name: self.master_name.clone(),
            sentinels,
            source: latest,
        }))
    }

    /// What one Sentinel says; `None` when it does not know the master.
    async fn ask(&self, sentinel: &Endpoint) -> Result<Option<Endpoint>, Fault> {
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master_name);
        let (connection, answers) = self.dialer.dial(sentinel, &[question]).await?;
        match answers.into_iter().next() {
            Some(Value::Nil) => Ok(None),
            Some(Value::ServerError(error)) => Err(connection.refused(&error)),
            Some(answer) => {
                let (host, port): (String, u16) = ::redis::from_redis_value(answer)
                    .map_err(|_| connection.unexpected("SENTINEL GET-MASTER-ADDR-BY-NAME"))?;
                Ok(Some(Endpoint::new(host, port)))
            }
            None => Err(connection.unexpected("SENTINEL GET-MASTER-ADDR-BY-NAME")),
        }
    }
}
