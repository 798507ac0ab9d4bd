//! The store.

use std::path::Path;

use thv_config::storage::{RedisTopology, StorageType, Synchronous};
use thv_config::{Config, Profile, Severity, Storage};

use super::{OIDC, check, lines, problems, problems_of};

/// With what replicas must share, so that a store in Redis gives no warning by itself.
fn redis(settings: &str) -> String {
    format!(
        "{OIDC}  signingKeySecretRefs: [{{file: /k}}]\n  hmacSecretRefs: [{{file: /h}}]\n  storage: {{type: redis, redis: \
         {settings}}}\n"
    )
}

fn storage(yaml: &str) -> Storage {
    Config::parse(yaml).unwrap().auth_server.unwrap().storage
}

#[test]
fn the_default_is_sqlite_where_users_are_served_and_memory_in_development() {
    let default = storage(OIDC);
    assert_eq!(default.kind(Profile::Production), StorageType::Sqlite);
    assert_eq!(default.kind(Profile::Development), StorageType::Memory);
    assert_eq!(default.sqlite_path(Path::new("/state")), Path::new("/state/store.db"));
    assert_eq!(default.synchronous(), Synchronous::Normal);
    let configured = storage(&format!(
        "{OIDC}  storage: {{type: sqlite, sqlite: {{path: /db/thv.db, synchronous: full}}}}\n"
    ));
    assert_eq!(configured.kind(Profile::Development), StorageType::Sqlite);
    assert_eq!(configured.sqlite_path(Path::new("/state")), Path::new("/db/thv.db"));
    assert_eq!(configured.synchronous(), Synchronous::Full);
}

#[test]
fn memory_is_for_development() {
    let at = "authServer.storage.type";
    check(Severity::Warning, &[(OIDC, at, "\"memory\"", at, "all users log in again")]);
    assert_eq!(problems(OIDC, at, Some("\"memory\""), Profile::Development), []);
}

