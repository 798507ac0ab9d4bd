//! A TCP proxy that can stop passing bytes on, delay them, and break connections.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Passes them on.
    Flows,
    /// Passes them on later.
    Delayed(Duration),
    /// Keeps all of them, as a partitioned network does.
    Stalls,
    /// Passes requests on and keeps the answers.
    KeepsAnswers,
}

#[derive(Clone, Copy)]
struct Orders {
    traffic: Traffic,
    /// Connections of earlier generations end.
    generation: u64,
}

/// A proxy in front of a server.
pub struct StallingProxy {
    addr: SocketAddr,
    orders: watch::Sender<Orders>,
    /// Bytes that went to the server.
    passed: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Drop for StallingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StallingProxy {
    /// A proxy in front of `server`.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (orders, ordered) = watch::channel(Orders { traffic: Traffic::Flows, generation: 0 });
        let (counter, passed) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, ordered.clone(), counter.clone()));
            }
        });
        Self { addr, orders, passed, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes what it does with bytes.
    pub fn set(&self, traffic: Traffic) {
        self.orders.send_modify(|orders| orders.traffic = traffic);
    }

    /// Breaks all connections; new ones are accepted.
    pub fn reset(&self) {
        self.orders.send_modify(|orders| orders.generation += 1);
    }

    /// How many bytes have gone to the server.
    pub fn passed(&self) -> u64 {
        *self.passed.borrow()
    }

    /// Waits until more than `before` bytes have gone to the server.
    pub async fn passed_more_than(&self, before: u64) {
        self.passed.clone().wait_for(|passed| *passed > before).await.unwrap();
    }
}

async fn relay(
    client: TcpStream,
    server: SocketAddr,
    orders: watch::Receiver<Orders>,
    passed: watch::Sender<u64>,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let generation = orders.borrow().generation;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let requests = pump(from_client, to_server, orders.clone(), false, |bytes| {
        passed.send_modify(|passed| *passed += bytes);
    });
    let answers = pump(from_server, to_client, orders.clone(), true, |_| ());
    let mut orders = orders.clone();
    tokio::select! {
        // First, so that nothing that was kept passes when the connection is to break.
        biased;
        _ = orders.wait_for(|orders| orders.generation != generation) => (),
        _ = requests => (),
        _ = answers => (),
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut orders: watch::Receiver<Orders>,
    answers: bool,
    count: impl Fn(u64),
) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        let flows = |orders: &Orders| match orders.traffic {
            Traffic::Flows | Traffic::Delayed(_) => true,
            Traffic::Stalls => false,
            Traffic::KeepsAnswers => !answers,
        };
        let traffic = orders.wait_for(flows).await.ok()?.traffic;
        if let Traffic::Delayed(delay) = traffic {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&buffer[..read]).await.ok()?;
        count(read as u64);
    }
}
