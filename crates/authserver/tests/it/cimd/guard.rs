//! What may be dialled on behalf of a stranger.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use thv_egress::resolve::{Resolve, Resolving};
use thv_egress::{Client, Policy, Roots};

use super::{Tripwire, cimd};
use crate::fixture::{Browser, Fixture, Flow, assert_page, text};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A resolver with one answer for every name.
struct Answers(Vec<IpAddr>);

impl Resolve for Answers {
    fn resolve(&self, _: &str) -> Resolving {
        let answers = self.0.clone();
        Box::pin(async move { Ok::<_, io::Error>(answers) })
    }
}

/// A production server, for which every name has the addresses `answers`.
fn public(answers: &[&str]) -> Fixture {
    let answers = answers.iter().map(|answer| answer.parse().unwrap()).collect();
    Fixture::with(|parts| {
        let roots = Roots::load(None).unwrap();
        parts.egress = Client::with_resolver(Policy::public(), &roots, Arc::new(Answers(answers)));
        parts.settings.cimd = Some(cimd(parts));
    })
}

async fn ask(fixture: &Fixture, client_id: &str) -> Response<Bytes> {
    Browser::new(fixture).get(&format!("/oauth/authorize?{}", Flow::new(client_id).query(&[]))).await
}

/// Everything that the caller is told, but for the number of the log line.
fn told(response: &Response<Bytes>) -> (u16, http::HeaderMap, String) {
    let page = text(response);
    let (page, number) = page.split_once("<dt>Number</dt><dd><code>").unwrap();
    let (number, rest) = number.split_once('<').unwrap();
    assert_eq!(number.len(), 12);
    (response.status().as_u16(), response.headers().clone(), format!("{page}{rest}"))
}

/// A port of this machine on which nobody listens: the tripwire that had it is gone.
fn closed_port() -> u16 {
    Tripwire::on(LOOPBACK).port()
}

#[tokio::test]
async fn c4_as_73_a_refused_address_is_not_dialled_and_open_and_closed_ports_look_the_same() {
    let (open, closed) = (Tripwire::on(LOOPBACK), closed_port());
    for host in ["127.0.0.1", "inside.example", "[::ffff:127.0.0.1]"] {
        let fixture = public(&["127.0.0.1"]);
        let of_open = ask(&fixture, &format!("https://{host}:{}/c", open.port())).await;
        let of_closed = ask(&fixture, &format!("https://{host}:{closed}/c")).await;
        assert_page(&of_open, 400, "cimd_unreachable");
        assert_eq!(told(&of_open), told(&of_closed), "{host}");
        open.assert_untouched();
    }
}

#[tokio::test]
async fn c4_a_refused_address_looks_like_a_name_without_addresses() {
    let nothing = ask(&public(&[]), "https://inside.example/c").await;
    for special in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "::1",
        "fd00::1",
        "2002:7f00:1::",
    ] {
        let refused = ask(&public(&[special]), "https://inside.example/c").await;
        assert_page(&refused, 400, "cimd_unreachable");
        assert_eq!(told(&refused), told(&nothing), "{special}");
    }
}

#[tokio::test]
async fn as_75_one_forbidden_address_condemns_the_whole_answer() {
    let open = Tripwire::on(LOOPBACK);
    for answers in
        [["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2001:4860:4860::8888", "::ffff:127.0.0.1"]]
    {
        let response = ask(&public(&answers), &format!("https://inside.example:{}/c", open.port())).await;
        assert_page(&response, 400, "cimd_unreachable");
        open.assert_untouched();
    }
}

#[tokio::test]
async fn as_75_no_spelling_of_a_loopback_address_is_dialled() {
    let open = Tripwire::on(LOOPBACK);
    let fixture = public(&["127.0.0.1"]);
    for host in [
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ] {
        let response = ask(&fixture, &format!("https://{host}:{}/c", open.port())).await;
        let page = text(&response);
        assert_eq!(response.status(), 400, "{host}: {page}");
        assert!(
            page.contains("cimd_unreachable") || page.contains("client_id_url_malformed"),
            "{host}: {page}"
        );
        open.assert_untouched();
    }
}

#[tokio::test]
async fn as_74_an_override_does_not_make_an_address_permitted() {
    let open = Tripwire::on(LOOPBACK);
    let addr = (LOOPBACK, open.port()).into();
    let fixture = Fixture::with(|parts| {
        let policy =
            Policy { host_overrides: [("docs.example:443".to_owned(), addr)].into(), ..Policy::public() };
        parts.egress = Client::new(policy, &Roots::load(None).unwrap());
        parts.settings.cimd = Some(cimd(parts));
    });
    assert_page(&ask(&fixture, "https://docs.example/c").await, 400, "cimd_unreachable");
    open.assert_untouched();
}
