//! `thv run` in front of an MCP server that demands tokens of an independent authorization server (oidc-provider).

use serde_json::Value;

use crate::support::{Provider, RemoteStage, Scene, free_port};

/// The workload's name in all tests.
const NAME: &str = RemoteStage::NAME;

#[tokio::test]
async fn a_metadata_document_logs_in_without_registration_and_restarts_need_no_browser() {
    let stage = RemoteStage::set("run-login-cimd", &["--cimd", "--register"]).await;
    let machine = &stage.machine;
    let url = stage.run(&[]).await;
    let seen = stage.whoami(&url).await;
    assert_eq!(seen["subject"], "alice");
    assert_eq!(seen["client"], stage.document.url);
    stage.assert_token_of(&seen, "authorization_code");
    let tab = &machine.tabs(1).await[0];
    assert_eq!(tab["opened"]["query"]["client_id"], stage.document.url);
    assert_eq!(tab["opened"]["query"]["resource"], stage.url);
    assert_eq!(tab["opened"]["query"]["scope"], "mcp:tools offline_access");
    assert_eq!(tab["callback"]["at"], format!("http://localhost:{}/callback", stage.callback_port));
    assert!(tab["answer"]["html"].as_str().unwrap().contains("You are logged in"), "{tab}");
    assert_eq!(machine.status(NAME).await["auth"], "authenticated");

    assert_eq!(machine.ok(&["stop", NAME]).await, "tools: stopped\n");
    assert_eq!(machine.url(&["start", NAME]).await, url, "the URL stays the same");
    assert_eq!(stage.whoami(&url).await["sha256"], seen["sha256"], "the token was kept");
    assert_eq!(machine.url(&["restart", NAME]).await, url);
    assert_eq!(stage.whoami(&url).await["sha256"], seen["sha256"]);

    // One login.
    machine.tabs(1).await;
    assert_eq!(stage.provider.count("registered"), 0);
    machine.assert_clean(&stage.scene, 3);
}

#[tokio::test]
async fn tokens_are_renewed_ahead_of_their_end_and_after_a_pause_without_a_browser() {
    let stage = RemoteStage::set("run-login-renewal", &["--cimd", "--access-token-seconds", "4"]).await;
    let machine = &stage.machine;
    let url = stage.run(&[]).await;
    // Nobody asks for anything meanwhile.
    stage.provider.answered("refresh_token", 2).await;
    let seen = stage.whoami(&url).await;
    assert_eq!(seen["subject"], "alice");

    machine.ok(&["stop", NAME]).await;
    let renewed = stage.provider.handed_out("refresh_token").len();
    stage.provider.all_expired().await;
    assert_eq!(machine.url(&["start", NAME]).await, url);
    stage.provider.answered("refresh_token", renewed + 1).await;
    stage.whoami(&url).await;

    assert_eq!(stage.provider.count("reused"), 0, "every refresh token was used once");
    // One login.
    machine.tabs(1).await;
    machine.assert_clean(&stage.scene, 8);
}

#[tokio::test]
async fn without_documents_it_registers_once_and_removal_leaves_nothing_anywhere() {
    let stage = RemoteStage::set("run-login-dcr", &["--cimd", "--register"]).await;
    let machine = &stage.machine;
    let url = machine.url(&stage.command(&["--remote-auth-no-cimd"])).await;
    let [registered] = &stage.provider.events("registered")[..] else { panic!("one registration") };
    assert_eq!(stage.whoami(&url).await["client"], registered["client"]);
    let metadata = &registered["metadata"];
    let redirect_uri = format!("http://localhost:{}/callback", stage.callback_port);
    assert_eq!(metadata["redirect_uris"], serde_json::json!([redirect_uri]));
    assert_eq!(metadata["application_type"], "native");
    machine.ok(&["login", NAME]).await;
    assert_eq!(stage.whoami(&url).await["client"], registered["client"], "the registration is used again");
    machine.tabs(2).await;
    assert_eq!(stage.provider.count("registered"), 1);

    let refused = machine.refused(&["rm", NAME]).await;
    assert!(refused.contains("is running") && refused.contains("--force"), "{refused}");
    stage.whoami(&url).await;
    machine.assert_clean(&stage.scene, 6);
    assert!(machine.has_secrets());
    assert_eq!(machine.ok(&["rm", "--force", NAME]).await, "tools: removed\n");
    stage.provider.happened("deleted", 1).await;
    assert_eq!(stage.provider.events("deleted")[0]["client"], registered["client"]);
    let revoked = stage.provider.events("revoked");
    assert!(revoked.iter().any(|event| event["token"] == "refresh_token"), "{revoked:?}");
    assert_eq!(machine.ok(&["list", "--json"]).await, "[]\n");
    assert!(!machine.has_secrets());
    let left: Vec<_> =
        machine.files().into_iter().filter(|file| file.to_string_lossy().contains(NAME)).collect();
    assert_eq!(left, [] as [std::path::PathBuf; 0], "nothing has its name");
}

