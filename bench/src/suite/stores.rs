//! What a durable store costs: `thv` on one against `thv` on the memory store.

use std::time::Instant;

use super::bed::Bed;
use super::families::Families;
use super::figures::{Figure, Goal, Spread};
use super::paired::{self, Side};
use super::report::Report;
use super::scenarios::tools_call_work;
use super::stored::{Kind, Stored, Surroundings};
use crate::error::BenchError;
use crate::load::{Pace, Work};
use crate::login::{Endpoints, PublicClient};
use crate::provider;

/// The stores whose refresh grant is compared.
const DURABLE: [(Kind, Option<Goal>); 3] = [
    (Kind::SqliteNormal, Some(Goal::AtLeast(0.40))),
    (Kind::SqliteFull, None),
    (Kind::Redis, Some(Goal::AtLeast(0.60))),
];

/// The refresh grant with rotation on each store. Every comparison has its own rounds on the memory store.
pub(super) async fn refresh(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    for (kind, goal) in DURABLE {
        let memory = Stored::start(bed, Kind::Memory, None)?;
        let durable = Stored::start(bed, kind, None)?;
        let on_memory = Families::logged_in(bed, &memory.server).await?;
        let on_durable = Families::logged_in(bed, &durable.server).await?;
        let mut baseline = Side::new(Kind::Memory.label(), &memory.server, on_memory.work);
        let mut subject =
            Side::with_store(kind.label(), &durable.server, on_durable.work, durable.store_pid());
        let seen = paired::compare(bed, &mut baseline, &mut subject, Pace::Closed)?;
        report.throughput(&format!("refresh on {}", kind.label()), &seen, goal)?;
    }
    Ok(())
}

/// `tools/call` of one session with the upstream provider's token injected, on Redis. Commands are counted from after the
/// first requests to the end of the comparison, and related to the requests of the measured windows alone.
pub(super) async fn tools_call(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    const NAME: &str = "tools/call on redis";
    let backend = bed.demanding_backend(provider::ACCESS_TOKEN)?;
    let provider = bed.provider()?;
    let surroundings = Surroundings { backend: backend.address, provider: provider.address };
    let memory = Stored::start(bed, Kind::Memory, Some(&surroundings))?;
    let durable = Stored::start(bed, Kind::Redis, Some(&surroundings))?;
    let redis = durable.redis.as_ref().ok_or_else(|| BenchError::Missing("there is no redis".into()))?;

    let mut baseline = Side::new(Kind::Memory.label(), &memory.server, logged_in(bed, &memory).await?);
    let work = logged_in(bed, &durable).await?;
    let mut subject = Side::with_store(Kind::Redis.label(), &durable.server, work, Some(redis.pid()));
    subject.warm_up(bed)?;
    if redis.commands()?.is_empty() {
        return Err(BenchError::Missing("a login on redis left no command there".into()));
    }
    redis.forget_commands()?;
    let begun = Instant::now();
    let seen = paired::compare(bed, &mut baseline, &mut subject, Pace::Closed)?;
    let (minutes, commands) = (begun.elapsed().as_secs_f64() / 60.0, redis.commands()?);
    report.throughput(NAME, &seen, None)?;

    for (command, calls) in &commands {
        report.add(Figure::new(format!("{NAME}: {command}"), "calls", Spread::single(number(*calls))))?;
    }
    let calls = number(commands.values().sum());
    let name = |what: &str| format!("{NAME}: commands per {what}");
    report.add(Figure::new(name("session and minute"), "", Spread::single(calls / minutes)))?;
    let requests = number(u64::try_from(seen.subject_requests()).unwrap_or(u64::MAX));
    let per_thousand = Spread::single(calls / requests.max(1.0) * 1000.0);
    report.add(Figure::judged(name("1000 requests"), "", per_thousand, Goal::AtMost(1.0)))
}

/// `tools/call` with the access token of a fresh login.
async fn logged_in(bed: &Bed<'_>, on: &Stored) -> Result<Work, BenchError> {
    let endpoints = Endpoints::discover(on.server.address).await?;
    let grant = PublicClient::register(on.server.address, &endpoints, 0).await?.log_in().await?;
    Ok(tools_call_work(bed, Some(&grant.access_token)))
}

#[expect(clippy::cast_precision_loss, reason = "counts of commands and requests are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}
