//! Two gateways on one Redis behind a load balancer.

use serde_json::{Value, json};
use thv_testkit::redis::{RedisOptions, RedisServer};

use crate::support::{Crowd, Gateway, Program, Provider, Scene, Setup, free_port, registered_oidc};

/// How many people there are.
const USERS: usize = 10;

/// Everything there is: two gateways that share keys and a Redis, a balancer, a provider, an MCP server.
struct Stage {
    scene: Scene,
    redis: RedisServer,
    provider: Provider,
    gateways: [Gateway; 2],
    url: String,
    balancer: Program,
    server: Program,
}

impl Stage {
    async fn set(name: &str, provider_arguments: &[&str]) -> Self {
        let scene = Scene::new(name);
        let redis = RedisServer::start(RedisOptions {
            config: vec!["appendonly yes".to_owned(), "appendfsync always".to_owned()],
            ..RedisOptions::default()
        })
        .await;
        let provider =
            Provider::oidc(&scene, "provider", &[&["--register"], provider_arguments].concat()).await;
        let (server, backend) = provider.token_server(&scene).await;
        let ports = [free_port(), free_port()];
        let backends = ports.map(|port| format!("127.0.0.1:{port}"));
        let balancer =
            scene.node("balancer", &["balancer.mjs", "--backend", &backends[0], "--backend", &backends[1]]);
        let origin = balancer.event("where it listens", |event| event["url"].is_string()).await;
        let origin = origin["url"].as_str().unwrap().to_owned();

        let auth_server = format!(
            "  signingKeySecretRefs: [{{file: {}}}]
  hmacSecretRefs: [{{file: {}}}]
  storage: {{type: redis, redis: {{addr: '{}', dialTimeout: 1s, readTimeout: 1s, writeTimeout: 1s}}}}",
            scene.pki.key.display(),
            scene.write("hmac", "a secret of more than thirty-two bytes for seals").display(),
            redis.addr(),
        );
        let upstreams = [registered_oidc("corp", &provider.issuer)];
        let start = async |name: &str, port: u16| {
            let (origin, backend) = (origin.as_str(), backend.as_str());
            let setup = Setup {
                port,
                origin,
                backend,
                inject: "corp",
                auth_server: &auth_server,
                upstreams: &upstreams,
            };
            Gateway::replica(&scene, name, origin, &setup.yaml(&scene)).await
        };
        // At once: both find nothing registered.
        let (one, two) = tokio::join!(start("thv-1", ports[0]), start("thv-2", ports[1]));
        let url = one.url.clone();
        Self { scene, redis, provider, gateways: [one, two], url, balancer, server }
    }
}

fn assert_nobody_noticed(report: &[Value]) {
    for person in report {
        assert_eq!(person["logins"].as_array().unwrap().len(), 1, "had to log in again: {person}");
        assert_eq!(person["stuck"], 0, "{person}");
        assert_eq!(person["mistaken"], 0, "somebody else's token: {person}");
    }
}

#[tokio::test]
async fn a_killed_replica_under_load_makes_nobody_log_in_again() {
    // Long enough for nothing to be refreshed at the provider while a replica is killed: the outcome of a refresh that is under
    // way when its process dies is lost, which is another test's matter.
    let stage = Stage::set("replicas", &["--access-token-seconds", "40"]).await;
    let Stage {
        scene,
        redis: _redis,
        provider,
        gateways: [one, two],
        url,
        balancer: _balancer,
        server: _server,
    } = stage;
    let crowd = Crowd::gather(&scene, &url, USERS);
    crowd.until("that everybody is in", |progress| progress["least"].as_u64() >= Some(1)).await;
    assert_eq!(provider.count("registered"), 1, "two replicas that started at once registered once");

    let one = one.kill(&scene).await;
    crowd.all_call(3).await;
    let one = one.start_again(&scene).await;
    let two = two.kill(&scene).await;
    crowd.all_call(3).await;
    let two = two.start_again(&scene).await;
    crowd.all_call(3).await;
    assert_eq!(provider.handed_out("refresh_token"), [] as [Value; 0], "the kills fell between refreshes");

    crowd.until("a refresh of each client", |progress| progress["refreshed"].as_u64() >= Some(1)).await;
    provider.refreshed(USERS).await;
    crowd.all_call(3).await;
    let report = crowd.disperse().await;
    assert_nobody_noticed(&report);
    for person in &report {
        assert_eq!(person["failures"], json!([]), "a call failed twice: {person}");
        assert_eq!(person["unavailable"], 0, "{person}");
    }
    assert_eq!(
        provider.handed_out("refresh_token").len(),
        USERS,
        "one refresh for all replicas and requests"
    );
    assert_eq!(provider.count("reused"), 0, "no refresh token was sent twice");
    assert_eq!(provider.count("registered"), 1);
    one.stop(&scene, 60).await;
    two.stop(&scene, 60).await;
}

/// What a client sends first.
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"curl","version":"8"}}}"#;

#[tokio::test]
async fn an_outage_of_redis_is_told_to_clients_and_ends_without_a_restart() {
    let stage = Stage::set("redis-outage", &[]).await;
    let Stage { scene, mut redis, provider, gateways: [one, two], url, balancer: _balancer, server: _server } =
        stage;
    let person = scene.report("sdk-client.mjs", &["--url", &url, "--register", "dcr"]).await;
    let bearer = format!("Authorization: Bearer {}", person["accessToken"].as_str().unwrap());
    let accept = "Accept: application/json, text/event-stream";
    let call = async || scene.curl(&["--json", INITIALIZE, "-H", accept, "-H", &bearer, &url]).await.status;
    // Each of the two has used the credential once.
    assert_eq!([call().await, call().await], [200, 200]);
    let crowd = Crowd::gather(&scene, &url, 3);
    crowd.until("that everybody is in", |progress| progress["least"].as_u64() >= Some(3)).await;

    redis.kill();
    let form = format!(
        "grant_type=refresh_token&client_id={}&refresh_token={}",
        person["clientId"].as_str().unwrap(),
        person["refreshToken"].as_str().unwrap()
    );
    let token_endpoint = format!("{}/oauth/token", url.strip_suffix("/mcp").unwrap());
    for _ in 0..4 {
        let answer = scene.curl(&["-d", &form, &token_endpoint]).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(
            answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()),
            "{answer:?}"
        );
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
        assert_eq!(call().await, 200, "what is in memory serves on");
    }
    crowd.until("that clients were told so", |progress| progress["unavailable"].as_u64() >= Some(3)).await;

    redis.start_again().await;
    crowd.all_call(10).await;
    let answer = scene.curl(&["-d", &form, &token_endpoint]).await;
    assert_eq!(answer.status, 200, "the refresh token was not used up: {answer:?}");
    assert_nobody_noticed(&crowd.disperse().await);
    assert_eq!((provider.count("reused"), provider.count("registered")), (0, 1));
    one.stop(&scene, 20).await;
    two.stop(&scene, 20).await;
}
