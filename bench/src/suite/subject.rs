//! `thv serve --dev` as a child process.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::bed::{Bed, Server};
use crate::error::BenchError;
use crate::process::{Output, Pinned, free_address};

/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A ready server and how long it took from spawn to the first 200 on `/health`.
pub(super) struct Started {
    pub(super) server: Server,
    pub(super) ready_after: Duration,
}

/// Starts `thv` on the servers' core, in front of `backend` or of its own development server, and waits until it is
/// healthy.
///
/// # Errors
/// When it ends or is not healthy in time.
pub(super) fn start(bed: &Bed<'_>, backend: Option<SocketAddr>) -> Result<Started, BenchError> {
    start_with(bed, backend, bed.options.config.as_deref())
}

/// The same with this configuration.
///
/// # Errors
/// As [`start`].
pub(super) fn start_with(
    bed: &Bed<'_>,
    backend: Option<SocketAddr>,
    config: Option<&Path>,
) -> Result<Started, BenchError> {
    let address = free_address()?;
    let mut args = vec!["serve".to_owned(), "--dev".to_owned(), "--listen".to_owned(), address.to_string()];
    if let Some(backend) = backend {
        args.extend(["--target".to_owned(), format!("http://{backend}/mcp")]);
    }
    if let Some(config) = config {
        args.extend(["--config".to_owned(), config.display().to_string()]);
    }
    let output = if bed.options.show_log { Output::Shown } else { Output::Muted };
    let spawned = Instant::now();
    let mut process = Pinned::start(bed.options.server_core, &bed.thv, args, output)?;
    if !process.becomes(PATIENCE, || healthy(address)) {
        let text = "thv did not become ready: run the suite with --show-log to see why";
        return Err(BenchError::Missing(text.into()));
    }
    Ok(Started { ready_after: spawned.elapsed(), server: Server { process, address } })
}

/// Whether `/health` answers 200 now.
fn healthy(address: SocketAddr) -> bool {
    let attempt = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(&status == b"HTTP/1.1 200")
    };
    attempt().unwrap_or(false)
}
