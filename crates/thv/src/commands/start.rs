//! `thv start` and `thv restart`

use std::time::Duration;

use serde_json::json;
use thv_remote::session::Session;
use thv_workload::logs::keep_small;
use thv_workload::process::{NotReady, detach, spawn_detached, stop};
use thv_workload::run::{Signals, open_session, start as start_workload};
use thv_workload::run_lock::{Holder, TakeError};
use thv_workload::store::StoreError;
use thv_workload::{Definition, RunLock, WorkloadName};
use tokio_util::task::AbortOnDropHandle;

use super::machine::{Machine, Talk, block_on};
use super::stop::{PATIENCE, names_of};
use crate::args::{Several, Start};
use crate::failure::Failure;
use crate::printer;

/// How long a process that was started may take until it serves.
const READY: Duration = Duration::from_secs(60);

/// How a workload is brought up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bring {
    pub(super) foreground: bool,
    pub(super) json: bool,
    /// In the process that goes on by itself.
    pub(super) detached: bool,
}

/// `thv start`
pub(crate) fn start(args: Start) -> Result<(), Failure> {
    if args.detached {
        // It fails where the process leads its group already, started by hand from a shell: then there is nothing to leave.
        let _ = detach();
    }
    block_on(async {
        let machine = Machine::open()?;
        let definition = machine.definition(&args.name)?;
        let bring = Bring { foreground: args.foreground, json: args.json, detached: args.detached };
        bring_up(&machine, definition, bring).await
    })
}

/// `thv restart`
pub(crate) fn restart(args: Several) -> Result<(), Failure> {
    block_on(async {
        let machine = Machine::open()?;
        for name in names_of(&machine, &args)? {
            let stopped = stop(&machine.store, &name, PATIENCE).await;
            stopped.map_err(|error| Failure::from_error(&error))?;
            let bring = Bring { foreground: false, json: args.json, detached: false };
            bring_up(&machine, machine.definition(&name)?, bring).await?;
        }
        Ok(())
    })
}

/// Starts a workload, logging in first if need be: in this process, or in one that goes on by itself.
pub(super) async fn bring_up(machine: &Machine, definition: Definition, bring: Bring) -> Result<(), Failure> {
    if bring.foreground {
        return serve(machine, definition, bring).await;
    }
    if let Some(holder) =
        Holder::of(machine.store.paths(), &definition.name).map_err(|error| Failure::from_error(&error))?
    {
        return Err(already_running(&definition.name, holder.pid));
    }
    log_in_first(machine, &definition).await?;
    let name = &definition.name;
    let program = std::env::current_exe().map_err(|error| Failure::from_error(&error))?;
    let arguments = ["start", name.as_str(), "--foreground", "--detached"];
    let log = machine.store.paths().log(name);
    let spawned = spawn_detached(&program, arguments, &log, &[]);
    let mut spawned = spawned.map_err(|error| Failure::from_error(&error))?;
    let status = spawned.ready(&machine.store, name, READY).await.map_err(|error| {
        if let NotReady::Store(StoreError::Running { name, pid }) = &error {
            return already_running(name, *pid);
        }
        let failure = Failure::from_error(&error).with_hint(format!("`thv logs {name}` shows the log"));
        printer::talk(&error.log().iter().map(|line| format!("  | {line}\n")).collect::<String>());
        failure
    })?;
    report(name, status.url.as_deref().unwrap_or_default(), bring)
}

/// Logs in while the user is looking.
async fn log_in_first(machine: &Machine, definition: &Definition) -> Result<(), Failure> {
    if definition.remote_url.is_none() {
        return Ok(());
    }
    if !machine.keeps_logins()? {
        printer::talk(
            "secrets come from the environment, which keeps no login: it is made when a client needs it\n",
        );
        return Ok(());
    }
    let environment = machine.environment(Talk::User)?;
    let roots = machine.roots(definition)?;
    let session = open_session(definition, &environment, &roots).await.map_err(Failure::from)?;
    match session {
        Some(session) => prepare(&session).await,
        None => Ok(()),
    }
}

async fn prepare(session: &Session) -> Result<(), Failure> {
    match session.prepare().await {
        Ok(_) => Ok(()),
        // It may be there again when it is needed.
        Err(error) if error.is_temporary() => {
            let hint = error.hint().map(|hint| format!("  hint: {hint}\n")).unwrap_or_default();
            printer::talk(&format!("warning: {}\n{hint}", thv_telemetry::chain(&*error)));
            Ok(())
        }
        Err(error) => Err(Failure::from_login(&error)),
    }
}

async fn serve(machine: &Machine, definition: Definition, bring: Bring) -> Result<(), Failure> {
    let name = definition.name.clone();
    // Before anybody can find out whom to send one.
    let mut signals = Signals::listen().map_err(|error| Failure::from_error(&error))?;
    let lock = take(machine, &name)?;
    let _log = bring
        .detached
        .then(|| AbortOnDropHandle::new(tokio::spawn(keep_small(machine.store.paths().log(&name)))));
    let serving = async {
        let environment = machine.environment(if bring.detached { Talk::Log } else { Talk::User })?;
        let roots = machine.roots(&definition)?;
        let session = open_session(&definition, &environment, &roots).await?;
        if let Some(session) = session.as_ref().filter(|_| !bring.detached) {
            prepare(session).await?;
        }
        Ok::<_, Failure>(start_workload(&definition, &environment, session, &roots, &lock).await?)
    };
    let started = tokio::select! {
        started = serving => started,
        () = signals.stop() => return Ok(()),
    };
    let running = match started {
        Ok(started) => started,
        Err(failure) => {
            let detail =
                failure.0.iter().map(|complaint| complaint.one_line()).collect::<Vec<_>>().join("; ");
            let status =
                thv_workload::Status::new(name, thv_workload::status::State::Error).with_detail(detail);
            let _ = lock.report(&status);
            return Err(failure);
        }
    };
    if !bring.detached {
        report(&name, &running.url, bring)?;
    }
    tracing::info!(workload = %name, url = running.url, "ready");
    running.until(&lock, &mut signals).await;
    Ok(())
}

/// Takes the lock of a workload that does not run.
pub(super) fn take(machine: &Machine, name: &WorkloadName) -> Result<RunLock, Failure> {
    RunLock::try_take(machine.store.paths(), name).map_err(|error| match error {
        TakeError::Running { pid, .. } => already_running(name, pid),
        error => Failure::from_error(&error),
    })
}

fn already_running(name: &WorkloadName, pid: Option<u32>) -> Failure {
    let process = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    Failure::new(format!("the workload {name} is running already{process}"))
        .with_hint(format!("`thv status {name}` shows its URL, `thv restart {name}` starts it anew"))
}

/// The one line of data: where MCP clients connect to.
fn report(name: &WorkloadName, url: &str, bring: Bring) -> Result<(), Failure> {
    if bring.json {
        return printer::data(&format!("{}\n", json!({"name": name.as_str(), "url": url})));
    }
    let place = if bring.foreground { "until Ctrl-C ends it" } else { "in the background" };
    printer::talk(&format!("{name} runs {place}; MCP clients connect to\n"));
    printer::data(&format!("{url}\n"))
}
