//! Every key is documented and shown: what the structs serialize to is compared with the reference and with `full.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use thv_config::auth_server::{
    AuthServer, Cimd, Consent, PinnedDocument, PreregisteredClient, TokenLifespans,
};
use thv_config::config::{
    Egress, HeaderStrategy, Limits, Oidc, ServerTarget, Tls, Transport, UpstreamInject,
};
use thv_config::storage::{
    AclUserConfig, RedisStorage, RedisTls, SentinelConfig, SentinelService, SqliteStorage, Storage,
    StorageType, Synchronous,
};
use thv_config::upstream::{
    DcrConfig, FieldMapping, IdentityFromToken, LocalUpstream, OAuth2Upstream, OidcUpstream, Registration,
    TokenResponseMapping, UpstreamProvider, UpstreamType, UserInfo, UserInfoMethod,
};
use thv_config::{Config, GoDuration, SecretRef};

fn text() -> String {
    "x".to_owned()
}

fn texts() -> Vec<String> {
    vec![text()]
}

fn map() -> BTreeMap<String, String> {
    BTreeMap::from([("any".to_owned(), text())])
}

/// Every form at once, which no real reference has.
fn secret() -> SecretRef {
    SecretRef { file: Some(PathBuf::from("/f")), env: Some(text()), name: Some(text()), key: Some(text()) }
}

fn user_info() -> UserInfo {
    UserInfo {
        endpoint_url: text(),
        http_method: UserInfoMethod::Get,
        additional_headers: map(),
        field_mapping: FieldMapping { subject_fields: texts(), name_fields: texts(), email_fields: texts() },
    }
}

fn dcr() -> DcrConfig {
    DcrConfig {
        discovery_url: Some(text()),
        registration_endpoint: Some(text()),
        initial_access_token_ref: Some(secret()),
        software_id: Some(text()),
        software_statement: Some(text()),
        client_name: Some(text()),
        delete_on_removal: true,
    }
}

fn provider() -> UpstreamProvider {
    UpstreamProvider {
        name: text(),
        upstream_type: Some(UpstreamType::Oidc),
        preset: Some(text()),
        label: Some(text()),
        optional: true,
        on_demand: true,
        registration: Some(Registration::Auto),
        oidc_config: Some(OidcUpstream {
            issuer_url: text(),
            client_id: text(),
            client_secret_ref: Some(secret()),
            dcr_config: Some(dcr()),
            redirect_uri: Some(text()),
            scopes: texts(),
            subject_claim: text(),
            resource: Some(text()),
            send_resource: true,
            additional_authorization_params: map(),
            user_info_override: Some(user_info()),
            allow_private_ips: true,
            insecure_allow_http: true,
        }),
        oauth2_config: Some(OAuth2Upstream {
            discovery_url: Some(text()),
            authorization_endpoint: text(),
            token_endpoint: text(),
            revocation_endpoint: Some(text()),
            client_id: text(),
            client_secret_ref: Some(secret()),
            dcr_config: Some(dcr()),
            redirect_uri: Some(text()),
            scopes: texts(),
            scope_parameter: text(),
            scope_separator: text(),
            user_info: Some(user_info()),
            token_response_mapping: Some(TokenResponseMapping {
                access_token_path: text(),
                scope_path: Some(text()),
                refresh_token_path: Some(text()),
                expires_in_path: Some(text()),
            }),
            identity_from_token: Some(IdentityFromToken {
                subject_path: text(),
                name_path: Some(text()),
                email_path: Some(text()),
            }),
            resource: Some(text()),
            send_resource: true,
            additional_authorization_params: map(),
            allow_private_ips: true,
            insecure_allow_http: true,
        }),
        local_config: Some(LocalUpstream {
            users_file: Some(PathBuf::from("/f")),
            development_user: Some(text()),
        }),
    }
}

