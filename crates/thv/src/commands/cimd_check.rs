use thv_authserver::cimd::{CheckReport, RuleResult};
use thv_config::{Config, Profile};
use thv_gateway::check_client_id;

use super::serve::DEVELOPMENT;
use crate::args::CimdCheck;
use crate::failure::Failure;
use crate::printer;

/// `thv cimd check`: exit 0 only if the server would accept the document.
pub(crate) fn check(args: &CimdCheck) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::from_error(&error))?;
    let profile = if args.dev { Profile::Development } else { Profile::Production };
    let config = match args.config.as_deref() {
        Some(file) if args.dev => Config::load_development(DEVELOPMENT, None, file)?,
        Some(file) => Config::load(file)?,
        None => Config::default(),
    };
    let report = runtime.block_on(check_client_id(&args.url, &config, profile))?;
    printer::data(&if args.json { json(&report)? } else { text(&report) })?;
    if report.accepted { Ok(()) } else { Err(Failure::silent()) }
}

fn json(report: &CheckReport) -> Result<String, Failure> {
    let report = serde_json::to_string_pretty(report).map_err(|error| Failure::from_error(&error))?;
    Ok(format!("{report}\n"))
}

fn text(report: &CheckReport) -> String {
    let mut text = format!("{}\n\n", report.client_id);
    for rule in &report.rules {
        let RuleResult { row, reason, title, passed, detail, fix } = rule;
        let mark = match passed {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "-",
        };
        text.push_str(&format!("{mark} {row:<7} {title} ({reason})\n"));
        let lines = [("found", detail), ("change", fix)];
        for (label, line) in lines.into_iter().filter_map(|(label, line)| Some((label, line.as_ref()?))) {
            text.push_str(&format!("            {label}: {line}\n"));
        }
    }
    let verdict = if report.accepted { "accepted" } else { "refused" };
    text.push_str(&format!("\nThe server would have {verdict} this client.\n"));
    text
}
