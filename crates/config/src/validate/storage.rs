//! The store.

use std::path::Path;

use crate::auth_server::AuthServer;
use crate::problem::Problem;
use crate::storage::{AclUserConfig, RedisStorage, RedisTls, SentinelConfig, StorageType};

use super::Profile;
use super::auth_server::MAX_SECRETS;
use super::findings::Findings;
use super::url::host_and_port;

const AT: &str = "authServer.storage";

pub(super) fn check(auth_server: &AuthServer, profile: Profile, findings: &mut Findings) {
    let storage = &auth_server.storage;
    let kind = storage.kind(profile);
    let blocks =
        [(StorageType::Sqlite, storage.sqlite.is_some()), (StorageType::Redis, storage.redis.is_some())];
    for (owner, _) in blocks.into_iter().filter(|(owner, present)| *present && *owner != kind) {
        let message = format!("does not belong to type {}", kind.as_str());
        let hint = format!("remove it or write type: {}", owner.as_str());
        findings.push(Problem::error(format!("{AT}.{}", owner.as_str()), message).with_hint(hint));
    }
    match (kind, &storage.sqlite, &storage.redis) {
        (StorageType::Memory, ..) if profile == Profile::Production => findings.warning(
            &format!("{AT}.type"),
            "memory is lost at every restart, and all users log in again; use sqlite or redis",
        ),
        (StorageType::Sqlite, Some(sqlite), _) => sqlite_path(sqlite.path.as_deref(), findings),
        (StorageType::Redis, _, Some(redis)) => {
            check_redis(redis, profile, findings);
            shared_keys(auth_server, findings);
        }
        (StorageType::Redis, _, None) => {
            findings.required(&format!("{AT}.redis"), "", "such as redis: {addr: 'redis.example.com:6379'}");
        }
        _ => {}
    }
    let count = storage.encryption_key_secret_refs.len();
    if count > MAX_SECRETS {
        let message = format!("has {count} entries; at most {MAX_SECRETS} are used");
        findings.error(&format!("{AT}.encryptionKeySecretRefs"), message);
    }
}

fn sqlite_path(path: Option<&Path>, findings: &mut Findings) {
    let at = format!("{AT}.sqlite.path");
    let Some(path) = path else { return };
    if path.as_os_str().is_empty() {
        findings.error(&at, "must not be empty; leave it out for store.db in stateDir");
    } else if path.to_string_lossy().starts_with(":memory:") {
        findings.error(&at, "must be a file; write type: memory for a store that ends with the process");
    }
}

/// Replicas that read each other's records must verify each other's tokens.
fn shared_keys(auth_server: &AuthServer, findings: &mut Findings) {
    let lists = [
        ("signingKeySecretRefs", auth_server.signing_key_secret_refs.is_empty(), "tokens"),
        ("hmacSecretRefs", auth_server.hmac_secret_refs.is_empty(), "codes, refresh tokens and records"),
    ];
    for (key, _, what) in lists.into_iter().filter(|(_, empty, _)| *empty) {
        let message = format!(
            "is empty: each replica would create keys of its own, and refuse the {what} of the others; configure the \
             same for all"
        );
        findings.warning(&format!("authServer.{key}"), message);
    }
}

