use thv_client::authorization_request::{AuthorizationRequest, UnusableEndpoint};
use thv_oauth::pkce::CodeVerifier;
use url::Url;

fn url(endpoint: &str, further: &[(&str, &str)]) -> Result<String, UnusableEndpoint> {
    let challenge = CodeVerifier::from_random([7; 32]).challenge();
    let request = AuthorizationRequest {
        endpoint,
        client_id: "https://client.example/metadata.json?v=1&x",
        redirect_uri: "http://localhost:8666/callback",
        state: "a state+",
        code_challenge: &challenge,
    };
    request.url(further.iter().copied())
}

#[test]
fn cl_40_every_parameter_arrives_as_it_was_meant() {
    let further = [("scope", "a b"), ("resource", "HTTPS://R.example:443/%7e?x=1&y")];
    let url = url("https://as.example/authorize?tenant=%2Fa", &further).unwrap();
    assert!(url.starts_with("https://as.example/authorize?tenant=%2Fa&"), "{url}");
    let url = Url::parse(&url).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let challenge = CodeVerifier::from_random([7; 32]).challenge();
    let expected = [
        ("tenant", "/a"),
        ("response_type", "code"),
        ("client_id", "https://client.example/metadata.json?v=1&x"),
        ("redirect_uri", "http://localhost:8666/callback"),
        ("state", "a state+"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("scope", "a b"),
        ("resource", "HTTPS://R.example:443/%7e?x=1&y"),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn cl_12_a_browser_is_sent_to_nothing_but_http() {
    for endpoint in [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "",
        "//as.example",
        " https://as.example",
    ] {
        assert_eq!(url(endpoint, &[]), Err(UnusableEndpoint), "{endpoint}");
    }
    for endpoint in ["https://as.example/a", "http://localhost:1/a"] {
        assert!(url(endpoint, &[]).is_ok(), "{endpoint}");
    }
}
