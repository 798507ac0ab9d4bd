//! The threads that read.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use thv_clock::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::error::Refused;
use super::{SqliteError, connection, statements};
use crate::rows::{Row, RowKey};

/// Enough that one that waits for the disk does not hold up all.
const THREADS: usize = 2;
/// Callers wait beyond so many reads.
const QUEUE: usize = 1024;
/// At most so many reads share a snapshot.
const BATCH: usize = 64;

/// Hands reads to the threads in turn.
pub(super) struct Readers {
    queues: Vec<mpsc::Sender<Job>>,
    turn: AtomicUsize,
}

struct Job {
    key: RowKey,
    now: Timestamp,
    done: oneshot::Sender<Result<Option<Row>, Refused>>,
}

impl Readers {
    pub(super) fn start(path: &Path) -> Result<Self, SqliteError> {
        let mut queues = Vec::with_capacity(THREADS);
        for _ in 0..THREADS {
            let connection = connection::open_reading(path)?;
            let (sender, queue) = mpsc::channel(QUEUE);
            std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || run(&connection, queue))
                .map_err(SqliteError::Thread)?;
            queues.push(sender);
        }
        Ok(Self { queues, turn: AtomicUsize::new(0) })
    }

    /// The row, unless it has expired; never older than what was committed when this was called.
    pub(super) async fn load(&self, key: RowKey, now: Timestamp) -> Result<Option<Row>, Refused> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % THREADS;
        let queue = self.queues.get(turn).ok_or(Refused::Closed)?;
        let (done, outcome) = oneshot::channel();
        queue.send(Job { key, now, done }).await.map_err(|_| Refused::Closed)?;
        outcome.await.map_err(|_| Refused::Closed)?
    }
}

fn run(connection: &Connection, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::new();
    while let Some(job) = queue.blocking_recv() {
        batch.push(job);
        // Others are about to ask, too: what is read together costs one wake-up.
        std::thread::yield_now();
        while batch.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
        }
        // One snapshot for all is cheaper; where there is none, each read takes its own.
        let _snapshot = (batch.len() > 1).then(|| connection.unchecked_transaction().ok());
        for Job { key, now, done } in batch.drain(..) {
            done.send(statements::load(connection, &key, now).map_err(Refused::from)).ok();
        }
    }
}
