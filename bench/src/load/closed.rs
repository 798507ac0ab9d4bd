//! The closed loop: as fast as the server answers.

use std::time::Instant;

use super::requester::Requester;
use super::{Finished, Window};
use crate::error::{BenchError, During as _};

/// Keeps every connection busy until the window closes; a request counts when its answer arrives inside the window.
///
/// # Errors
/// With the first answer that is not a success.
pub(super) async fn drive(requesters: Vec<Requester>, window: Window) -> Result<Vec<Finished>, BenchError> {
    let tasks: Vec<_> = requesters.into_iter().map(|one| tokio::spawn(repeat(one, window))).collect();
    let mut finished = Vec::with_capacity(tasks.len());
    for task in tasks {
        finished.push(task.await.during("driving a connection")??);
    }
    Ok(finished)
}

async fn repeat(mut requester: Requester, window: Window) -> Result<Finished, BenchError> {
    let mut latencies = Vec::new();
    loop {
        let sent = Instant::now();
        if sent >= window.closes {
            return Ok(Finished { latencies, requester });
        }
        requester.exchange().await?;
        let answered = Instant::now();
        if window.contains(answered) {
            latencies.push(answered - sent);
        }
    }
}
