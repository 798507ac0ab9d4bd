//! How fast the SQLite backend is: `cargo run --release -p thv-store --example sqlite_speed`.
//!
//! Each task rotates refresh tokens: it loads a grant of about 1 KB and writes it back under the condition that nobody else
//! did, sealed as in production.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a part of the product")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use thv_clock::Timestamp;
use thv_jose::at_rest::AtRestRing;
use thv_jose::reload::AtRestHandle;
use thv_store::records::{SessionId, UpstreamTokens, VaultEntry};
use thv_store::sqlite::{self, SqliteSettings, Synchronous};
use thv_store::{Stores, memory, sealed};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const ROWS: u32 = 20_000;
const PAIRS: u32 = 20_000;

#[tokio::main]
async fn main() {
    println!("store    tasks  pairs/s  µs/pair  CPU µs/pair  reads/s");
    for tasks in [1, 8, 64] {
        measure("memory", &memory::stores(memory::Capacity::default()), tasks).await;
        for synchronous in [Synchronous::Normal, Synchronous::Full] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("store.db");
            let rows = Arc::new(sqlite::open(&SqliteSettings { path, synchronous }).unwrap());
            let keys = AtRestHandle::new(AtRestRing::new(vec![vec![1; 32].into()]).unwrap());
            let stores = sealed::stores(rows.clone(), keys);
            measure(&format!("{synchronous:?}"), &stores, tasks).await;
            rows.close().await;
        }
    }
}

async fn measure(name: &str, stores: &Stores, tasks: u32) {
    let until = NOW + Duration::from_secs(3600);
    each(stores, 64, ROWS, move |stores, id| async move {
        stores.upstream_tokens.put(&id, None, entry(), until, NOW).await.unwrap();
    })
    .await;
    let (begun, cpu) = (Instant::now(), cpu_time());
    each(stores, tasks, PAIRS, |stores, id| async move {
        let row = stores.upstream_tokens.load(&id, "corp", NOW).await.unwrap().unwrap();
        assert!(stores.upstream_tokens.replace(&id, &row, entry(), NOW).await.unwrap());
    })
    .await;
    let (elapsed, cpu) = (begun.elapsed(), cpu_time() - cpu);
    let begun = Instant::now();
    each(stores, tasks, PAIRS, |stores, id| async move {
        assert!(stores.upstream_tokens.load(&id, "corp", NOW).await.unwrap().is_some());
    })
    .await;
    let reads = f64::from(PAIRS) / begun.elapsed().as_secs_f64();
    let pairs = f64::from(PAIRS);
    println!(
        "{name:8} {tasks:5} {:8.0} {:8.1} {:12.1} {reads:8.0}",
        pairs / elapsed.as_secs_f64(),
        elapsed.as_secs_f64() * 1e6 * f64::from(tasks) / pairs,
        cpu.as_secs_f64() * 1e6 / pairs,
    );
}

/// Does something `total` times, by so many tasks at once, on rows in an order that is not theirs in the file.
async fn each<F: Future<Output = ()> + Send>(
    stores: &Stores,
    tasks: u32,
    total: u32,
    act: impl Fn(Stores, SessionId) -> F + Copy + Send + 'static,
) {
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let stores = stores.clone();
            tokio::spawn(async move {
                for number in (task..total).step_by(tasks as usize) {
                    let id = number % ROWS * 7919 % ROWS;
                    act(stores.clone(), SessionId(u128::from(id).to_be_bytes())).await;
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
}

fn entry() -> VaultEntry {
    let tokens = UpstreamTokens {
        provider: "corp".to_owned(),
        subject: "subject".to_owned(),
        access_token: "a".repeat(600).into(),
        refresh_token: Some("r".repeat(100).into()),
        obtained_at: NOW,
        expires_at: Some(NOW),
        scopes: Some("openid profile email".to_owned()),
        client_id: Some("client".to_owned()),
    };
    VaultEntry { tokens, rotates: Some(true), intent: None, login: 1, forced_at: None, refused_at: None }
}

/// User and system time of this process (`/proc/self/stat`, in hundredths of a second).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
