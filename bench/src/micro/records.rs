//! Records at rest: sealing them, and one read and one conditional write on each store.
//!
//! Each call waits for the one before, so a figure is the latency of a lone operation: what requests share under load (a
//! commit, a round trip) nobody shares here.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thv_clock::{SystemClock, Timestamp};
use thv_jose::at_rest::AtRestRing;
use thv_jose::random;
use thv_jose::reload::AtRestHandle;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::scope::ScopeSet;
use thv_store::records::{Grant, GrantClient, GrantId, RefreshFamily, SessionId, Subject};
use thv_store::redis::{Endpoint, RedisSettings, Topology};
use thv_store::sqlite::{SqliteSettings, Synchronous};
use thv_store::{Rotation, RotationPolicy, StoreError, Stores, memory, redis, sealed, sqlite};
use tokio::runtime::Runtime;

use super::{Options, report};
use crate::error::{BenchError, During as _};
use crate::redis::Redis;

/// The record that is sealed.
const RECORD_BYTES: usize = 1024;

/// What is appended before the disk is waited for: a page of SQLite's log.
const PAGE: [u8; 4096] = [0; 4096];

const POLICY: RotationPolicy =
    RotationPolicy { grace: Duration::from_secs(60), idle: Duration::from_secs(86_400) };

/// Seals, opens, reads and writes.
pub(super) fn run(options: &Options) -> Result<(), BenchError> {
    at_rest()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.during("starting the runtime")?;
    let _inside = runtime.enter();
    grants(&runtime, "memory", 2_000, &memory::stores(memory::Capacity::default()))?;

    let parent = options.store_dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::tempdir_in(parent).during("making a directory for the stores")?;
    disk(dir.path())?;
    for (name, batch, synchronous) in
        [("sqlite", 500, Synchronous::Normal), ("sqlite full", 20, Synchronous::Full)]
    {
        let settings = SqliteSettings { path: dir.path().join(name), synchronous };
        let rows = Arc::new(sqlite::open(&settings).during("opening a database")?);
        grants(&runtime, name, batch, &sealed::stores(rows, keys()?))?;
    }

    let server = Redis::start(options.redis_core)?;
    let addr = Endpoint::new(server.address().ip().to_string(), server.address().port());
    let rows = redis::connect(RedisSettings::new(Topology::Standalone { addr, db: 0 }));
    let rows = Arc::new(rows.during("preparing to connect to redis")?);
    grants(&runtime, "redis", 500, &sealed::stores(rows, keys()?))
}

fn ring() -> Result<AtRestRing, BenchError> {
    let secret: [u8; 32] = random::bytes();
    AtRestRing::new(vec![secret.to_vec().into()]).during("making an encryption key")
}

fn keys() -> Result<AtRestHandle, BenchError> {
    Ok(AtRestHandle::new(ring()?))
}

fn at_rest() -> Result<(), BenchError> {
    let (ring, record, place) = (ring()?, [b'x'; RECORD_BYTES], b"a record's place");
    let sealed = ring.seal(place, &record).during("sealing a record")?;
    report("seal a record of 1 KB", 2_000, || ring.seal(place, &record).is_ok())?;
    report("open a record of 1 KB", 2_000, || {
        ring.open(place, &sealed).is_ok_and(|opened| opened.plaintext.len() == RECORD_BYTES)
    })
}

/// What the disk makes a synchronous commit wait, whoever asks.
fn disk(dir: &Path) -> Result<(), BenchError> {
    let file = OpenOptions::new().append(true).create(true).open(dir.join("log"));
    let mut file = file.during("making a file")?;
    report("append 4 KB to a file and wait for the disk", 20, || {
        file.write_all(&PAGE).and_then(|()| file.sync_data()).is_ok()
    })
}

/// A read of a grant, and a read with the conditional write that follows it at a refresh.
fn grants(runtime: &Runtime, name: &str, batch: u32, stores: &Stores) -> Result<(), BenchError> {
    let (grants, now) = (&stores.grants, SystemClock::shared().now());
    let grant = grant(now)?;
    let id = grant.id;
    runtime.block_on(grants.insert(grant, now)).during(format!("inserting a grant on {name}"))?;
    report(&format!("{name}: load a grant"), batch, || {
        runtime.block_on(grants.load(&id, now)).is_ok_and(|grant| grant.is_some())
    })?;
    report(&format!("{name}: load a grant and rotate it"), batch, || {
        let rotated = runtime.block_on(async {
            let Some(row) = grants.load(&id, now).await? else { return Ok::<_, StoreError>(false) };
            let generation = row.value.refresh.map_or(0, |family| family.generation);
            let rotation = grants.rotate(row, generation, now, POLICY).await?;
            Ok(matches!(rotation, Rotation::Rotated(_)))
        });
        rotated.unwrap_or(false)
    })
}

/// A grant as a login of a registered public client makes it.
fn grant(now: Timestamp) -> Result<Grant, BenchError> {
    let day = now + Duration::from_secs(86_400);
    Ok(Grant {
        id: GrantId::random(),
        session: SessionId::random(),
        client: Arc::new(GrantClient {
            client_id: "https://client.example/metadata.json".to_owned(),
            client_name: "Bench".to_owned(),
            auth_method: AuthMethod::None,
            may_be_public: true,
            jwks: None,
            jwks_uri: None,
            may_refresh: true,
            metadata_hash: "0".repeat(43),
        }),
        subject: Subject {
            sub: "local:dev".to_owned(),
            upstream: "local".to_owned(),
            name: Some("Developer".to_owned()),
            email: None,
        },
        scopes: ScopeSet::parse("openid offline_access").during("making scopes")?,
        resources: vec!["http://127.0.0.1:8080/mcp".to_owned()],
        auth_time: now,
        ended_login: None,
        refresh: Some(RefreshFamily {
            generation: 0,
            rotated_at: now,
            idle_expires_at: day,
            absolute_expires_at: day,
        }),
        expires_at: day,
    })
}
