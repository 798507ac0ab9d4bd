//! Who is dialled and who is not (AS-73, AS-74, AS-75).

use std::collections::HashMap;
use std::error::Error;

use http::HeaderMap;
use thv_egress::address::SpecialUse;
use thv_egress::{Client, EgressError, Policy, Roots};

use crate::fixtures::*;

fn resolving(policy: Policy, answers: &[&[&str]]) -> Client {
    Client::with_resolver(policy, &Roots::load(None).unwrap(), Answers::new(answers))
}

async fn refusal(client: &Client, url: &str) -> SpecialUse {
    match client.get(url, HeaderMap::new(), GENEROUS).await {
        Err(EgressError::Refused { special_use, .. }) => special_use,
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn as_75_no_spelling_of_loopback_gets_a_packet() {
    let wire = Tripwire::bind("127.0.0.1:0").await;
    let clients = [public_client(), Client::new(allowing(&["203.0.113.7/32"]), &Roots::load(None).unwrap())];
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
    ] {
        let at = format!("{host}:{}/", wire.port());
        assert_eq!(refusal(&clients[0], &format!("https://{at}")).await, SpecialUse::Loopback, "{host}");
        assert_eq!(refusal(&clients[1], &format!("http://{at}")).await, SpecialUse::Loopback, "{host}");
    }
    assert_eq!(
        refusal(&clients[0], &format!("https://0.0.0.0:{}/", wire.port())).await,
        SpecialUse::Unspecified
    );
    assert_eq!(refusal(&clients[0], &format!("https://0:{}/", wire.port())).await, SpecialUse::Unspecified);
    assert_eq!(
        refusal(&clients[0], &format!("https://[::]:{}/", wire.port())).await,
        SpecialUse::Unspecified
    );
    wire.assert_untouched().await;
}

#[tokio::test]
async fn as_73_special_use_literals_and_names_are_refused() {
    for (address, expected) in [
        ("10.0.0.1", SpecialUse::Private),
        ("100.64.0.1", SpecialUse::Cgnat),
        ("169.254.169.254", SpecialUse::Metadata),
        ("168.63.129.16", SpecialUse::Metadata),
        ("192.0.2.1", SpecialUse::Documentation),
        ("198.18.0.1", SpecialUse::Benchmarking),
        ("240.0.0.1", SpecialUse::Reserved),
        ("fd00:ec2::254", SpecialUse::Metadata),
        ("2002:7f00:1::", SpecialUse::SixToFour),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", SpecialUse::Teredo),
        ("64:ff9b:1::7f00:1", SpecialUse::Nat64Local),
    ] {
        let literal = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        assert_eq!(refusal(&public_client(), &format!("https://{literal}/")).await, expected, "{address}");
        let client = resolving(Policy::public(), &[&[address]]);
        assert_eq!(refusal(&client, "https://client.example/").await, expected, "{address} by name");
    }
}

#[tokio::test]
async fn as_75_one_forbidden_address_condemns_the_whole_answer() {
    let [allowed, forbidden] = wires_on_one_port(["127.0.0.2", "127.0.0.1"]).await;
    for answer in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "::ffff:127.0.0.1"]]
    {
        let client = resolving(allowing(&["127.0.0.2/32"]), &[&answer]);
        let url = format!("http://client.example:{}/", allowed.port());
        assert_eq!(refusal(&client, &url).await, SpecialUse::Loopback, "{answer:?}");
    }
    allowed.assert_untouched().await;
    forbidden.assert_untouched().await;

    let client = resolving(Policy::public(), &[&["8.8.8.8", "10.0.0.1"]]);
    assert_eq!(refusal(&client, "https://client.example/").await, SpecialUse::Private);
}

#[tokio::test]
async fn as_75_the_address_judged_is_the_address_dialled() {
    let [allowed, forbidden] = wires_on_one_port(["127.0.0.2", "127.0.0.1"]).await;
    let answers = Answers::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let roots = Roots::load(None).unwrap();
    let client = Client::with_resolver(allowing(&["127.0.0.2/32"]), &roots, answers.clone());
    let url = format!("http://client.example:{}/", allowed.port());
    let server = Server::on(allowed.0, None, answer(ok("from the judged address")));

    let response = client.get(&url, HeaderMap::new(), GENEROUS).await.unwrap();
    assert_eq!(response.body, "from the judged address");
    assert_eq!(*answers.asked.lock().unwrap(), ["client.example"], "one look-up, whose answer was dialled");

    assert_eq!(refusal(&client, &url).await, SpecialUse::Loopback);
    assert_eq!(server.requests().len(), 1);
    forbidden.assert_untouched().await;
}

