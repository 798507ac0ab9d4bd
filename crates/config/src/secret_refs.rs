//! All secrets that a configuration refers to.

use crate::config::Config;
use crate::secret_ref::SecretRef;
use crate::storage::{AclUserConfig, RedisTls};
use crate::upstream::UpstreamKind;

/// Every secret reference of a configuration with its key path, in the order of the model.
pub fn secret_refs(config: &Config) -> Vec<(String, &SecretRef)> {
    let mut found = Found::default();
    if let Some(auth_server) = &config.auth_server {
        for (index, provider) in auth_server.upstream_providers.iter().enumerate() {
            let at = format!("authServer.upstreamProviders[{index}]");
            let (at, secret, dcr) = match provider.kind() {
                Some(UpstreamKind::Oidc(oidc)) => {
                    (format!("{at}.oidcConfig"), &oidc.client_secret_ref, &oidc.dcr_config)
                }
                Some(UpstreamKind::OAuth2(oauth2)) => {
                    (format!("{at}.oauth2Config"), &oauth2.client_secret_ref, &oauth2.dcr_config)
                }
                Some(UpstreamKind::Local(_)) | None => continue,
            };
            found.one(format!("{at}.clientSecretRef"), secret.as_ref());
            let token = dcr.as_ref().and_then(|dcr| dcr.initial_access_token_ref.as_ref());
            found.one(format!("{at}.dcrConfig.initialAccessTokenRef"), token);
        }
        found.list("authServer.signingKeySecretRefs", &auth_server.signing_key_secret_refs);
        found.list("authServer.hmacSecretRefs", &auth_server.hmac_secret_refs);
        for (index, client) in auth_server.clients.iter().enumerate() {
            let path = format!("authServer.clients[{index}].clientSecretRef");
            found.one(path, client.client_secret_ref.as_ref());
        }
        let storage = &auth_server.storage;
        if let Some(redis) = &storage.redis {
            found.user("aclUserConfig", redis.acl_user_config.as_ref());
            found.user("sentinelAclUserConfig", redis.sentinel_acl_user_config.as_ref());
            found.tls("tls", redis.tls.as_ref());
            found.tls("sentinelTls", redis.sentinel_tls.as_ref());
        }
        found.list("authServer.storage.encryptionKeySecretRefs", &storage.encryption_key_secret_refs);
    }
    let oidc = config.oidc.as_ref().and_then(|oidc| oidc.client_secret_ref.as_ref());
    found.one("oidc.clientSecretRef".to_owned(), oidc);
    found.0
}

#[derive(Default)]
struct Found<'a>(Vec<(String, &'a SecretRef)>);

impl<'a> Found<'a> {
    fn one(&mut self, path: String, reference: Option<&'a SecretRef>) {
        self.0.extend(reference.map(|reference| (path, reference)));
    }

    fn list(&mut self, path: &str, references: &'a [SecretRef]) {
        let at = |(index, reference)| (format!("{path}[{index}]"), reference);
        self.0.extend(references.iter().enumerate().map(at));
    }

    fn user(&mut self, key: &str, user: Option<&'a AclUserConfig>) {
        let Some(user) = user else { return };
        let at = format!("authServer.storage.redis.{key}");
        self.one(format!("{at}.usernameSecretRef"), user.username_secret_ref.as_ref());
        self.one(format!("{at}.passwordSecretRef"), user.password_secret_ref.as_ref());
    }

    fn tls(&mut self, key: &str, tls: Option<&'a RedisTls>) {
        let Some(tls) = tls else { return };
        let at = format!("authServer.storage.redis.{key}");
        self.one(format!("{at}.caCertSecretRef"), tls.ca_cert_secret_ref.as_ref());
        self.one(format!("{at}.clientCertSecretRef"), tls.client_cert_secret_ref.as_ref());
        self.one(format!("{at}.clientKeySecretRef"), tls.client_key_secret_ref.as_ref());
    }
}
