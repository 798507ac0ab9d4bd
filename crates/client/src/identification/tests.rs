use super::*;

const URL: &str = "https://rp.example/oauth/client-metadata.json";
const ENDPOINT: &str = "https://as.example/register";

fn metadata(documents: bool, registration: bool, methods: &[&str]) -> AuthorizationServerMetadata {
    AuthorizationServerMetadata {
        client_id_metadata_document_supported: documents,
        registration_endpoint: registration.then(|| ENDPOINT.to_owned()),
        token_endpoint_auth_methods_supported: methods.iter().map(|name| (*name).to_owned()).collect(),
        code_challenge_methods_supported: vec!["S256".into()],
        ..AuthorizationServerMetadata::default()
    }
}

fn own(preregistered: bool, methods: &[AuthMethod]) -> OwnIdentity<'_> {
    let document = (!methods.is_empty()).then_some(OwnDocument { url: URL, methods });
    OwnIdentity { preregistered, document, key: Some(Algorithm::ES256) }
}

fn by_document(method: AuthMethod) -> Identification {
    Identification::MetadataDocument { client_id: URL.into(), method }
}

fn by_registration(method: AuthMethod) -> Identification {
    Identification::Register { endpoint: ENDPOINT.into(), method }
}

#[test]
fn u9_the_ladder_is_preregistered_then_metadata_document_then_registration() {
    let server = metadata(true, true, &["private_key_jwt", "client_secret_basic"]);
    let keyed = [AuthMethod::PrivateKeyJwt];
    for (own, expected) in [
        (own(true, &keyed), Identification::Preregistered),
        (own(false, &keyed), by_document(AuthMethod::PrivateKeyJwt)),
        (own(false, &[]), by_registration(AuthMethod::PrivateKeyJwt)),
        // The document declares a method that the server does not accept.
        (own(false, &[AuthMethod::None]), by_registration(AuthMethod::PrivateKeyJwt)),
        (OwnIdentity::default(), by_registration(AuthMethod::ClientSecretBasic)),
    ] {
        assert_eq!(identify(IdentificationMode::Auto, &own, &server), Ok(expected), "{own:?}");
    }
}

#[test]
fn u9_a_mode_leaves_one_way_open() {
    let server = metadata(true, true, &["none", "client_secret_post"]);
    let public = [AuthMethod::None];
    let all = own(true, &public);
    for (mode, expected) in [
        (IdentificationMode::Auto, Identification::Preregistered),
        (IdentificationMode::Preregistered, Identification::Preregistered),
        (IdentificationMode::MetadataDocument, by_document(AuthMethod::None)),
        (IdentificationMode::Registration, by_registration(AuthMethod::ClientSecretPost)),
    ] {
        assert_eq!(identify(mode, &all, &server), Ok(expected), "{mode:?}");
    }
    let nobody = OwnIdentity::default();
    assert_eq!(
        identify(IdentificationMode::Preregistered, &nobody, &server),
        Err(IdentificationError::NoClientId)
    );
    assert_eq!(
        identify(IdentificationMode::MetadataDocument, &nobody, &server),
        Err(IdentificationError::NoDocument)
    );
}

#[test]
fn u9_an_error_says_what_the_server_offers_and_what_to_configure() {
    let keyed = [AuthMethod::PrivateKeyJwt];
    for (mode, server, texts) in [
        (
            IdentificationMode::Auto,
            metadata(false, false, &["client_secret_basic"]),
            &[
                "no registration_endpoint",
                "neither client ID",
                "client_secret_basic",
                "configure its client_id",
            ][..],
        ),
        (
            IdentificationMode::Registration,
            metadata(true, false, &[]),
            &["no registration_endpoint", "but no dynamic registration", "no authentication methods"],
        ),
        (
            IdentificationMode::MetadataDocument,
            metadata(false, true, &["none"]),
            &["client_id_metadata_document_supported", "dynamic registration, but no client ID"],
        ),
        // Documents would do, were it not for the method.
        (
            IdentificationMode::Auto,
            metadata(true, false, &["none"]),
            &["no authentication method fits", "methods none"],
        ),
        (
            IdentificationMode::Auto,
            metadata(false, true, &["tls_client_auth"]),
            &["no authentication method fits", "tls_client_auth"],
        ),
    ] {
        let error = identify(mode, &own(false, &keyed), &server).unwrap_err().to_string();
        for text in texts {
            assert!(error.contains(text), "{error:?} lacks {text:?}");
        }
    }
}

#[test]
fn as_62_a_shared_secret_is_never_chosen_for_a_metadata_document() {
    let methods = [AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];
    // A server that lists nothing accepts client_secret_basic.
    let outcome =
        identify(IdentificationMode::MetadataDocument, &own(false, &methods), &metadata(true, true, &[]));
    assert!(matches!(outcome, Err(IdentificationError::Method { .. })), "{outcome:?}");
}

#[test]
fn u3_the_method_is_the_strongest_that_both_sides_can_use() {
    let mut server = metadata(
        false,
        true,
        &["none", "client_secret_post", "client_secret_basic", "private_key_jwt", "client_secret_jwt"],
    );
    let register = |server: &AuthorizationServerMetadata, key| {
        let own = OwnIdentity { key, ..OwnIdentity::default() };
        identify(IdentificationMode::Registration, &own, server)
    };
    let key = Some(Algorithm::ES256);
    assert_eq!(register(&server, key), Ok(by_registration(AuthMethod::PrivateKeyJwt)));
    assert_eq!(register(&server, None), Ok(by_registration(AuthMethod::ClientSecretBasic)));
    server.token_endpoint_auth_signing_alg_values_supported = vec!["RS256".into(), "ES256".into()];
    assert_eq!(register(&server, key), Ok(by_registration(AuthMethod::PrivateKeyJwt)));
    assert_eq!(register(&server, Some(Algorithm::EdDSA)), Ok(by_registration(AuthMethod::ClientSecretBasic)));

    server.token_endpoint_auth_methods_supported = vec!["none".into()];
    assert_eq!(register(&server, key), Ok(by_registration(AuthMethod::None)));
    server.code_challenge_methods_supported = vec!["plain".into()];
    let Err(IdentificationError::Method { source, .. }) = register(&server, key) else {
        panic!("none without S256");
    };
    assert_eq!(source.listed, ["none"]);
    assert!(source.to_string().contains("S256"), "{source}");
    server.token_endpoint_auth_methods_supported.clear();
    assert_eq!(register(&server, None), Ok(by_registration(AuthMethod::ClientSecretBasic)));
}