#[tokio::test]
async fn a_document_that_the_server_cannot_use_leads_to_one_registration_without_a_detour_of_the_user() {
    let mut stage = RemoteStage::set("run-login-fallback", &["--cimd", "--register"]).await;
    // Nothing answers there: the server announces documents and shows an error page for this one.
    stage.document.url = format!("https://localhost:{}/client.json", free_port());
    let machine = &stage.machine;
    let url = stage.run(&[]).await;
    let [registered] = &stage.provider.events("registered")[..] else { panic!("one registration") };
    assert_eq!(stage.whoami(&url).await["client"], registered["client"]);
    let tab = &machine.tabs(1).await[0];
    assert_eq!(tab["opened"]["query"]["client_id"], registered["client"], "no tab showed the error page");
    machine.ok(&["login", NAME]).await;
    assert_eq!(stage.provider.count("registered"), 1);

    machine.ok(&["rm", "--force", NAME]).await;
    let no_dcr = [&stage.by_document()[..], &["--remote-auth-no-dcr"]].concat();
    let refused = machine.refused(&stage.command(&no_dcr)).await;
    assert!(refused.contains("invalid_client") && refused.contains("--remote-auth-client-id"), "{refused}");
    // No browser for a client that is not accepted.
    machine.tabs(2).await;
}

#[tokio::test]
async fn a_client_that_was_registered_by_hand_is_the_only_one_that_is_tried() {
    let callback_port = free_port().to_string();
    let redirect_uri = format!("http://localhost:{callback_port}/callback");
    let (client, secret) = ("by-hand", "the secret of a client that was registered by hand");
    let arguments = ["--cimd", "--register", "--redirect-uri", &redirect_uri, "--client-id", client];
    let arguments = [&arguments[..], &["--client-secret", secret]].concat();
    let mut stage = RemoteStage::set("run-login-preregistered", &arguments).await;
    stage.callback_port = callback_port;
    let file = stage.scene.write("client-secret", secret);
    let by_hand = ["--remote-auth-client-id", client];
    let by_hand = [&by_hand[..], &["--remote-auth-client-secret-file", file.to_str().unwrap()]].concat();
    let url = stage.machine.url(&stage.command(&by_hand)).await;
    assert_eq!(stage.whoami(&url).await["client"], client);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(stage.machine.url(&["restart", NAME]).await, url, "the secret was kept");
    stage.whoami(&url).await;
    assert_eq!(stage.provider.count("registered"), 0);
    stage.machine.tabs(1).await;
    stage.machine.assert_clean(&stage.scene, 4);
    stage.machine.ok(&["rm", "--force", NAME]).await;
    assert!(!stage.machine.has_secrets());
}

#[tokio::test]
async fn a_logout_revokes_and_only_the_user_logs_in_again() {
    let stage = RemoteStage::set("run-login-logout", &["--cimd"]).await;
    let machine = &stage.machine;
    let url = stage.run(&[]).await;
    let before = stage.whoami(&url).await;
    assert_eq!(machine.ok(&["logout", NAME]).await, "tools: logged out\n");
    stage.provider.happened("revoked", 1).await;
    assert_eq!(stage.provider.events("revoked")[0]["token"], "refresh_token");
    machine.becomes(NAME, "unauthenticated", |status| status["auth"] == "unauthenticated").await;

    for _ in 0..2 {
        let answer = stage.scene.curl(&["--json", "{}", &url]).await;
        assert_eq!((answer.status, &answer.json()["error"]), (503, &Value::from("login_required")));
        assert!(answer.body.contains("thv login"), "{}", answer.body);
    }
    assert_eq!(machine.ok(&["logout", NAME]).await, "tools: not logged in\n");
    // No browser opens by itself.
    machine.tabs(1).await;

    assert_eq!(machine.ok(&["login", NAME]).await, "tools: logged in\n");
    machine.becomes(NAME, "authenticated", |status| status["auth"] == "authenticated").await;
    let after = stage.whoami(&url).await;
    stage.assert_token_of(&after, "authorization_code");
    assert_ne!(after["sha256"], before["sha256"]);
    machine.tabs(2).await;
    machine.assert_clean(&stage.scene, 6);
}

