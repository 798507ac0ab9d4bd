use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// Secrets in files, whose contents are their names.
struct Secrets(TempDir);

impl Secrets {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, name).unwrap();
        path
    }

    /// A reference to a secret with this content.
    fn of(&self, name: &str) -> String {
        format!("{{file: {}}}", self.path(name).display())
    }

    /// A whole `tls` block whose secrets begin with `side`.
    fn tls(&self, side: &str) -> String {
        let secret = |name: &str| self.of(&format!("{side}-{name}"));
        format!(
            "{{caCertSecretRef: {}, clientCertSecretRef: {}, clientKeySecretRef: {}}}",
            secret("ca"),
            secret("cert"),
            secret("key")
        )
    }

    /// A whole `aclUserConfig` block whose secrets begin with `side`.
    fn user(&self, side: &str) -> String {
        let secret = |name: &str| self.of(&format!("{side}-{name}"));
        format!("{{usernameSecretRef: {}, passwordSecretRef: {}}}", secret("name"), secret("password"))
    }
}

fn configured(redis: &str, egress: &str) -> Config {
    let yaml = format!(
        "publicUrl: https://mcp.example.com\nserver: {{url: 'http://127.0.0.1:1/mcp'}}\negress: {{{egress}}}\n\
         authServer:\n  issuer: https://mcp.example.com\n  storage: {{type: redis, redis: {{{redis}}}}}\n"
    );
    Config::parse(&yaml).unwrap()
}

fn mapped(redis: &str) -> RedisSettings {
    let config = configured(redis, "");
    redis_settings(&config, config.auth_server.as_ref().unwrap()).unwrap()
}

#[track_caller]
fn assert_user(credentials: Option<&Credentials>, side: &str) {
    let credentials = credentials.unwrap();
    assert_eq!(credentials.username, Some(format!("{side}-name")));
    assert_eq!(credentials.password.expose_secret(), format!("{side}-password"));
}

#[track_caller]
fn assert_tls(tls: Option<&TlsSettings>, side: &str) {
    let tls = tls.unwrap();
    assert!(matches!(&tls.trust, Trust::Authorities(pem) if *pem == format!("{side}-ca")), "{:?}", tls.trust);
    let identity = tls.identity.as_ref().unwrap();
    assert_eq!(identity.cert_pem, format!("{side}-cert"));
    assert_eq!(identity.key_pem.expose_secret(), format!("{side}-key"));
}

#[test]
fn the_block_of_a_single_server_arrives_whole() {
    let secrets = Secrets::new();
    let settings = mapped(&format!(
        "addr: 'redis.svc:6380', db: 3, aclUserConfig: {}, tls: {}, replicaAcks: 2, keyPrefix: 'mine:', \
         dialTimeout: 1s, readTimeout: 20ms, writeTimeout: 3m",
        secrets.user("data"),
        secrets.tls("data")
    ));
    let Topology::Standalone { addr, db } = &settings.topology else { panic!("{:?}", settings.topology) };
    assert_eq!((addr.to_string().as_str(), *db), ("redis.svc:6380", 3));
    assert_user(settings.credentials.as_ref(), "data");
    assert_tls(settings.tls.as_ref(), "data");
    assert_eq!((settings.replica_acks, settings.key_prefix.as_str()), (2, "mine:"));
    assert_eq!(settings.dial_timeout, Duration::from_secs(1));
    assert_eq!(settings.read_timeout, Duration::from_millis(20));
    assert_eq!(settings.write_timeout, Duration::from_secs(180));
    assert_eq!(addresses(&settings.topology), "redis.svc:6380, database 3");
}

