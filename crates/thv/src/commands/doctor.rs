//! `thv doctor`

use serde_json::{Value, json};
use thv_clock::SystemClock;
use thv_egress::Roots;
use thv_oauth::received_challenge::ReceivedChallenge;
use thv_remote::credentials::Credentials;
use thv_remote::reach::Reach;
use thv_remote::survey::{Answer, Outlook, Survey, Verdict, survey};
use thv_workload::{Definition, WorkloadName};

use super::machine::{Machine, block_on};
use super::run::{refuse_or_warn, remote_auth};
use super::show::table;
use crate::args::Doctor;
use crate::failure::Failure;
use crate::printer;

/// `thv doctor`
pub(crate) fn doctor(args: Doctor) -> Result<(), Failure> {
    block_on(async {
        let machine = Machine::open()?;
        let (mut settings, _) = remote_auth(&args.auth)?;
        let configured = &machine.settings;
        settings.client_metadata_url =
            settings.client_metadata_url.or(configured.client_metadata_url.clone());
        settings.callback_port = settings.callback_port.or(configured.callback_port);
        let name = WorkloadName::from_url(&args.url).map_err(|error| Failure::from_error(&error))?;
        let remote_auth = settings.clone();
        refuse_or_warn(&Definition { remote_auth, ..Definition::remote(name, args.url.clone()) })?;
        let bundle = args.ca_bundle.as_deref().or(configured.ca_bundle.as_deref());
        let roots = Roots::load(bundle).map_err(|error| Failure::from_error(&error))?;
        let reach = Reach::of(&args.url, &settings, None, &roots).await;
        let found =
            survey(&args.url, &settings, &Credentials::default(), &reach, &SystemClock::shared()).await;
        match args.json {
            true => printer::data(&format!("{}\n", as_json(&args.url, &found)))?,
            false => printer::data(&as_text(&args.url, &found))?,
        }
        match is_well(&found) {
            true => Ok(()),
            false => Err(diagnosis(&found)),
        }
    })
}

/// Whether `thv run` would get through, as far as can be told.
fn is_well(found: &Survey) -> bool {
    match (&found.answer, &found.outlook) {
        (Err(_), _) => false,
        (Ok(answer), _) if !answer.wants_login => true,
        (Ok(_), Err(_)) => false,
        (Ok(_), Ok(outlook)) => {
            let open = outlook.ways.iter().any(|way| way.obstacle.is_none());
            open && !matches!(outlook.verdict, Verdict::RequestRefused(_) | Verdict::Answered(Some(_)))
        }
    }
}

fn diagnosis(found: &Survey) -> Failure {
    match (&found.answer, &found.outlook) {
        (Err(error), _) => Failure::from_error(error),
        (Ok(_), Err(error)) => Failure::from_error(error)
            .with_hint("--remote-auth-issuer names the authorization server, if you know it"),
        (Ok(_), Ok(outlook)) if outlook.ways.iter().all(|way| way.obstacle.is_some()) => Failure::new(
            "this client has no way to identify itself at the authorization server",
        )
        .with_hint("register a client there by hand and pass its identifier with --remote-auth-client-id"),
        (Ok(_), Ok(outlook)) => Failure::new(format!("the authorization endpoint: {}", outlook.verdict)),
    }
}

fn as_text(url: &str, found: &Survey) -> String {
    let mut text = section("Server", &[[url.to_owned(), said(found)]]);
    let lookups: Vec<[String; 2]> = found
        .lookups
        .iter()
        .map(|lookup| [format!("{} {}", mark(lookup.is_found), lookup.url), lookup.outcome.clone()])
        .collect();
    if !lookups.is_empty() {
        text.push_str(&section("Looked for", &lookups));
    }
    match &found.outlook {
        Ok(outlook) => text.push_str(&outlook_as_text(outlook)),
        Err(error) => {
            text.push_str(&section(
                "Authorization server",
                &[["none".to_owned(), thv_telemetry::chain(error)]],
            ));
        }
    }
    text
}