/// Two listeners that differ in their address only.
async fn wires_on_one_port(addresses: [&str; 2]) -> [Tripwire; 2] {
    loop {
        let first = Tripwire::bind(&format!("{}:0", addresses[0])).await;
        if let Ok(second) = tokio::net::TcpListener::bind((addresses[1], first.port())).await {
            return [first, Tripwire(second)];
        }
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let server = Server::answering(ok("second")).await;
    let client = resolving(Policy::with_loopback(), &[&["127.0.0.9", "127.0.0.1"]]);
    let url = format!("http://client.example:{}/", server.address.port());
    assert_eq!(client.get(&url, HeaderMap::new(), GENEROUS).await.unwrap().body, "second");
}

#[tokio::test]
async fn an_override_is_judged_like_any_other_address() {
    let wire = Tripwire::bind("127.0.0.1:0").await;
    let address = wire.0.local_addr().unwrap();
    let host_overrides =
        HashMap::from([("idp.test:80".to_owned(), address), ("idp.test:443".to_owned(), address)]);
    let policy = Policy { host_overrides, ..allowing(&["10.0.0.0/8"]) };
    let client = resolving(policy.clone(), &[&["8.8.8.8"]]);
    assert_eq!(refusal(&client, "https://idp.test/").await, SpecialUse::Loopback);
    assert_eq!(refusal(&client, "http://IDP.test/").await, SpecialUse::Loopback);
    wire.assert_untouched().await;

    let server = Server::on(wire.0, None, answer(ok("here")));
    let policy = Policy { allow_cidrs: Policy::with_loopback().allow_cidrs, ..policy };
    let client = resolving(policy, &[&["8.8.8.8"]]);
    assert_eq!(client.get("http://idp.test/a", HeaderMap::new(), GENEROUS).await.unwrap().body, "here");
    assert!(server.requests()[0].contains("host: idp.test\r\n"), "the Host stays the URL's");
}

#[tokio::test]
async fn the_operator_learns_what_became_of_a_fetch() {
    let open = Server::tls(Authority::create().server, answer(ok(""))).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let deadline = thv_egress::Limits { total: std::time::Duration::from_millis(100), ..GENEROUS };
    let silent =
        Client::with_resolver(Policy::public(), &Roots::load(None).unwrap(), std::sync::Arc::new(Silent));
    let mut failures =
        vec![silent.get("https://client.example/", HeaderMap::new(), deadline).await.unwrap_err()];
    for (client, url) in [
        (public_client(), format!("https://{}/", open.address)),
        (public_client(), format!("https://{closed}/")),
        (loopback_client(), format!("http://{closed}/")),
        (loopback_client(), format!("https://{}/", open.address)),
        (resolving(Policy::public(), &[&[]]), "https://client.example/".to_owned()),
        (resolving(Policy::with_loopback(), &[&["8.8.8.8"]]), "http://client.example/".to_owned()),
    ] {
        failures.push(client.get(&url, HeaderMap::new(), GENEROUS).await.unwrap_err());
    }
    assert!(matches!(
        failures[..],
        [
            EgressError::Timeout { .. },
            EgressError::Refused { .. },
            EgressError::Refused { .. },
            EgressError::Connect { .. },
            EgressError::Tls { .. },
            EgressError::Dns { .. },
            EgressError::Plaintext { .. },
        ]
    ));
    assert!(failures[1].to_string().contains("loopback"), "the operator learns the reason: {}", failures[1]);
    assert!(failures[3].source().is_some());
}

#[tokio::test]
async fn plain_http_is_refused_unless_the_address_is_listed() {
    let wire = Tripwire::bind("127.0.0.1:0").await;
    let url = format!("http://127.0.0.1:{}/", wire.port());
    let failure = public_client().get(&url, HeaderMap::new(), GENEROUS).await.unwrap_err();
    assert!(matches!(failure, EgressError::Scheme), "{failure:?}");
    wire.assert_untouched().await;

    for url in [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "unix:/run/a.sock",
        "/relative",
        "*",
    ] {
        let failure = loopback_client().get(url, HeaderMap::new(), GENEROUS).await.unwrap_err();
        assert!(matches!(failure, EgressError::Scheme | EgressError::Url { .. }), "{url}: {failure:?}");
    }
    for url in
        ["https://user@client.example/", "https://a:b@127.0.0.1/", "https://client.example\\@127.0.0.1/"]
    {
        let failure = loopback_client().get(url, HeaderMap::new(), GENEROUS).await.unwrap_err();
        assert!(matches!(failure, EgressError::Url { .. }), "{url}: {failure:?}");
    }
}

#[tokio::test]
async fn the_permission_for_plain_http_opens_no_further_address() {
    let server = Server::answering(ok("in the clear")).await;
    let url = format!("http://client.example:{}/", server.address.port());
    let open = resolving(Policy { plain_http: true, ..Policy::public() }, &[&["127.0.0.1"]]);
    assert_eq!(refusal(&open, &url).await, SpecialUse::Loopback);
    let listed = Policy { plain_http: true, ..Policy::with_loopback() };
    let response = resolving(listed, &[&["127.0.0.1"]]).get(&url, HeaderMap::new(), GENEROUS).await;
    assert_eq!(response.unwrap().body, "in the clear");
}

#[tokio::test]
async fn as_75_proxies_of_the_environment_are_ignored() {
    let proxy = Tripwire::bind("127.0.0.1:0").await;
    let address = format!("http://127.0.0.1:{}", proxy.port());
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let environment = names.into_iter().map(|name| (name, address.clone())).collect();
    assert!(passes_with_environment("address_rules::a_fetch_under_proxy_variables", environment).await);
    proxy.assert_untouched().await;
}

#[tokio::test]
#[ignore = "run by as_75_proxies_of_the_environment_are_ignored, with proxy variables set"]
async fn a_fetch_under_proxy_variables() {
    let server = Server::answering(ok("direct")).await;
    let client = resolving(Policy::with_loopback(), &[&["127.0.0.1"]]);
    let url = format!("http://client.example:{}/", server.address.port());
    assert_eq!(client.get(&url, HeaderMap::new(), GENEROUS).await.unwrap().body, "direct");
    assert!(
        server.requests()[0].starts_with("GET / HTTP/1.1\r\n"),
        "origin form, not a proxy's absolute form"
    );
}