#[test]
fn the_block_of_a_cluster_arrives_whole() {
    let secrets = Secrets::new();
    let settings = mapped(&format!(
        "addr: '[::1]:7000', clusterMode: true, aclUserConfig: {{passwordSecretRef: {}}}, tls: {}, replicaAcks: 1",
        secrets.of("only-password"),
        secrets.tls("data")
    ));
    let Topology::Cluster { addrs } = &settings.topology else { panic!("{:?}", settings.topology) };
    assert_eq!(addrs, &[Endpoint::new("::1", 7000)]);
    let credentials = settings.credentials.as_ref().unwrap();
    assert_eq!((&credentials.username, credentials.password.expose_secret()), (&None, "only-password"));
    assert_tls(settings.tls.as_ref(), "data");
    assert_eq!(settings.replica_acks, 1);
    assert_eq!(addresses(&settings.topology), "cluster at [::1]:7000");
}

#[test]
fn the_block_of_sentinels_arrives_whole_and_apart_from_the_servers() {
    let secrets = Secrets::new();
    let settings = mapped(&format!(
        "sentinelConfig: {{masterName: main, sentinelAddrs: ['s1:26379', 's2:26380'], db: 4}}, \
         aclUserConfig: {}, sentinelAclUserConfig: {}, tls: {}, sentinelTls: {}",
        secrets.user("data"),
        secrets.user("watch"),
        secrets.tls("data"),
        secrets.tls("watch")
    ));
    let Topology::Sentinel(sentinel) = &settings.topology else { panic!("{:?}", settings.topology) };
    assert_eq!((sentinel.master_name.as_str(), sentinel.db), ("main", 4));
    assert_eq!(sentinel.addrs, [Endpoint::new("s1", 26379), Endpoint::new("s2", 26380)]);
    assert_user(settings.credentials.as_ref(), "data");
    assert_user(sentinel.credentials.as_ref(), "watch");
    assert_tls(settings.tls.as_ref(), "data");
    assert_tls(sentinel.tls.as_ref(), "watch");
    assert_eq!(settings.replica_acks, 1, "the default where a replica may be promoted");
    assert_eq!(addresses(&settings.topology), "main behind the Sentinels s1:26379, s2:26380");
}

#[test]
fn what_is_left_out_is_as_documented() {
    let settings = mapped("addr: 'redis:6379'");
    assert!(settings.credentials.is_none() && settings.tls.is_none());
    assert_eq!((settings.replica_acks, settings.key_prefix.as_str()), (0, "thv:"));
    let timeouts = (settings.dial_timeout, settings.read_timeout, settings.write_timeout);
    assert_eq!(timeouts, (Duration::from_secs(5), Duration::from_secs(3), Duration::from_secs(3)));
}

#[test]
fn tls_trusts_what_the_block_says() {
    let secrets = Secrets::new();
    let trust = |tls: &str, egress: &str| {
        let config = configured(&format!("addr: 'redis:6379', tls: {{{tls}}}"), egress);
        let settings = redis_settings(&config, config.auth_server.as_ref().unwrap()).unwrap();
        let tls = settings.tls.unwrap();
        assert!(tls.identity.is_none());
        tls.trust
    };
    assert!(matches!(trust("", ""), Trust::System { extra: None }));
    let egress = format!("caBundle: {}", secrets.path("bundle").display());
    assert!(matches!(trust("", &egress), Trust::System { extra: Some(pem) } if pem == "bundle"));
    let authority = format!("caCertSecretRef: {}", secrets.of("ca"));
    assert!(matches!(trust(&authority, &egress), Trust::Authorities(pem) if pem == "ca"));
    assert!(matches!(trust("insecureSkipVerify: true", ""), Trust::Anything));
}

#[test]
fn a_secret_that_cannot_be_read_is_named_by_its_key() {
    for (block, key) in [
        ("aclUserConfig: {passwordSecretRef: {file: /nowhere}}", "aclUserConfig.passwordSecretRef"),
        ("tls: {caCertSecretRef: {file: /nowhere}}", "tls.caCertSecretRef"),
        ("tls: {clientKeySecretRef: {file: /nowhere}}", "tls.clientKeySecretRef"),
    ] {
        let config = configured(&format!("addr: 'redis:6379', {block}"), "");
        let problem = redis_settings(&config, config.auth_server.as_ref().unwrap()).unwrap_err();
        assert_eq!(problem.path, format!("authServer.storage.redis.{key}"));
    }
}
