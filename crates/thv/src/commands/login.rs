//! `thv login` and `thv logout`

use serde_json::json;
use thv_remote::session::{Demand, LogoutReport, Session};
use thv_workload::process::tell_to_reload;
use thv_workload::run::open_session;
use thv_workload::{Definition, WorkloadName};

use super::machine::{Machine, Talk, block_on};
use crate::args::{Login, Named};
use crate::failure::Failure;
use crate::printer;

/// `thv login`
pub(crate) fn login(args: Login) -> Result<(), Failure> {
    block_on(async {
        let machine = Machine::open()?;
        let mut definition = machine.definition(&args.name)?;
        definition.remote_auth.skip_browser |= args.skip_browser;
        if !machine.keeps_logins()? {
            let failure = Failure::new("secrets come from the environment, which keeps no login");
            return Err(failure.with_hint(format!("`thv restart {}` logs in anew", args.name)));
        }
        let session = session(&machine, &definition).await?;
        session.obtain(Demand::Login, None).await.map_err(|error| Failure::from_login(&error))?;
        tell(&machine, &args.name)?;
        report(&args.name, "logged in", args.json)
    })
}

/// `thv logout`
pub(crate) fn logout(args: Named) -> Result<(), Failure> {
    block_on(async {
        let machine = Machine::open()?;
        let definition = machine.definition(&args.name)?;
        let session = session(&machine, &definition).await?;
        let done = session.log_out(false).await.map_err(|error| Failure::from_login(&error))?;
        tell(&machine, &args.name)?;
        mention(&done);
        report(&args.name, if done.was_logged_in { "logged out" } else { "not logged in" }, args.json)
    })
}

async fn session(machine: &Machine, definition: &Definition) -> Result<Session, Failure> {
    let environment = machine.environment(Talk::User)?;
    let roots = machine.roots(definition)?;
    let session = open_session(definition, &environment, &roots).await.map_err(Failure::from)?;
    session.ok_or_else(|| {
        Failure::new(format!("the workload {} is a local command: nobody logs in to it", definition.name))
    })
}

/// The process that runs the workload takes the change over at once.
fn tell(machine: &Machine, name: &WorkloadName) -> Result<(), Failure> {
    tell_to_reload(&machine.store, name).map_err(|error| Failure::from_error(&error))
}

/// What may be left at the authorization server.
pub(super) fn mention(done: &LogoutReport) {
    if let Some(reason) = &done.not_revoked {
        printer::talk(&format!(
            "warning: the tokens may still be valid at the authorization server: {reason}\n"
        ));
    }
    for left in &done.not_deleted {
        printer::talk(&format!("warning: a registration is left at {left}\n"));
    }
}

fn report(name: &WorkloadName, result: &str, as_json: bool) -> Result<(), Failure> {
    match as_json {
        true => printer::data(&format!("{}\n", json!({"name": name.as_str(), "result": result}))),
        false => printer::data(&format!("{name}: {result}\n")),
    }
}
