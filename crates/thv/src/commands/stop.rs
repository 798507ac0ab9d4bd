//! `thv stop` and `thv rm`

use std::time::Duration;

use serde_json::{Value, json};
use thv_workload::process::{Stopped, stop as stop_workload};
use thv_workload::run::{open_session, remove as forget};
use thv_workload::store::StoreError;
use thv_workload::{RunLock, WorkloadName};
use tokio::signal::unix::{SignalKind, signal};

use super::machine::{Machine, Talk, block_on};
use crate::args::{Remove, Several};
use crate::failure::Failure;
use crate::printer;

/// How long a workload may take to end by itself: requests have 3 s, twice with an authorization server in front, and then the
/// command 10 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// `thv stop`
pub(crate) fn stop(args: Several) -> Result<(), Failure> {
    block_on(async {
        let machine = Machine::open()?;
        let mut done = Vec::new();
        for name in names_of(&machine, &args)? {
            machine.definition(&name)?;
            let stopped = stop_workload(&machine.store, &name, PATIENCE).await;
            let stopped = stopped.map_err(|error| Failure::from_error(&error))?;
            done.push((name, describe(stopped)));
        }
        report(&done, args.json)
    })
}

/// `thv rm`
pub(crate) fn remove(args: Remove) -> Result<(), Failure> {
    block_on(async {
        let machine = Machine::open()?;
        let mut done = Vec::new();
        for name in names_of(&machine, &args.which)? {
            if args.force {
                let stopped = stop_workload(&machine.store, &name, PATIENCE).await;
                stopped.map_err(|error| Failure::from_error(&error))?;
            }
            remove_one(&machine, &name).await?;
            done.push((name, "removed"));
        }
        report(&done, args.which.json)
    })
}

/// Ends the login where it was made, then forgets everything. Nobody starts the workload meanwhile.
async fn remove_one(machine: &Machine, name: &WorkloadName) -> Result<(), Failure> {
    // Whoever logs in tells the holder of the lock about it, and that would end this process.
    let _told = signal(SignalKind::user_defined1()).map_err(|error| Failure::from_error(&error))?;
    let lock =
        RunLock::try_take(machine.store.paths(), name).map_err(|error| match StoreError::from(error) {
            running @ StoreError::Running { .. } => {
                Failure::from_error(&running).with_hint("--force stops it first")
            }
            error => Failure::from_error(&error),
        })?;
    if let Ok(definition) = machine.definition(name) {
        let environment = machine.environment(Talk::User)?;
        let roots = machine.roots(&definition)?;
        // One whose secrets cannot be read any more is removed all the same.
        if let Ok(Some(session)) = open_session(&definition, &environment, &roots).await {
            match session.log_out(true).await {
                Ok(report) => super::login::mention(&report),
                Err(error) => printer::talk(&format!("warning: {}\n", thv_telemetry::chain(&error))),
            }
        }
    }
    Ok(forget(&machine.store, &machine.workload_secrets(name)?, lock).await?)
}

/// The workloads that are meant.
pub(super) fn names_of(machine: &Machine, args: &Several) -> Result<Vec<WorkloadName>, Failure> {
    match args.all {
        true => machine.store.names().map_err(|error| Failure::from_error(&error)),
        false => Ok(args.names.clone()),
    }
}

const fn describe(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::NotRunning => "not running",
        Stopped::Ended => "stopped",
        Stopped::Killed => "killed",
    }
}

fn report(done: &[(WorkloadName, &str)], as_json: bool) -> Result<(), Failure> {
    if as_json {
        let list: Vec<Value> =
            done.iter().map(|(name, result)| json!({"name": name.as_str(), "result": result})).collect();
        return printer::data(&format!("{}\n", Value::from(list)));
    }
    done.iter().try_for_each(|(name, result)| printer::data(&format!("{name}: {result}\n")))
}
