//! Every scenario, one after the other, on two cores.

mod bed;
mod compared;
mod families;
mod figures;
mod footprint;
mod paired;
mod peers;
mod report;
mod run;
mod scenarios;
mod stored;
mod stores;
mod subject;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::error::BenchError;

use bed::Bed;
use report::Report;

/// How to measure.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The `thv` binary [default: the one beside this program]
    #[arg(long)]
    thv: Option<PathBuf>,
    /// Configuration given to `thv serve --dev` with `-c`; the scenarios on stores have their own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Which scenarios [default: all but those with peers, which bench/peers/install installs]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Measure each baseline against a second copy of itself: every ratio must come out near 1
    #[arg(long)]
    calibrate: bool,
    /// Paired rounds per scenario
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measured milliseconds per round and server
    #[arg(long, default_value_t = 3000)]
    measure_ms: u64,
    /// Milliseconds before each measurement
    #[arg(long, default_value_t = 500)]
    warmup_ms: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Core of the servers under measurement
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core of the load and of the backend
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Core of Redis [default: that of the load]
    #[arg(long)]
    redis_core: Option<usize>,
    /// Directory for SQLite databases [default: the system's for temporary files]
    #[arg(long)]
    store_dir: Option<PathBuf>,
    /// How often the start is timed
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// Logins before memory is read again
    #[arg(long, default_value_t = 2_000)]
    logins: u32,
    /// Clients that share these logins
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// 100 000 logins by 10 000 clients
    #[arg(long, conflicts_with_all = ["logins", "clients"])]
    full: bool,
    /// Also write all rounds to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fail when a goal is missed
    #[arg(long)]
    check: bool,
    /// Show what `thv` prints
    #[arg(long)]
    show_log: bool,
}

/// A group of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Authenticated `tools/call` against the bare proxy, throughput and latency
    ToolsCall,
    /// The discovery document against the bare responder
    Discovery,
    /// The refresh grant against the bare signer
    Refresh,
    /// Binary size, start, memory
    Process,
    /// The refresh grant on SQLite and Redis against the same on the memory store
    StoreRefresh,
    /// `tools/call` with an injected token on Redis: against the memory store, and Redis commands
    StoreToolsCall,
    /// `tools/call` through `thv run` against the bare proxy, throughput and latency
    RunToolsCall,
    /// `thv run`: time to the first answer, memory
    RunProcess,
    /// `thv run` in front of a remote server against mcp-remote and mcp-proxy
    RunPeers,
    /// `thv run` in front of a local server against mcp-proxy and supergateway
    StdioPeers,
}

impl Options {
    fn wants(&self, scenario: Scenario) -> bool {
        let with_peers = matches!(scenario, Scenario::RunPeers | Scenario::StdioPeers);
        (self.only.is_empty() && !with_peers) || self.only.contains(&scenario)
    }

    /// Logins and clients of the memory scenario.
    fn crowd(&self) -> (u32, u32) {
        if self.full { (100_000, 10_000) } else { (self.logins, self.clients) }
    }
}

/// Runs the scenarios and prints the figures as they come.
///
/// # Errors
/// When a server cannot be started or answers what its scenario does not allow.
pub(crate) async fn run(options: &Options) -> Result<ExitCode, BenchError> {
    let bed = Bed::new(options)?;
    let mut report = Report::begin(options)?;
    if options.wants(Scenario::ToolsCall) {
        scenarios::tools_call(&bed, &mut report).await?;
    }
    if options.wants(Scenario::Discovery) {
        scenarios::discovery(&bed, &mut report).await?;
    }
    if options.wants(Scenario::Refresh) {
        scenarios::refresh(&bed, &mut report).await?;
    }
    if options.wants(Scenario::Process) && !options.calibrate {
        footprint::measure(&bed, &mut report).await?;
    }
    if options.wants(Scenario::StoreRefresh) && !options.calibrate {
        stores::refresh(&bed, &mut report).await?;
    }
    if options.wants(Scenario::StoreToolsCall) && !options.calibrate {
        stores::tools_call(&bed, &mut report).await?;
    }
    if options.wants(Scenario::RunToolsCall) && !options.calibrate {
        run::tools_call(&bed, &mut report)?;
    }
    if options.wants(Scenario::RunProcess) && !options.calibrate {
        run::process(&bed, &mut report)?;
    }
    if options.wants(Scenario::RunPeers) && !options.calibrate {
        compared::remote(&bed, &mut report)?;
    }
    if options.wants(Scenario::StdioPeers) && !options.calibrate {
        compared::local(&bed, &mut report)?;
    }
    report.finish(options.json.as_deref())?;
    let failed = options.check && !report.all_met();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