#[test]
fn a_block_belongs_to_its_type() {
    let at = "authServer.storage";
    let six = r#"{"encryptionKeySecretRefs": [{"env":"A"},{"env":"B"},{"env":"C"},{"env":"D"},{"env":"E"},{"env":"F"}]}"#;
    check(
        Severity::Error,
        &[
            (OIDC, at, r#"{"redis": {"addr": "a:1"}}"#, "authServer.storage.redis", "write type: redis"),
            (
                OIDC,
                at,
                r#"{"type": "sqlite", "redis": {"addr": "a:1"}}"#,
                "authServer.storage.redis",
                "does not belong to type sqlite",
            ),
            (OIDC, at, r#"{"sqlite": {"path": ""}}"#, "authServer.storage.sqlite.path", "leave it out"),
            (
                OIDC,
                at,
                r#"{"sqlite": {"path": ":memory:"}}"#,
                "authServer.storage.sqlite.path",
                "write type: memory",
            ),
            (OIDC, at, six, "authServer.storage.encryptionKeySecretRefs", "at most 5"),
            (
                OIDC,
                at,
                r#"{"encryptionKeySecretRefs": [{}]}"#,
                "authServer.storage.encryptionKeySecretRefs[0]",
                "exactly one of",
            ),
        ],
    );
    let found = problems(OIDC, at, Some(r#"{"sqlite": {}}"#), Profile::Development);
    assert_eq!(
        lines(&found),
        ["authServer.storage.sqlite: does not belong to type memory; remove it or write type: sqlite"]
    );
    assert_eq!(
        problems(OIDC, at, Some(r#"{"encryptionKeySecretRefs": [{"file": "/k"}]}"#), Profile::Production),
        []
    );
}

#[test]
fn replicas_share_their_keys() {
    let yaml = format!("{OIDC}  storage: {{type: redis, redis: {{addr: 'redis.example.com:6379'}}}}\n");
    let found = problems_of(&yaml, Profile::Production);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["authServer.signingKeySecretRefs", "authServer.hmacSecretRefs"]);
    for problem in &found {
        assert!(!problem.is_error() && problem.message.contains("each replica would create keys of its own"));
    }
    assert_eq!(problems_of(&redis("{addr: 'redis.example.com:6379'}"), Profile::Production), []);
}

#[test]
fn what_redis_is_made_of() {
    let topology = |settings: &str| {
        assert_eq!(problems_of(&redis(settings), Profile::Production), [], "{settings}");
        storage(&redis(settings)).redis.unwrap()
    };
    let single = topology("{addr: '[::1]:6379', db: 3, tls: {}}");
    assert_eq!(single.topology(), Some(RedisTopology::Standalone { addr: "[::1]:6379", db: 3 }));
    assert_eq!((single.key_prefix.as_str(), single.dial_timeout.as_secs()), ("thv:", 5));
    assert_eq!((single.read_timeout.as_secs(), single.write_timeout.as_secs()), (3, 3));
    let cluster = topology("{addr: 'a:1', clusterMode: true}");
    assert_eq!(cluster.topology(), Some(RedisTopology::Cluster { addr: "a:1" }));
    let sentinel =
        topology("{sentinelConfig: {masterName: m, sentinelAddrs: ['a:1', 'b:2'], db: 2}, sentinelTls: {}}");
    let Some(RedisTopology::Sentinel(config)) = sentinel.topology() else { panic!("{sentinel:?}") };
    assert_eq!((config.sentinel_addrs.len(), config.db), (2, 2));
}

/// (settings of Redis, key of the one problem, part of its message)
const WRONG: [(&str, &str, &str); 27] = [
    ("{}", "addr", "either addr"),
    (
        "{addr: 'a:1', sentinelConfig: {masterName: m, sentinelAddrs: ['a:1']}}",
        "sentinelConfig",
        "exclude each other",
    ),
    ("{addr: a}", "addr", "write for example redis.example.com:6379"),
    ("{addr: ':1'}", "addr", "not host:port"),
    ("{addr: 'rediss://a:1'}", "addr", "is a URL"),
    (
        "{clusterMode: true, sentinelConfig: {masterName: m, sentinelAddrs: ['a:1']}}",
        "clusterMode",
        "needs addr",
    ),
    ("{addr: 'a:1', clusterMode: true, db: 1}", "db", "a cluster has one database"),
    ("{sentinelConfig: {masterName: m, sentinelAddrs: ['a:1']}, db: 1}", "db", "write sentinelConfig.db"),
    ("{sentinelConfig: {sentinelAddrs: ['a:1']}}", "sentinelConfig.masterName", "is required"),
    ("{sentinelConfig: {masterName: m}}", "sentinelConfig.sentinelAddrs", "is required"),
    (
        "{sentinelConfig: {masterName: m, sentinelAddrs: ['a:1', b]}}",
        "sentinelConfig.sentinelAddrs[1]",
        "not host:port",
    ),
    (
        "{sentinelConfig: {masterName: m, sentinelService: {name: s}}}",
        "sentinelConfig.sentinelService",
        "only in Kubernetes; list sentinelAddrs",
    ),
    ("{addr: 'a:1', sentinelTls: {}}", "sentinelTls", "for the server itself write tls"),
    (
        "{addr: 'a:1', sentinelAclUserConfig: {passwordSecretRef: {file: /p}}}",
        "sentinelAclUserConfig",
        "needs sentinelConfig",
    ),
    ("{addr: 'a:1', aclUserConfig: {}}", "aclUserConfig.passwordSecretRef", "is required"),
    (
        "{addr: 'a:1', aclUserConfig: {passwordSecretRef: {}}}",
        "aclUserConfig.passwordSecretRef",
        "exactly one of",
    ),
    (
        "{addr: 'a:1', aclUserConfig: {usernameSecretRef: {}, passwordSecretRef: {file: /p}}}",
        "aclUserConfig.usernameSecretRef",
        "exactly one of",
    ),
    ("{addr: 'a:1', tls: {clientCertSecretRef: {file: /c}}}", "tls.clientKeySecretRef", "is required"),
    ("{addr: 'a:1', tls: {clientKeySecretRef: {file: /c}}}", "tls.clientCertSecretRef", "is required"),
    ("{addr: 'a:1', tls: {caCertSecretRef: {}}}", "tls.caCertSecretRef", "exactly one of"),
    ("{addr: 'a:1', tls: {insecureSkipVerify: true}}", "tls.insecureSkipVerify", "set caCertSecretRef"),
    ("{addr: 'a:1', dialTimeout: 0s}", "dialTimeout", "more than 0s"),
    ("{addr: 'a:1', readTimeout: 0s}", "readTimeout", "more than 0s"),
    ("{addr: 'a:1', writeTimeout: 0s}", "writeTimeout", "more than 0s"),
    ("{addr: 'a:1', keyPrefix: ''}", "keyPrefix", "must not be empty"),
    ("{addr: 'a:1', keyPrefix: '{thv}:'}", "keyPrefix", "into one slot"),
    ("{addr: 'a:1', keyPrefix: 'thv '}", "keyPrefix", "without spaces"),
];

#[test]
fn redis_rules() {
    for (settings, key, message) in WRONG {
        let found = problems_of(&redis(settings), Profile::Production);
        let [problem] = found.as_slice() else { panic!("{settings}: {found:#?}") };
        assert_eq!(problem.path, format!("authServer.storage.redis.{key}"), "{settings}: {problem}");
        assert!(problem.to_string().contains(message), "{settings}: {problem}");
        assert_eq!(problem.is_error(), !key.ends_with("insecureSkipVerify"), "{settings}");
    }
    let unverified = redis("{addr: 'a:1', tls: {insecureSkipVerify: true}}");
    assert_eq!(problems_of(&unverified, Profile::Development), []);
    let missing = redis("{}").replace(", redis: {}", "");
    let found = problems_of(&missing, Profile::Production);
    assert_eq!((found.len(), found[0].path.as_str()), (1, "authServer.storage.redis"));
}

#[test]
fn every_secret_of_redis_is_found() {
    let yaml = redis(
        "{addr: 'a:1', aclUserConfig: {usernameSecretRef: {file: /u}, passwordSecretRef: {file: /p}}, tls: \
         {caCertSecretRef: {file: /a}, clientCertSecretRef: {file: /c}, clientKeySecretRef: {file: /k}}}",
    );
    let config = Config::parse(&yaml).unwrap();
    let paths: Vec<String> = thv_config::secret_refs(&config).into_iter().map(|(path, _)| path).collect();
    let redis: Vec<&str> =
        paths.iter().filter_map(|path| path.strip_prefix("authServer.storage.redis.")).collect();
    assert_eq!(
        redis,
        [
            "aclUserConfig.usernameSecretRef",
            "aclUserConfig.passwordSecretRef",
            "tls.caCertSecretRef",
            "tls.clientCertSecretRef",
            "tls.clientKeySecretRef",
        ]
    );
}
