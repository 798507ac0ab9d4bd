use std::net::{Ipv4Addr, SocketAddr};

use thv_clock::SystemClock;
use thv_config::{Config, Problem, Problems, Profile, Severity};
use thv_gateway::{Options, Running, bind, check, run};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::serve_next_steps::next_steps;
use crate::args::Serve;
use crate::failure::Failure;
use crate::printer;

/// Where the development server listens unless told otherwise.
pub(super) const DEVELOPMENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// `thv serve`
pub(crate) fn serve(args: Serve) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::from_error(&error))?;
    runtime.block_on(async {
        if args.check {
            return report(&all_problems(&args)?);
        }
        let running = start(&args).await?;
        until_told_to_stop(running).await
    })
}

fn profile(args: &Serve) -> Profile {
    if args.dev { Profile::Development } else { Profile::Production }
}

async fn start(args: &Serve) -> Result<Running, Failure> {
    let mut options = Options::new(profile(args), SystemClock::shared(), env!("CARGO_PKG_VERSION"));
    if !args.dev {
        return Ok(run(configuration(args, DEVELOPMENT)?, options).await?);
    }
    let wanted = match args.listen {
        Some(flag) => flag,
        None => configuration(args, DEVELOPMENT)?.listen,
    };
    // Bound before it is configured: with port 0 nobody knows the URLs before.
    let socket = bind(wanted).await?;
    let config = configuration(args, local_address(&socket)?)?;
    options.socket = Some(socket);
    let steps = next_steps(&config);
    let running = run(config, options).await?;
    printer::data(&steps)?;
    Ok(running)
}

fn local_address(socket: &TcpListener) -> Result<SocketAddr, Failure> {
    socket.local_addr().map_err(|error| Failure::from_error(&error))
}

/// The file's configuration, or the development configuration of a server at `listen`; flags win.
fn configuration(args: &Serve, listen: SocketAddr) -> Result<Config, Problems> {
    let target = args.target.as_deref();
    let mut config = match &args.config {
        Some(file) if args.dev => Config::load_development(listen, target, file)?,
        Some(file) => Config::load(file)?,
        None => Config::development(listen, target),
    };
    if let Some(target) = target {
        config.server.url = Some(target.to_owned());
    }
    match args.listen {
        Some(_) if args.dev => config.listen = listen,
        Some(flag) => config.listen = flag,
        None => {}
    }
    Ok(config)
}

/// Mistakes in the file's shape, and what is wrong with everything else in it.
fn all_problems(args: &Serve) -> Result<Vec<Problem>, Problems> {
    let listen = args.listen.unwrap_or(DEVELOPMENT);
    let (config, mut problems) = match &args.config {
        Some(file) if !args.dev => Config::load_rest(file)?,
        Some(_) | None => (configuration(args, listen)?, Vec::new()),
    };
    let reported: Vec<String> = problems.iter().map(|problem| problem.path.clone()).collect();
    // A value that was left out for its shape would be reported as missing.
    let new = |problem: &Problem| !reported.iter().any(|path| problem.path.starts_with(path.as_str()));
    problems.extend(check(&config, profile(args)).into_iter().filter(new));
    Ok(problems)
}

/// The result of a check: warnings and errors to standard error, the verdict to standard output.
fn report(problems: &[Problem]) -> Result<(), Failure> {
    problems.iter().filter(|problem| problem.severity == Severity::Warning).for_each(printer::warning);
    let errors: Vec<Problem> = problems.iter().filter(|problem| problem.is_error()).cloned().collect();
    if errors.is_empty() {
        printer::data("the configuration is valid\n")
    } else {
        Err(Problems(errors).into())
    }
}

async fn until_told_to_stop(running: Running) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::from_error(&error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tracing::info!(listen.address = %running.address, "ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: waiting for running requests");
    running.stop_token().cancel();
    tokio::select! {
        () = running.stopped() => Ok(()),
        // Asked twice: whoever asks does not want to wait.
        _ = interrupt.recv() => Ok(()),
    }
}
