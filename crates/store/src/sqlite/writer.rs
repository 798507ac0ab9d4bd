//! The thread that writes.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use thv_clock::Timestamp;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::SqliteError;
use super::error::Refused;
use super::statements::{self, Change};

/// Callers wait beyond so many changes.
const QUEUE: usize = 4096;
/// At most so many changes are committed together.
const BATCH: usize = 512;
/// How often expired rows are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Rows that one transaction drops: few, since callers wait meanwhile.
const SWEEP_ROWS: usize = 128;
/// Pages that one transaction gives back.
const SWEEP_PAGES: u32 = 256;

/// Hands changes to the thread that writes.
pub(super) struct Writer(mpsc::Sender<Message>);

enum Message {
    Change(Job),
    Close(oneshot::Sender<()>),
}

struct Job {
    change: Change,
    now: Timestamp,
    done: oneshot::Sender<Result<bool, Refused>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, SqliteError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let thread = Thread { connection, queue, sweep: Sweep::default() };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(|| thread.run())
            .map_err(SqliteError::Thread)?;
        Ok(Self(sender))
    }

    /// Makes a change; whether its condition held. Returns after it was committed.
    pub(super) async fn apply(&self, change: Change, now: Timestamp) -> Result<bool, Refused> {
        let (done, outcome) = oneshot::channel();
        let job = Message::Change(Job { change, now, done });
        self.0.send(job).await.map_err(|_| Refused::Closed)?;
        outcome.await.map_err(|_| Refused::Closed)?
    }

    /// Waits until everything that was asked for is done and the log is in the database.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.0.send(Message::Close(done)).await.is_ok() {
            // An error says that somebody else closed it first.
            closed.await.ok();
        }
    }
}

struct Thread {
    connection: Connection,
    queue: mpsc::Receiver<Message>,
    sweep: Sweep,
}

impl Thread {
    fn run(mut self) {
        let mut batch = Vec::new();
        let closing = loop {
            let end = self.wait(&mut batch);
            if let Some(job) = batch.last() {
                self.sweep.at(job.now);
                self.commit(std::mem::take(&mut batch));
            }
            if let Some(closing) = end {
                break closing;
            }
            if self.sweep.is_due() {
                self.sweep.step(&mut self.connection);
            }
        };
        let moved = self.connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()));
        if let Err(error) = moved {
            tracing::debug!(%error, "the log stays beside the database; the next start reads it");
        }
        drop(self);
        if let Some(done) = closing {
            done.send(()).ok();
        }
    }

    /// Takes what waits; waits for something unless a sweep is due. `Some` when this was the last: with whom to tell.
    fn wait(&mut self, batch: &mut Vec<Job>) -> Option<Option<oneshot::Sender<()>>> {
        if !self.sweep.is_due() {
            match self.queue.blocking_recv() {
                Some(Message::Change(job)) => {
                    batch.push(job);
                    // Others are about to write, too: what is committed together costs once.
                    std::thread::yield_now();
                }
                Some(Message::Close(done)) => return Some(Some(done)),
                None => return Some(None),
            }
        }
        while batch.len() < BATCH {
            match self.queue.try_recv() {
                Ok(Message::Change(job)) => batch.push(job),
                Ok(Message::Close(done)) => return Some(Some(done)),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Some(None),
            }
        }
        None
    }

    /// One transaction for all. If it fails none of them happened, and each is told so.
    fn commit(&mut self, batch: Vec<Job>) {
        match transact(&mut self.connection, &batch) {
            Ok(outcomes) => {
                for (job, outcome) in batch.into_iter().zip(outcomes) {
                    job.done.send(Ok(outcome)).ok();
                }
            }
            Err(error) => {
                let refused = Refused::from(error);
                for job in batch {
                    job.done.send(Err(refused.clone())).ok();
                }
            }
        }
    }
}

fn transact(connection: &mut Connection, batch: &[Job]) -> rusqlite::Result<Vec<bool>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes =
        batch.iter().map(|job| job.change.apply(&transaction, job.now)).collect::<Result<_, _>>()?;
    transaction.commit()?;
    Ok(outcomes)
}

/// When expired rows are dropped. It knows the time from those who write.
#[derive(Default)]
struct Sweep {
    now: Timestamp,
    /// When the last one was finished.
    finished: Timestamp,
}

impl Sweep {
    fn at(&mut self, now: Timestamp) {
        // A message without a time says nothing.
        if now > Timestamp::EPOCH {
            self.now = now;
            // A clock that was set back must not put sweeps off for as long.
            self.finished = self.finished.min(now);
        }
    }

    fn is_due(&self) -> bool {
        self.now.since(self.finished) >= SWEEP_EVERY
    }

    /// Drops a few rows. The sweep is finished when fewer were found than it might have dropped.
    fn step(&mut self, connection: &mut Connection) {
        match self.drop_some(connection) {
            Ok(dropped) if dropped == SWEEP_ROWS => {}
            Ok(_) => self.finished = self.now,
            Err(error) => {
                self.finished = self.now;
                tracing::warn!(%error, "expired rows of the store could not be dropped; they are tried again later");
            }
        }
    }

    fn drop_some(&self, connection: &mut Connection) -> rusqlite::Result<usize> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let dropped = statements::sweep(&transaction, SWEEP_ROWS, self.now)?;
        statements::shrink(&transaction, SWEEP_PAGES)?;
        transaction.commit()?;
        Ok(dropped)
    }
}
