//! Documents in the shapes that widely used clients publish.

use serde_json::json;

use super::examine_bytes;
use crate::auth_method::AuthMethod;

#[test]
fn as_21_as_68_a_command_line_client_with_portless_loopback_uris_is_accepted() {
    let url = "https://claude.ai/oauth/claude-code-client-metadata";
    let document = json!({
        "client_id": url, "client_name": "Claude Code", "client_uri": "https://claude.ai",
        "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let metadata = examine_bytes(url, document.to_string().as_bytes()).into_result().unwrap();
    assert!(metadata.has_redirect_uri("http://localhost:54321/callback"));
    assert_eq!(metadata.application_type, None);
}

#[test]
fn as_67_an_editor_that_also_declares_device_code_is_accepted() {
    let url = "https://vscode.dev/oauth/client-metadata.json";
    let document = json!({
        "client_id": url, "client_name": "Visual Studio Code", "application_type": "native",
        "redirect_uris": ["https://vscode.dev/redirect", "http://127.0.0.1:33418/"],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let metadata = examine_bytes(url, document.to_string().as_bytes()).into_result().unwrap();
    assert!(
        metadata.has_redirect_uri("http://127.0.0.1:1/")
            && metadata.has_redirect_uri("https://vscode.dev/redirect")
    );
}

#[test]
fn as_65_as_66_a_hosted_client_with_private_key_jwt_is_accepted() {
    let url = "https://chatgpt.com/oauth/client.json";
    let document = json!({
        "client_id": url, "client_name": "ChatGPT", "redirect_uris": ["https://chatgpt.com/connector/oauth/x"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"], "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
    });
    let metadata = examine_bytes(url, document.to_string().as_bytes()).into_result().unwrap();
    assert_eq!(metadata.token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
    assert_eq!(metadata.jwks_uri.as_deref(), Some("https://chatgpt.com/oauth/jwks.json"));
}
