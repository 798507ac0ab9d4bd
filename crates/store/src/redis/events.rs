//! The channel on which replicas tell each other: a subscription on a connection of its own, which is opened again when it ends.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::PubSub;
use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::backoff;
use super::client::Client;
use super::fault::{Fault, RedisFault};
use crate::rows::Announcement;

/// How many messages may wait for a reader before it misses some.
const BACKLOG: usize = 1024;
/// How often a silent connection is tried, since nobody would notice that it is dead.
const TRIED_EVERY: Duration = Duration::from_secs(10);

/// Starts listening; ends when its task is aborted.
pub(super) fn listen(
    client: Arc<Client>,
    channel: String,
) -> (broadcast::Sender<Announcement>, tokio::task::JoinHandle<()>) {
    let (sender, _) = broadcast::channel(BACKLOG);
    let task = tokio::spawn(keep_listening(client, channel, sender.clone()));
    (sender, task)
}

async fn keep_listening(client: Arc<Client>, channel: String, sender: broadcast::Sender<Announcement>) {
    let mut failures = 0;
    loop {
        let error = match subscribe(&client, &channel).await {
            Ok(subscription) => {
                failures = 0;
                tracing::debug!("listening to what other replicas announce through redis");
                // Without a reader there is nobody to tell.
                _ = sender.send(Announcement::Listening);
                forward(&client, subscription, &sender).await
            }
            Err(fault) => fault,
        };
        if failures == 0 {
            warn(&error);
        }
        sleep(backoff::after(failures)).await;
        failures = failures.saturating_add(1);
    }
}

fn warn(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "what other replicas announce through redis is not heard for the moment");
}

async fn subscribe(client: &Client, channel: &str) -> Result<PubSub, Fault> {
    let dialer = &client.wiring.dialer;
    let endpoint = client.any_node().await?.place.endpoint().await?;
    let host = endpoint.to_string();
    let opening = async {
        let stream = dialer.stream(&endpoint).await?;
        let broken = |source| Arc::new(RedisFault::Broken { host: host.clone(), source });
        let mut subscription = PubSub::new(&dialer.login(), stream).await.map_err(broken)?;
        subscription.subscribe(channel).await.map_err(broken)?;
        Ok(subscription)
    };
    let late =
        || Err(Arc::new(RedisFault::ConnectTimeout { host: host.clone(), after: dialer.dial_timeout }));
    timeout(dialer.dial_timeout, opening).await.unwrap_or_else(|_| late())
}

/// Passes messages on until the connection ends; says why it did.
async fn forward(client: &Client, subscription: PubSub, sender: &broadcast::Sender<Announcement>) -> Fault {
    let (mut sink, mut messages) = subscription.split();
    let patience = client.wiring.dialer.read_timeout;
    let mut tries = interval(TRIED_EVERY);
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let broken =
        |source| Arc::new(RedisFault::Broken { host: "the announcements' connection".to_owned(), source });
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => {
                    _ = sender.send(Announcement::Message(message.get_payload_bytes().to_vec()));
                }
                None => return broken(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            },
            _ = tries.tick() => match timeout(patience, sink.ping::<::redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(source)) => return broken(source),
                Err(_) => return broken(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            },
        }
    }
}