#[tokio::test]
async fn a_killed_process_comes_back_without_a_browser_also_from_the_middle_of_a_refresh() {
    // A refresh is on its way for as long as not, so that kills hit both.
    let provider = ["--cimd", "--keep-refresh-tokens", "--access-token-seconds", "3"];
    let stage =
        RemoteStage::set("run-login-killed", &[&provider[..], &["--refresh-answer-ms", "700"]].concat())
            .await;
    let machine = &stage.machine;
    let url = stage.run(&[]).await;
    for round in 1..=5 {
        let answered = stage.provider.handed_out("refresh_token").len();
        if round % 2 == 0 {
            stage.provider.answered("refresh_token", answered + 1).await;
        }
        machine.kill(NAME).await;
        let status = machine.status(NAME).await;
        assert_eq!((&status["state"], &status["pid"]), (&Value::from("stopped"), &Value::Null), "{status}");
        assert_eq!(machine.url(&["start", NAME]).await, url);
        assert_eq!(stage.whoami(&url).await["subject"], "alice", "round {round}");
    }
    // One login.
    machine.tabs(1).await;
    machine.assert_clean(&stage.scene, 3);
}

#[tokio::test]
async fn a_rotated_refresh_token_that_a_crash_has_lost_costs_one_login_and_no_more() {
    let provider = ["--cimd", "--access-token-seconds", "3", "--refresh-answer-ms", "1500"];
    let stage = RemoteStage::set("run-login-lost", &provider).await;
    let machine = &stage.machine;
    let url = stage.run(&[]).await;
    // The old refresh token is of no use any more, and nobody has heard of the new one.
    stage.provider.answered("refresh_token", 1).await;
    machine.kill(NAME).await;
    assert_eq!(machine.url(&["start", NAME]).await, url);
    // It is tried, and the provider ends the login.
    stage.provider.happened("reused", 1).await;
    assert_eq!(stage.whoami(&url).await["subject"], "alice");
    machine.tabs(2).await;
    assert_eq!(stage.provider.count("reused"), 1);
}

#[tokio::test]
async fn an_authorization_server_that_is_down_is_asked_again_and_the_user_is_not() {
    let scene = Scene::new("run-login-down-state");
    let state = scene.path("provider");
    let lasting = ["--cimd", "--access-token-seconds", "4", "--state", state.to_str().unwrap()];
    let mut stage = RemoteStage::set("run-login-down", &lasting).await;
    let url = stage.run(&[]).await;
    stage.whoami(&url).await;
    let port = stage.provider.stop().await;
    stage.machine.becomes(NAME, "retrying", |status| status["auth"] == "auth_retrying").await;
    let answer = stage.scene.curl(&["--json", "{}", &url]).await;
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    assert_eq!(answer.json()["error"], "server_unreachable");

    let again = ["--resource", &stage.url, "--port", &port];
    stage.provider = Provider::oidc(&stage.scene, "provider", &[&lasting[..], &again].concat()).await;
    assert_eq!(stage.whoami(&url).await["subject"], "alice", "the next request brings it back");
    assert_eq!(stage.machine.status(NAME).await["auth"], "authenticated");
    stage.machine.tabs(1).await;
}

#[tokio::test]
async fn of_two_runs_at_once_one_opens_a_browser_and_one_serves() {
    let stage = RemoteStage::set("run-login-twice", &["--cimd"]).await;
    let words = stage.command(&stage.by_document());
    let (one, two) = (stage.machine.start("thv-run-one", &words), stage.machine.start("thv-run-two", &words));
    let (one, two) = (one.finished().await, two.finished().await);
    let (served, refused) = if one.status.success() { (one, two) } else { (two, one) };
    assert_eq!((served.status.code(), refused.status.code()), (Some(0), Some(1)), "{refused:?}");
    assert!(refused.stderr.contains("is running already"), "{refused:?}");
    assert_eq!(stage.whoami(served.stdout.trim()).await["subject"], "alice");
    stage.machine.tabs(1).await;
}

#[tokio::test]
async fn secrets_of_the_environment_are_only_read_and_a_login_lasts_as_long_as_its_process() {
    let mut stage = RemoteStage::set("run-login-environment", &["--cimd"]).await;
    stage.machine.set("TOOLHIVE_SECRETS_PROVIDER", "environment");
    stage.machine.set("TOOLHIVE_SECRET_KEY", "a secret of the environment");
    let header = ["--remote-forward-headers-secret", "X-Api-Key=key"];
    let url = stage.run(&header).await;
    for _ in 0..2 {
        let seen = stage.whoami(&url).await;
        assert_eq!(seen["headers"]["x-api-key"], "a secret of the environment");
    }
    // One login.
    stage.machine.tabs(1).await;
    assert!(!stage.machine.has_secrets());
    stage.machine.ok(&["restart", NAME]).await;
    stage.whoami(&url).await;
    stage.machine.tabs(2).await;
    let refused = stage.machine.refused(&["login", NAME]).await;
    assert!(refused.contains("thv restart tools"), "{refused}");
    stage.machine.ok(&["rm", "--force", NAME]).await;
    stage.machine.assert_clean(&stage.scene, 4);
}