fn outlook_as_text(outlook: &Outlook) -> String {
    let server = &outlook.found.server;
    let row = |name: &str, value: Option<&str>| [name.to_owned(), value.unwrap_or("(none)").to_owned()];
    let mut rows = vec![
        row("issuer", Some(&server.issuer)),
        row("known by", Some(outlook.found.source.describe())),
        row("authorization", server.authorization_endpoint.as_deref()),
        row("token", server.token_endpoint.as_deref()),
        row("registration", server.registration_endpoint.as_deref()),
        row("resource", outlook.found.resource.as_deref()),
        row("scope", Some(outlook.scope.as_str()).filter(|scope| !scope.is_empty())),
    ];
    rows.extend(
        outlook
            .found
            .passed_over
            .iter()
            .map(|(issuer, why)| row("passed over", Some(&format!("{issuer}: {why}")))),
    );
    let mut text = section("Authorization server", &rows);
    let ways: Vec<[String; 2]> = outlook
        .ways
        .iter()
        .map(|way| {
            [
                format!("{} {}", mark(way.obstacle.is_none()), way.name),
                way.obstacle.unwrap_or("open").to_owned(),
            ]
        })
        .collect();
    text.push_str(&section("Ways for this client to be known there, the preferred one first", &ways));
    text.push_str(&section(
        "Its authorization endpoint, asked without a browser",
        &[[outlook.verdict.to_string()]],
    ));
    text
}

fn said(found: &Survey) -> String {
    match &found.answer {
        Err(error) => thv_telemetry::chain(error),
        Ok(Answer { status, wants_login: true, challenge }) => {
            let scope = challenge.as_ref().and_then(ReceivedChallenge::scope);
            let scope = scope.map(|scope| format!(" with the scope {scope:?}")).unwrap_or_default();
            format!("wants a login{scope} (status {status})")
        }
        Ok(Answer { status, .. }) => format!("wants no login so far (status {status})"),
    }
}

fn section<const N: usize>(title: &str, rows: &[[String; N]]) -> String {
    let (bold, plain) = if printer::stdout_has_color() { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    // What a remote server says must not speak to the terminal.
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| printer::printable(&cell.replace('\n', " "))))
        .collect();
    let rows = table(&rows);
    let rows: String = rows.lines().map(|line| format!("  {line}\n")).collect();
    format!("{bold}{title}{plain}\n{rows}\n")
}

const fn mark(good: bool) -> &'static str {
    if good { "✓" } else { "✗" }
}

fn as_json(url: &str, found: &Survey) -> Value {
    let answer = match &found.answer {
        Ok(answer) => json!({"status": answer.status, "wantsLogin": answer.wants_login}),
        Err(error) => json!({"error": thv_telemetry::chain(error)}),
    };
    let lookups: Vec<Value> = found
        .lookups
        .iter()
        .map(|lookup| json!({"url": lookup.url, "found": lookup.is_found, "outcome": lookup.outcome}))
        .collect();
    let outlook = match &found.outlook {
        Ok(outlook) => outlook_as_json(outlook),
        Err(error) => json!({"error": thv_telemetry::chain(error)}),
    };
    json!({"url": url, "ok": is_well(found), "answer": answer, "lookups": lookups, "authorizationServer": outlook})
}

fn outlook_as_json(outlook: &Outlook) -> Value {
    let ways: Vec<Value> =
        outlook.ways.iter().map(|way| json!({"name": way.name, "obstacle": way.obstacle})).collect();
    json!({
        "issuer": outlook.found.server.issuer,
        "source": outlook.found.source.describe(),
        "authorizationEndpoint": outlook.found.server.authorization_endpoint,
        "tokenEndpoint": outlook.found.server.token_endpoint,
        "registrationEndpoint": outlook.found.server.registration_endpoint,
        "clientIdMetadataDocumentSupported": outlook.found.server.client_id_metadata_document_supported,
        "resource": outlook.found.resource,
        "scope": outlook.scope,
        "ways": ways,
        "verdict": outlook.verdict.to_string(),
    })
}
