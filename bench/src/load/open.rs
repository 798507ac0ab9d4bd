//! The open loop: a fixed rate, whatever the server does.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::requester::Requester;
use super::{Finished, Window};
use crate::error::{BenchError, During as _};

/// Sends at `rate` requests per second, in turns over the connections; a request counts when it was due inside the
/// window, however late its answer comes.
///
/// # Errors
/// With the first answer that is not a success, or when the rate is not positive.
pub(super) async fn drive(
    requesters: Vec<Requester>,
    window: Window,
    rate: f64,
) -> Result<Vec<Finished>, BenchError> {
    let interval = Duration::try_from_secs_f64(rate.recip()).during("reading the plan's rate")?;
    let mut queues = Vec::with_capacity(requesters.len());
    let mut tasks = Vec::with_capacity(requesters.len());
    for requester in requesters {
        let (queue, due) = unbounded_channel();
        queues.push(queue);
        tasks.push(tokio::spawn(obey(requester, due, window)));
    }
    let pacer = std::thread::spawn(move || pace(&queues, interval, window));
    let mut finished = Vec::with_capacity(tasks.len());
    for task in tasks {
        finished.push(task.await.during("driving a connection")??);
    }
    pacer.join().map_err(|_| BenchError::Missing("the thread that paces the load died".into()))?;
    Ok(finished)
}

/// Hands out due instants. On a thread of its own, because the runtime's timers have a resolution of a millisecond.
fn pace(queues: &[UnboundedSender<Instant>], interval: Duration, window: Window) {
    let mut due = Instant::now();
    for queue in queues.iter().cycle() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if due >= window.closes || queue.send(due).is_err() {
            return;
        }
        due += interval;
    }
}

async fn obey(
    mut requester: Requester,
    mut due: UnboundedReceiver<Instant>,
    window: Window,
) -> Result<Finished, BenchError> {
    let mut latencies = Vec::new();
    while let Some(due) = due.recv().await {
        requester.exchange().await?;
        if window.contains(due) {
            latencies.push(due.elapsed());
        }
    }
    Ok(Finished { latencies, requester })
}
