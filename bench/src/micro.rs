//! Single operations, timed in this process: the floor under the figures of the suite.

mod client_document;
mod known_token;
mod records;

use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;

use crate::baseline::Signer;
use crate::error::{BenchError, During as _};

/// Batches per operation; the median of them is reported.
const BATCHES: usize = 21;

/// Where the operations that need others run.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Core of Redis
    #[arg(long, default_value_t = 0)]
    redis_core: usize,
    /// Directory for SQLite databases [default: the system's for temporary files]
    #[arg(long)]
    store_dir: Option<PathBuf>,
}

/// Prints the median time of each operation.
///
/// # Errors
/// When the crypto library fails, a store cannot be had, or stdout is gone.
pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let signer = Signer::new(0).during("making the signing key")?;
    let token = signer.access_token().during("signing a token")?;
    let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
    let signature = URL_SAFE_NO_PAD.decode(signature).during("decoding a signature")?;
    let public =
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signer.key().public_key().as_ref().to_vec());

    report("sign an access token, ES256", 500, || signer.access_token().is_ok())?;
    report("verify its signature, ES256", 500, || public.verify(signed.as_bytes(), &signature).is_ok())?;
    known_token::run()?;
    client_document::run()?;
    records::run(options)
}

/// What a future gives that has nothing to wait for.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Times `operation` in batches of `batch` calls; an operation that says `false` is not worth a figure.
fn report(name: &str, batch: u32, mut operation: impl FnMut() -> bool) -> Result<(), BenchError> {
    let mut micros = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..batch {
            if !black_box(operation()) {
                return Err(BenchError::Missing(format!("{name}: the operation did not succeed")));
            }
        }
        micros.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(batch));
    }
    micros.sort_by(f64::total_cmp);
    let median = micros.get(BATCHES / 2).copied().unwrap_or_default();
    writeln!(std::io::stdout(), "{name:<48} {median:>9.2} µs").during("printing")
}