fn acl_user() -> AclUserConfig {
    AclUserConfig { username_secret_ref: Some(secret()), password_secret_ref: Some(secret()) }
}

fn redis_tls() -> RedisTls {
    RedisTls {
        ca_cert_secret_ref: Some(secret()),
        client_cert_secret_ref: Some(secret()),
        client_key_secret_ref: Some(secret()),
        insecure_skip_verify: true,
    }
}

fn storage() -> Storage {
    Storage {
        storage_type: Some(StorageType::Redis),
        sqlite: Some(SqliteStorage { path: Some(PathBuf::from("/f")), synchronous: Synchronous::Full }),
        redis: Some(RedisStorage {
            addr: Some(text()),
            cluster_mode: true,
            db: 1,
            sentinel_config: Some(SentinelConfig {
                master_name: text(),
                sentinel_addrs: texts(),
                sentinel_service: Some(SentinelService { name: text(), namespace: Some(text()), port: 1 }),
                db: 1,
            }),
            acl_user_config: Some(acl_user()),
            sentinel_acl_user_config: Some(acl_user()),
            tls: Some(redis_tls()),
            sentinel_tls: Some(redis_tls()),
            dial_timeout: GoDuration::default(),
            read_timeout: GoDuration::default(),
            write_timeout: GoDuration::default(),
            replica_acks: Some(1),
            key_prefix: text(),
        }),
        encryption_key_secret_refs: vec![secret()],
    }
}

fn auth_server() -> AuthServer {
    AuthServer {
        issuer: text(),
        authorization_endpoint_base_url: Some(text()),
        upstream_providers: vec![provider()],
        primary_upstream_provider: Some(text()),
        signing_key_secret_refs: vec![secret()],
        hmac_secret_refs: vec![secret()],
        token_lifespans: TokenLifespans {
            access_token_lifespan: GoDuration::default(),
            refresh_token_lifespan: GoDuration::default(),
            auth_code_lifespan: GoDuration::default(),
        },
        scopes_supported: texts(),
        baseline_client_scopes: texts(),
        allowed_audiences: texts(),
        consent: Consent { mode: thv_config::auth_server::ConsentMode::Remember },
        cimd: Cimd {
            enabled: true,
            pinned_documents: vec![PinnedDocument { client_id: text(), file: PathBuf::from("/f") }],
            ..Cimd::default()
        },
        disable_upstream_token_injection: true,
        insecure_allow_http: true,
        allow_confidential_client_registration: true,
        clients: vec![PreregisteredClient {
            client_id: text(),
            client_name: Some(text()),
            client_secret_ref: Some(secret()),
            redirect_uris: texts(),
            scopes: texts(),
        }],
        storage: storage(),
    }
}

/// A configuration with every member present. Written without `..Default` where members may be left out of the output, so
/// that a new key does not compile until it is here, and the tests below then demand its documentation.
fn everything() -> Config {
    let address = "127.0.0.1:1".parse().unwrap();
    let network = "10.0.0.0/8".parse().unwrap();
    Config {
        listen: address,
        public_url: text(),
        tls: Some(Tls { cert_file: PathBuf::from("/f"), key_file: PathBuf::from("/f") }),
        metrics_listen: Some(address),
        trusted_proxies: vec![network],
        server: ServerTarget {
            url: Some(text()),
            transport: Transport::Sse,
            response_timeout: GoDuration::default(),
            path: text(),
            upstream_inject: UpstreamInject {
                provider_name: Some(text()),
                header_strategy: HeaderStrategy::Custom,
                custom_header_name: Some(text()),
            },
            forward_identity: true,
            required_scopes: texts(),
        },
        allowed_origins: texts(),
        auth_server: Some(auth_server()),
        oidc: Some(Oidc {
            issuer: text(),
            audience: Some(text()),
            jwks_url: Some(text()),
            introspection_url: Some(text()),
            client_id: Some(text()),
            client_secret_ref: Some(secret()),
            scopes: texts(),
        }),
        egress: Egress {
            ca_bundle: Some(PathBuf::from("/f")),
            allow_cidrs: vec![network],
            host_overrides: BTreeMap::from([("any".to_owned(), address)]),
        },
        state_dir: Some(PathBuf::from("/f")),
        limits: Limits::default(),
        insecure_allow_http: true,
    }
}

