//! The two sockets of a redirect URI.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpStream};

use super::relay::PortLock;

/// How often any port is asked for until both addresses have it.
const ATTEMPTS: usize = 20;

/// Both addresses that `localhost` may be.
pub(super) struct Door {
    port: u16,
    v4: TcpListener,
    /// None on a machine without IPv6: then no browser goes there either.
    v6: Option<TcpListener>,
    /// Tells other processes that the port is shared.
    _lock: Option<PortLock>,
}

impl Door {
    pub(super) async fn on(port: u16, lock: Option<PortLock>) -> io::Result<Self> {
        let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let port = v4.local_addr()?.port();
        let v6 = match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
            Ok(v6) => Some(v6),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => None,
        };
        if let Some(lock) = &lock {
            lock.announce()?;
        }
        Ok(Self { port, v4, v6, _lock: lock })
    }

    pub(super) async fn any() -> io::Result<Self> {
        let mut outcome = Self::on(0, None).await;
        for _ in 1..ATTEMPTS {
            match &outcome {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => outcome = Self::on(0, None).await,
                _ => break,
            }
        }
        outcome
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        for listener in std::iter::once(&self.v4).chain(&self.v6) {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    }
}

/// A door that can be left at once by whoever does not serve it.
pub(super) struct Post(Mutex<State>);

enum State {
    /// Another process has the door.
    Waiting,
    At(Door),
    Left,
}

impl Post {
    pub(super) fn waiting() -> Self {
        Self(Mutex::new(State::Waiting))
    }

    pub(super) fn at(door: Door) -> Self {
        Self(Mutex::new(State::At(door)))
    }

    /// Takes over a door, unless nobody wants it any more.
    pub(super) fn take_over(&self, door: Door) {
        let mut state = self.state();
        if matches!(*state, State::Waiting) {
            *state = State::At(door);
        }
    }

    /// Closes the door.
    pub(super) fn leave(&self) {
        *self.state() = State::Left;
    }

    /// The next connection; none after the door was left.
    pub(super) async fn accept(&self) -> Option<io::Result<TcpStream>> {
        poll_fn(|cx| match &*self.state() {
            State::At(door) => door.poll_accept(cx).map(Some),
            State::Waiting | State::Left => Poll::Ready(None),
        })
        .await
    }

    /// Held for moments only, and never left half-written.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
