//! `thv list`, `thv status`, `thv logs` and `thv export`

use serde_json::{Value, json};
use thv_clock::{Clock, SystemClock, Timestamp};
use thv_workload::logs::{self, Follow};
use thv_workload::store::Workload;

use super::machine::{Machine, block_on};
use crate::args::{List, Logs, Named};
use crate::failure::Failure;
use crate::printer;

/// `thv list`
pub(crate) fn list(args: &List) -> Result<(), Failure> {
    let machine = Machine::open()?;
    let listing = machine.store.list().map_err(|error| Failure::from_error(&error))?;
    for unreadable in &listing.unreadable {
        printer::talk(&format!("warning: {}\n", thv_telemetry::chain(unreadable)));
    }
    let shown = |workload: &&Workload| !args.running || !workload.status.state.is_final();
    let workloads: Vec<&Workload> = listing.workloads.iter().filter(shown).collect();
    if args.json {
        let values: Vec<Value> = workloads.iter().map(|workload| value(workload)).collect();
        return printer::data(&format!("{}\n", Value::from(values)));
    }
    if workloads.is_empty() {
        let which = if args.running { "no workload runs" } else { "there are no workloads" };
        printer::talk(&format!("{which}; `thv run URL` starts one\n"));
        return Ok(());
    }
    let mut rows = vec![["NAME", "STATE", "URL", "SERVER"].map(str::to_owned)];
    rows.extend(workloads.iter().map(|workload| {
        let url = workload.status.url.clone().unwrap_or_default();
        [
            workload.definition.name.to_string(),
            workload.status.state.as_str().to_owned(),
            url,
            server(workload),
        ]
    }));
    printer::data(&table(&rows))
}

/// `thv status`
pub(crate) fn status(args: &Named) -> Result<(), Failure> {
    let machine = Machine::open()?;
    let workload = machine.store.get(&args.name).map_err(|error| Failure::from_error(&error))?;
    if args.json {
        return printer::data(&format!("{}\n", value(&workload)));
    }
    let status = &workload.status;
    let now = SystemClock.now();
    let rows = [
        ("name", Some(workload.definition.name.to_string())),
        ("state", Some(status.state.as_str().to_owned())),
        ("detail", status.detail.clone()),
        ("url", status.url.clone()),
        ("server", Some(server(&workload))),
        ("login", Some(login(&workload))),
        ("process", status.pid.map(|pid| pid.to_string())),
        ("started", status.pid.and(status.started_at).map(|at| format!("{} ago", since(at, now)))),
        ("restarts", (status.restarts > 0).then(|| status.restarts.to_string())),
        ("log", Some(machine.store.paths().log(&workload.definition.name).display().to_string())),
    ];
    let rows: Vec<[String; 2]> =
        rows.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).collect();
    printer::data(&table(&rows))
}

/// `thv logs`
pub(crate) fn show_logs(args: &Logs) -> Result<(), Failure> {
    let machine = Machine::open()?;
    machine.definition(&args.name)?;
    let path = machine.store.paths().log(&args.name);
    if args.follow {
        return block_on(async {
            let follow = Follow::new(&path, args.lines.unwrap_or(usize::MAX));
            let mut follow = follow.map_err(|error| Failure::from_error(&error))?;
            loop {
                let line = follow.next_line().await.map_err(|error| Failure::from_error(&error))?;
                printer::data(&format!("{line}\n"))?;
            }
        });
    }
    match args.lines {
        Some(count) => {
            let lines = logs::last_lines(&path, count).map_err(|error| Failure::from_error(&error))?;
            lines.iter().try_for_each(|line| printer::data(&format!("{line}\n")))
        }
        None => printer::data(&logs::read(&path).map_err(|error| Failure::from_error(&error))?),
    }
}

/// `thv export`
pub(crate) fn export(args: &Named) -> Result<(), Failure> {
    let machine = Machine::open()?;
    let definition = machine.definition(&args.name)?;
    let text = definition.to_json().map_err(|error| Failure::from_error(&error))?;
    printer::data(&format!("{}\n", text.trim_end()))
}

fn value(workload: &Workload) -> Value {
    let mut value = serde_json::to_value(&workload.status).unwrap_or_else(|_| json!({}));
    if let Some(members) = value.as_object_mut() {
        members.insert("server".to_owned(), server(workload).into());
    }
    value
}

fn server(workload: &Workload) -> String {
    let definition = &workload.definition;
    definition.remote_url.clone().or_else(|| definition.command.clone()).unwrap_or_default()
}

fn login(workload: &Workload) -> String {
    use thv_workload::status::Auth;
    let name = &workload.definition.name;
    match workload.status.auth {
        _ if workload.status.state.is_final() => "not known while it does not run".to_owned(),
        Auth::NotNeeded => "not needed so far".to_owned(),
        Auth::Authenticated => "authenticated".to_owned(),
        Auth::AuthRetrying => "auth_retrying: it is tried again".to_owned(),
        Auth::Unauthenticated => format!("unauthenticated: `thv login {name}`"),
    }
}

fn since(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Columns as wide as their widest cell.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
