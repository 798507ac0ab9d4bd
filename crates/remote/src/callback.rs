//! Where the browser brings the authorization response (RFC 8252 §7.3, CL-50).
//!
//! Both 127.0.0.1 and `[::1]` are held: a browser that is sent to `localhost` tries one and then the other, and another program
//! of this machine must not get the code. A process that finds the port held by another one of this program lets that one
//! pass on what is meant for it, see `relay`.

mod door;
mod page;
mod relay;
mod serve;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thv_oauth::params::Params;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use door::{Door, Post};
use relay::{Follower, PortLock};
use serve::Server;

pub use page::Outcome;

/// The path of the redirect URI.
const PATH: &str = "/callback";
/// How long a browser may take to get its page before nobody waits for that.
const SHOWN: Duration = Duration::from_secs(2);
/// How long it may take until the port of a login that has ended is somebody else's.
const HANDOVER: Duration = Duration::from_secs(2);

/// A response that the browser brought. The browser waits for [`Delivery::answer`].
pub struct Delivery {
    /// The query: the response's parameters.
    pub query: String,
    outcome: oneshot::Sender<Outcome>,
    shown: oneshot::Receiver<()>,
}

impl Delivery {
    /// Tells the browser, and so the user, what came of it; returns when it has been told. This process may end after that.
    pub async fn answer(self, outcome: Outcome) {
        // A browser that has gone away needs no answer.
        if self.outcome.send(outcome).is_ok() {
            let _ = timeout(SHOWN, self.shown).await;
        }
    }
}

/// Why there is no callback.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// Another program has the port.
    #[error("port {0} is taken")]
    Taken(u16),
    /// Something else.
    #[error("cannot listen on port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A place that the browser can be sent to. Its port is free again as soon as it is dropped.
pub struct Callback {
    port: u16,
    deliveries: mpsc::Receiver<Delivery>,
    post: Arc<Post>,
    /// Ends with this.
    _task: AbortOnDropHandle<()>,
}

impl Callback {
    /// Listens on `port` for the response with this `state`, sharing the port with other processes of this program that use
    /// the directory `shared`. Port 0 is any that is free.
    ///
    /// # Errors
    /// [`CallbackError`].
    pub async fn bind(port: u16, state: &str, shared: &Path) -> Result<Self, CallbackError> {
        let (sender, deliveries) = mpsc::channel(4);
        let own = Own { state: state.to_owned(), sender };
        let failed = |source| CallbackError::Listen { port, source };
        if port == 0 {
            let door = Door::any().await.map_err(failed)?;
            return Ok(Self::at(door, own, deliveries, shared));
        }
        let deadline = Instant::now() + HANDOVER;
        loop {
            if let Some(lock) = PortLock::try_take(shared, port).map_err(failed)? {
                let door = Door::on(port, Some(lock)).await.map_err(|error| match error.kind() {
                    io::ErrorKind::AddrInUse => CallbackError::Taken(port),
                    _ => failed(error),
                })?;
                return Ok(Self::at(door, own, deliveries, shared));
            }
            if PortLock::is_announced(shared, port) {
                let follower = Follower::bind(shared, port, own).map_err(failed)?;
                let post = Arc::new(Post::waiting());
                let task = tokio::spawn(follower.serve(Arc::clone(&post)));
                return Ok(Self { port, deliveries, post, _task: AbortOnDropHandle::new(task) });
            }
            if Instant::now() >= deadline {
                return Err(CallbackError::Taken(port));
            }
            sleep(relay::LOOK).await;
        }
    }

    fn at(door: Door, own: Own, deliveries: mpsc::Receiver<Delivery>, shared: &Path) -> Self {
        let port = door.port();
        let post = Arc::new(Post::at(door));
        let task = tokio::spawn(Server { port, own, shared: shared.to_owned() }.serve(Arc::clone(&post)));
        Self { port, deliveries, post, _task: AbortOnDropHandle::new(task) }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The redirect URI (`localhost`, as the metadata document has it).
    pub fn redirect_uri(&self) -> String {
        redirect_uri(self.port)
    }

    /// The next response that the browser brings; none when another program has taken the port in the meantime.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        // The task would do so a moment later, and the next login may want the port at once.
        self.post.leave();
    }
}

/// The redirect URI with this port.
pub fn redirect_uri(port: u16) -> String {
    format!("http://localhost:{port}{PATH}")
}

/// Whose responses are delivered here.
#[derive(Clone)]
struct Own {
    state: String,
    sender: mpsc::Sender<Delivery>,
}

/// To be dropped when the outcome has been shown.
struct Shown(#[expect(dead_code, reason = "its end is the message")] oneshot::Sender<()>);

impl Own {
    fn is_meant(&self, query: &str) -> bool {
        state_of(query).is_some_and(|state| state == self.state)
    }

    /// Delivers a query, and waits for what came of it.
    async fn deliver(&self, query: String) -> (Outcome, Shown) {
        let (outcome, answer) = oneshot::channel();
        let (tell, shown) = oneshot::channel();
        let delivered = self.sender.send(Delivery { query, outcome, shown }).await;
        let outcome = match delivered {
            Ok(()) => answer.await.unwrap_or(Outcome::Unexpected),
            Err(_) => Outcome::Unexpected,
        };
        (outcome, Shown(tell))
    }
}

/// Where a response belongs; it is judged later.
fn state_of(query: &str) -> Option<String> {
    let params = Params::parse(query.as_bytes()).ok()?;
    params.one("state").ok().flatten().map(str::to_owned)
}
