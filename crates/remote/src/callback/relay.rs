//! Several processes behind one port.
//!
//! A server may insist on the one redirect URI of the client's metadata document, and two users' logins, or two workloads',
//! may run at once. The process that has the port holds a lock; the others listen on a socket each, in a directory that is
//! the user's own, named after the `state` that they wait for. What the browser brings goes to where its `state` belongs.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thv_jose::digest::{base64url, sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::door::{Door, Post};
use super::page::Outcome;
use super::serve::Server;
use super::{Own, state_of};

/// The longest query, and the longest outcome.
const MAX: u64 = 64 * 1024;
/// How long the other process may take to redeem a code, with all that belongs to it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the other process may take to say what the browser brought.
const HANDING: Duration = Duration::from_secs(5);
/// How often a process that waits looks whether the one that has the port has ended. A browser that comes in between is
/// refused.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// How often a port is tried that has become free, and that another program may have taken.
const ATTEMPTS: u32 = 20;

/// What the file of a port's lock says while its holder listens. Who has the lock may not listen yet, or not any more, and
/// another program may: a browser must not be sent there.
const LISTENING: &[u8] = b"listening";

/// Held by the process that listens on a port, for as long as it lives.
pub(super) struct PortLock {
    file: File,
}

impl PortLock {
    /// The lock, unless another process has it.
    pub(super) fn try_take(shared: &Path, port: u16) -> io::Result<Option<Self>> {
        DirBuilder::new().recursive(true).mode(0o700).create(shared)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(lock_path(shared, port))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                Ok(Some(Self { file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Says that its holder listens.
    pub(super) fn announce(&self) -> io::Result<()> {
        self.file.write_all_at(LISTENING, 0)
    }

    /// Whether the holder has said that it listens.
    pub(super) fn is_announced(shared: &Path, port: u16) -> bool {
        std::fs::read(lock_path(shared, port)).is_ok_and(|text| text == LISTENING)
    }
}

impl Drop for PortLock {
    fn drop(&mut self) {
        // The lock goes with the file; until the next holder listens, nobody does.
        let _ = self.file.set_len(0);
    }
}

fn lock_path(shared: &Path, port: u16) -> PathBuf {
    shared.join(format!("port-{port}.lock"))
}

/// A process that gets its response from the one that has the port, and takes over when that one ends.
pub(super) struct Follower {
    shared: PathBuf,
    port: u16,
    own: Own,
    socket: UnixListener,
    path: SocketFile,
}

/// Removed with its process's interest in it. One that a killed process left behind is in nobody's way: states do not repeat.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Follower {
    pub(super) fn bind(shared: &Path, port: u16, own: Own) -> io::Result<Self> {
        let path = socket(shared, &own.state);
        let socket = UnixListener::bind(&path)?;
        Ok(Self { shared: shared.to_owned(), port, own, socket, path: SocketFile(path) })
    }

    /// Takes what is passed on, and then the port, when its process has ended. It ends where another program is quicker.
    pub(super) async fn serve(self, post: Arc<Post>) {
        let mut in_vain = 0;
        while in_vain < ATTEMPTS {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => drop(tokio::spawn(take(stream, self.own.clone()))),
                    Err(_) => tokio::time::sleep(LOOK).await,
                },
                () = tokio::time::sleep(LOOK) => {
                    let Ok(Some(lock)) = PortLock::try_take(&self.shared, self.port) else { continue };
                    match Door::on(self.port, Some(lock)).await {
                        Ok(door) => {
                            drop(self.path);
                            post.take_over(door);
                            let server = Server { port: self.port, own: self.own, shared: self.shared };
                            return server.serve(post).await;
                        }
                        Err(_) => in_vain += 1,
                    }
                }
            }
        }
    }
}

/// Takes a query from the process that has the port.
async fn take(mut stream: UnixStream, own: Own) {
    let (reader, mut writer) = stream.split();
    let mut query = String::new();
    let read = timeout(HANDING, reader.take(MAX).read_to_string(&mut query)).await;
    if !matches!(read, Ok(Ok(_))) || !own.is_meant(&query) {
        return;
    }
    let (outcome, shown) = own.deliver(query).await;
    let text = serde_json::to_vec(&outcome).unwrap_or_default();
    // The other process shows the outcome; without it, it shows that nobody waits.
    let _ = writer.write_all(&text).await;
    drop(shown);
}

/// Passes a query on to the process that waits for its `state`, and returns what came of it.
pub(super) async fn pass_on(shared: &Path, query: &str) -> Option<Outcome> {
    let path = socket(shared, &state_of(query)?);
    let exchange = async {
        let mut stream = UnixStream::connect(path).await.ok()?;
        stream.write_all(query.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()?;
        let mut outcome = Vec::new();
        stream.take(MAX).read_to_end(&mut outcome).await.ok()?;
        serde_json::from_slice(&outcome).ok()
    };
    timeout(PATIENCE, exchange).await.ok().flatten()
}

/// A path of bounded length that tells nothing of the state.
fn socket(shared: &Path, state: &str) -> PathBuf {
    let digest = sha256(state.as_bytes());
    let name = base64url(digest.get(..12).unwrap_or_default());
    shared.join(format!("{name}.sock"))
}