/// Mappings whose keys are the user's.
const FREE_FORM: [&str; 3] = ["additionalAuthorizationParams", "additionalHeaders", "hostOverrides"];

/// Key paths with list indexes left out: `authServer.clients.redirectUris`.
fn key_paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                if !FREE_FORM.contains(&key.as_str()) {
                    key_paths(value, &path, found);
                }
                found.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| key_paths(value, at, found)),
        _ => {}
    }
}

fn all_keys() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    key_paths(&serde_json::to_value(everything()).unwrap(), "", &mut found);
    assert!(found.len() > 100, "{found:#?}");
    found
}

#[test]
fn the_full_example_shows_every_key() {
    let text = std::fs::read_to_string(crate::examples::directory().join("full.yaml")).unwrap();
    // With the alternatives in place the file still has the right shape, though some keys exclude each other.
    let with_alternatives: String =
        text.lines().map(|line| format!("{}\n", line.strip_prefix("#|").unwrap_or(line))).collect();
    let config = Config::parse(&with_alternatives).unwrap();
    let mut shown = BTreeSet::new();
    key_paths(&serde_json::to_value(config).unwrap(), "", &mut shown);
    // What is serialized although the file does not show it is found by looking at the text.
    let written = |path: &String| {
        let key = path.rsplit('.').next().unwrap_or(path);
        text.contains(&format!("{key}:"))
    };
    // Blocks that occur at several places are shown once, for one of them.
    let blocks = [
        "userInfoOverride.",
        "SecretRef",
        "TokenRef",
        "oidcConfig.dcrConfig",
        "sentinelTls.",
        "sentinelAclUserConfig.",
    ];
    let shown_elsewhere = |path: &String| blocks.iter().any(|block| path.contains(block));
    let missing: Vec<String> = all_keys()
        .into_iter()
        .filter(|path| !written(path) || !(shown.contains(path) || shown_elsewhere(path)))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_reference_documents_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    // A section names its block in its heading; the table below it has one row for each key.
    let mut documented = BTreeSet::new();
    let mut block = "";
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            block = heading.split('`').nth(1).unwrap_or("");
        }
        if let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            documented.insert(if block.is_empty() { key.to_owned() } else { format!("{block}.{key}") });
        }
    }
    // Blocks that occur at several places have one section.
    let section = |path: &str| -> String {
        for (marker, block) in [
            ("SecretRef.", "clientSecretRef"),
            ("SecretRefs.", "clientSecretRef"),
            ("TokenRef.", "clientSecretRef"),
            ("dcrConfig.", "dcrConfig"),
            ("sentinelTls.", "authServer.storage.redis.tls"),
            ("sentinelAclUserConfig.", "authServer.storage.redis.aclUserConfig"),
            ("userInfoOverride.", "userInfo"),
            ("userInfo.", "userInfo"),
            ("oidcConfig.", "oidcConfig"),
            ("oauth2Config.", "oauth2Config"),
            ("localConfig.", "localConfig"),
        ] {
            if let Some((_, rest)) = path.split_once(marker) {
                return format!("{block}.{rest}");
            }
        }
        path.to_owned()
    };
    let expected: BTreeSet<String> = all_keys().iter().map(|path| section(path)).collect();
    let missing: Vec<&String> = expected.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:#?}");
    let surplus: Vec<&String> =
        documented.difference(&expected).filter(|path| !path.starts_with("users.")).collect();
    assert!(surplus.is_empty(), "documented, but no such key: {surplus:#?}");
}
