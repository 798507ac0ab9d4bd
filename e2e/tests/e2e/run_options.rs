//! What `thv run` sends beside, or in place of, the token of a login.

use serde_json::Value;

use crate::support::{Finished, RemoteStage};

const NAME: &str = RemoteStage::NAME;
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

#[tokio::test]
async fn header_fields_are_added_and_the_secret_ones_are_taken_from_the_users_secrets() {
    let stage = RemoteStage::set("run-options-headers", &["--cimd"]).await;
    let (machine, secret) = (&stage.machine, "the secret value of a header field");
    let headers =
        ["--remote-forward-headers", "X-Team=blue", "--remote-forward-headers-secret", "X-Api-Key=key"];
    let words = stage.command(&[&stage.by_document()[..], &headers].concat());
    let refused = machine.refused(&words).await;
    assert!(refused.contains("thv secret set key"), "{refused}");

    let mut set = machine.interactive("thv-secret-set", &["secret", "set", "key"]);
    set.type_in(&format!("{secret}\n")).await;
    set.hang_up();
    let Finished { status, stdout, stderr } = set.finished().await;
    assert!(status.success() && stdout.is_empty() && !stderr.contains(secret), "{stdout}{stderr}");
    assert_eq!(machine.ok(&["secret", "list"]).await, "key\n");
    assert_eq!(machine.ok(&["secret", "list", "--json"]).await, "[\"key\"]\n");

    let url = machine.url(&words).await;
    let headers = &stage.whoami(&url).await["headers"];
    assert_eq!((&headers["x-team"], &headers["x-api-key"]), (&Value::from("blue"), &Value::from(secret)));
    assert_eq!(headers["origin"], Value::Null);

    stage.scene.record_secret(secret);
    machine.assert_clean(&stage.scene, 4);
    assert_eq!(machine.ok(&["secret", "get", "key"]).await, format!("{secret}\n"));
    machine.ok(&["secret", "delete", "key"]).await;
    let missing = machine.refused(&["secret", "get", "key"]).await;
    assert!(missing.contains("thv secret list"), "{missing}");
}

#[tokio::test]
async fn a_token_of_the_users_own_takes_the_place_of_a_login() {
    let stage = RemoteStage::set("run-options-bearer", &["--register"]).await;
    let machine = &stage.machine;
    let (cert, key) = (stage.scene.pki.cert.to_str().unwrap(), stage.scene.pki.key.to_str().unwrap());
    let client = ["--url", &stage.url, "--register", "dcr", "--cert", cert, "--key", key];
    let report = stage.scene.report("sdk-client.mjs", &client).await;
    let token = report["accessToken"].as_str().unwrap();
    let file = stage.scene.write("token", &format!("{token}\n"));
    let own = ["--remote-auth-bearer-token-file", file.to_str().unwrap()];
    let words = [&["run", &stage.url, "--name", NAME], &own[..]].concat();
    let url = machine.url(&words).await;
    let seen = stage.whoami(&url).await;
    stage.assert_token_of(&seen, "refresh_token");
    assert_eq!(machine.status(NAME).await["auth"], "authenticated");
    machine.assert_clean(&stage.scene, 3);
    machine.ok(&["rm", "--force", NAME]).await;
    assert!(!machine.has_secrets());

    stage.scene.write("token", "a token that nobody knows");
    let refused = machine.refused(&words).await;
    assert!(refused.contains("refused the configured bearer token"), "{refused}");
    // No browser.
    machine.tabs(0).await;
}

#[tokio::test]
async fn the_token_of_a_login_is_exchanged_for_the_one_that_is_sent() {
    let (client, secret) = ("exchanger", "the secret of the client that exchanges tokens");
    let provider = ["--cimd", "--redirect-uri", "http://127.0.0.1/unused", "--client-id", client];
    let provider = [&provider[..], &["--client-secret", secret, "--access-token-seconds", "10"]].concat();
    let stage = RemoteStage::set("run-options-exchange", &provider).await;
    let file = stage.scene.write("secret", secret);
    let endpoint = format!("{}/token", stage.provider.issuer);
    let exchange = ["--token-exchange-url", &endpoint, "--token-exchange-client-id", client];
    let more = ["--token-exchange-client-secret-file", file.to_str().unwrap()];
    let audience = ["--token-exchange-audience", "https://tools.example"];
    let url = stage.run(&[&exchange[..], &more, &audience].concat()).await;
    let seen = stage.whoami(&url).await;
    stage.assert_token_of(&seen, EXCHANGE);
    assert_eq!((&seen["client"], &seen["subject"]), (&Value::from(client), &Value::from("alice")));

    // The exchanged token is renewed with the login's.
    stage.provider.answered("refresh_token", 1).await;
    stage.provider.answered(EXCHANGE, 2).await;
    let renewed = stage.whoami(&url).await;
    assert_ne!(renewed["sha256"], seen["sha256"]);
    assert_eq!(renewed["client"], client);
    stage.machine.tabs(1).await;
    stage.machine.assert_clean(&stage.scene, 6);
}
