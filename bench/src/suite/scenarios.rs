//! The comparisons with bare servers.

use std::net::SocketAddr;

use http::header;

use super::bed::Bed;
use super::families::Families;
use super::figures::Goal;
use super::paired::{self, Side};
use super::report::Report;
use super::subject;
use crate::client::Connection;
use crate::error::{BenchError, During as _};
use crate::load::{Pace, Work};
use crate::login::{Endpoints, PublicClient};
use crate::mcp;

const DISCOVERY: &str = "/.well-known/oauth-authorization-server";

/// What a calibration uses, having no `thv` to ask.
const CALIBRATION_BODY: usize = 1000;
const CALIBRATION_TOKEN: &str = "calibration";

/// What the report calls the two sides.
fn sides(bed: &Bed<'_>) -> [&'static str; 2] {
    ["baseline", if bed.options.calibrate { "its copy" } else { "thv" }]
}

/// Authenticated `tools/call` through the gateway against the bare proxy: throughput, then latency at half of it.
pub(super) async fn tools_call(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    let backend = bed.backend()?;
    let backend_arg = backend.address.to_string();
    let proxy = || bed.baseline(&["proxy", "--backend", &backend_arg]);
    let baseline = proxy()?;
    let (subject, token) = if bed.options.calibrate {
        (proxy()?, CALIBRATION_TOKEN.to_owned())
    } else {
        let started = subject::start(bed, Some(backend.address))?;
        let endpoints = Endpoints::discover(started.server.address).await?;
        let grant = PublicClient::register(started.server.address, &endpoints, 0).await?.log_in().await?;
        (started.server, grant.access_token)
    };
    let work = tools_call_work(bed, Some(&token));
    let [bare, ours] = sides(bed);
    let mut baseline = Side::new(bare, &baseline, work.clone());
    let mut subject = Side::new(ours, &subject, work);

    let closed = paired::compare(bed, &mut baseline, &mut subject, Pace::Closed)?;
    report.throughput("tools/call", &closed, Some(Goal::AtLeast(0.70)))?;

    let requests_per_second = closed.throughputs()[1].median / 2.0;
    let open = paired::compare(bed, &mut baseline, &mut subject, Pace::Open { requests_per_second })?;
    report.latency("tools/call", &open, requests_per_second, Goal::AtMost(1000.0))
}

/// `tools/call`, on every connection the same, with this access token.
pub(super) fn tools_call_work(bed: &Bed<'_>, token: Option<&str>) -> Work {
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/json"),
        (header::ACCEPT.as_str(), "application/json, text/event-stream"),
        ("mcp-protocol-version", mcp::VERSION),
    ];
    let token = token.map(|token| (header::AUTHORIZATION.to_string(), format!("Bearer {token}")));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Work::Same {
        connections: bed.connections(),
        method: "POST".into(),
        path: "/mcp".into(),
        headers: headers.into_iter().chain(token).collect(),
        body: mcp::request(1, mcp::CALL),
        expect: r#""result""#.into(),
        session: false,
    }
}

/// The discovery document against the bare responder.
pub(super) async fn discovery(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    let responder = |bytes: usize| bed.baseline(&["responder", "--body-bytes", &bytes.to_string()]);
    let (subject, bytes, expect) = if bed.options.calibrate {
        (responder(CALIBRATION_BODY)?, CALIBRATION_BODY, "padding")
    } else {
        let server = subject::start(bed, None)?.server;
        let bytes = document_length(server.address).await?;
        (server, bytes, "issuer")
    };
    let baseline = responder(bytes)?;
    let work = |expect: &str| Work::Same {
        connections: bed.connections(),
        method: "GET".into(),
        path: DISCOVERY.into(),
        headers: Vec::new(),
        body: String::new(),
        expect: expect.into(),
        session: false,
    };
    let [bare, ours] = sides(bed);
    let mut baseline = Side::new(bare, &baseline, work("padding"));
    let mut subject = Side::new(ours, &subject, work(expect));
    let comparison = paired::compare(bed, &mut baseline, &mut subject, Pace::Closed)?;
    report.throughput("discovery", &comparison, Some(Goal::AtLeast(0.80)))
}

async fn document_length(server: SocketAddr) -> Result<usize, BenchError> {
    let request =
        http::Request::get(DISCOVERY).header(header::HOST, server.to_string()).body(Default::default());
    let answer = Connection::open(server, None).await?.send(request.during("asking for discovery")?).await?;
    if !answer.status.is_success() {
        return Err(BenchError::unexpected("discovery", answer.status, &answer.body));
    }
    Ok(answer.body.len())
}

/// The refresh grant against the bare signer. Every connection has a login, and so a token family, of its own.
pub(super) async fn refresh(bed: &Bed<'_>, report: &mut Report) -> Result<(), BenchError> {
    let signer = |bytes: usize| bed.baseline(&["signer", "--body-bytes", &bytes.to_string()]);
    let (subject, families) = if bed.options.calibrate {
        (signer(CALIBRATION_BODY)?, Families::invented(bed, CALIBRATION_BODY))
    } else {
        let server = subject::start(bed, None)?.server;
        let families = Families::logged_in(bed, &server).await?;
        (server, families)
    };
    let baseline = signer(families.response_bytes)?;
    let work = families.work;
    let [bare, ours] = sides(bed);
    let mut baseline = Side::new(bare, &baseline, work.clone());
    let mut subject = Side::new(ours, &subject, work);
    let comparison = paired::compare(bed, &mut baseline, &mut subject, Pace::Closed)?;
    report.throughput("refresh", &comparison, Some(Goal::AtLeast(0.65)))
}