fn check_redis(redis: &RedisStorage, profile: Profile, findings: &mut Findings) {
    let at = |key: &str| format!("{AT}.redis.{key}");
    match (&redis.addr, &redis.sentinel_config) {
        (Some(addr), None) => host_with_port(&at("addr"), addr, 6379, findings),
        (None, Some(sentinel)) => check_sentinel(&at("sentinelConfig"), sentinel, findings),
        (Some(_), Some(_)) => findings.error(
            &at("sentinelConfig"),
            "addr and sentinelConfig exclude each other: keep addr for a single server or a cluster, or sentinelConfig \
             for a master that Sentinels watch",
        ),
        (None, None) => findings.error(
            &at("addr"),
            "either addr (a single server, or a node of a cluster) or sentinelConfig is required",
        ),
    }
    if redis.cluster_mode && redis.addr.is_none() && redis.sentinel_config.is_some() {
        findings.error(&at("clusterMode"), "needs addr, one of the nodes; Sentinels do not watch clusters");
    }
    if redis.db != 0 && redis.cluster_mode {
        findings.error(&at("db"), "has no place beside clusterMode: a cluster has one database");
    } else if redis.db != 0 && redis.sentinel_config.is_some() {
        findings.error(&at("db"), "is for a single server; write sentinelConfig.db");
    }
    if redis.sentinel_config.is_none() {
        let blocks = [
            ("sentinelTls", redis.sentinel_tls.is_some(), "tls"),
            ("sentinelAclUserConfig", redis.sentinel_acl_user_config.is_some(), "aclUserConfig"),
        ];
        for (key, _, other) in blocks.into_iter().filter(|(_, present, _)| *present) {
            findings.error(&at(key), format!("needs sentinelConfig; for the server itself write {other}"));
        }
    }
    acl_user(&at("aclUserConfig"), redis.acl_user_config.as_ref(), findings);
    acl_user(&at("sentinelAclUserConfig"), redis.sentinel_acl_user_config.as_ref(), findings);
    tls(&at("tls"), redis.tls.as_ref(), profile, findings);
    tls(&at("sentinelTls"), redis.sentinel_tls.as_ref(), profile, findings);
    let timeouts = [
        ("dialTimeout", redis.dial_timeout),
        ("readTimeout", redis.read_timeout),
        ("writeTimeout", redis.write_timeout),
    ];
    for (key, _) in timeouts.into_iter().filter(|(_, timeout)| timeout.is_zero()) {
        findings.error(&at(key), "must be more than 0s: a server that hangs would hold requests for ever");
    }
    key_prefix(&at("keyPrefix"), &redis.key_prefix, findings);
}

fn check_sentinel(at: &str, sentinel: &SentinelConfig, findings: &mut Findings) {
    let hint = "the name under which the Sentinels watch it, often mymaster";
    findings.required(&format!("{at}.masterName"), &sentinel.master_name, hint);
    let list_at = format!("{at}.sentinelAddrs");
    if sentinel.sentinel_service.is_some() {
        let service_at = format!("{at}.sentinelService");
        findings.error(&service_at, "works only in Kubernetes; list sentinelAddrs here");
    } else if sentinel.sentinel_addrs.is_empty() {
        findings.required(
            &list_at,
            "",
            "such as [sentinel-0.example.com:26379, sentinel-1.example.com:26379]",
        );
    }
    for (index, addr) in sentinel.sentinel_addrs.iter().enumerate() {
        let at = format!("{list_at}[{index}]");
        host_with_port(&at, addr, crate::storage::SENTINEL_PORT, findings);
    }
}

fn host_with_port(at: &str, addr: &str, usual: u16, findings: &mut Findings) {
    if addr.contains("://") {
        let message =
            format!("{addr:?} is a URL; write host:port, and tls: {{}} for an encrypted connection");
        findings.error(at, message);
    } else if !host_and_port(addr).is_ok_and(|(_, port)| port.is_some()) {
        let message = format!("{addr:?} is not host:port; write for example redis.example.com:{usual}");
        findings.error(at, message);
    }
}

fn acl_user(at: &str, user: Option<&AclUserConfig>, findings: &mut Findings) {
    if user.is_some_and(|user| user.password_secret_ref.is_none()) {
        findings.required(
            &format!("{at}.passwordSecretRef"),
            "",
            "such as {file: /run/secrets/redis-password}",
        );
    }
}

fn tls(at: &str, tls: Option<&RedisTls>, profile: Profile, findings: &mut Findings) {
    let Some(tls) = tls else { return };
    let (certificate, key) = (tls.client_cert_secret_ref.is_some(), tls.client_key_secret_ref.is_some());
    if certificate && !key {
        findings.required(&format!("{at}.clientKeySecretRef"), "", "the private key of clientCertSecretRef");
    } else if key && !certificate {
        findings.required(&format!("{at}.clientCertSecretRef"), "", "the certificate of clientKeySecretRef");
    }
    if tls.insecure_skip_verify && profile == Profile::Production {
        findings.warning(
            &format!("{at}.insecureSkipVerify"),
            "lets anybody on the way read and change all records; set caCertSecretRef instead",
        );
    }
}

fn key_prefix(at: &str, prefix: &str, findings: &mut Findings) {
    if prefix.is_empty() {
        findings.error(at, "must not be empty: it keeps the keys of several users of one Redis apart");
    } else if prefix.contains(['{', '}']) {
        let message = format!(
            "{prefix:?} must not contain braces: they would put every key of a cluster into one slot"
        );
        findings.error(at, message);
    } else if !prefix.bytes().all(|b| b.is_ascii_graphic()) {
        findings.error(at, format!("{prefix:?} must be printable ASCII without spaces"));
    }
}
