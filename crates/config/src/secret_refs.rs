//! All secrets that a configuration refers to.

use crate::config::Config;
use crate::secret_ref::SecretRef;
use crate::upstream::UpstreamKind;

/// Every secret reference of a configuration with its key path, in the order of the model.
pub fn secret_refs(config: &Config) -> Vec<(String, &SecretRef)> {
    let mut found = Vec::new();
    if let Some(auth_server) = &config.auth_server {
        for (index, provider) in auth_server.upstream_providers.iter().enumerate() {
            let (block, reference) = match provider.kind() {
                Some(UpstreamKind::Oidc(oidc)) => ("oidcConfig", &oidc.client_secret_ref),
                Some(UpstreamKind::OAuth2(oauth2)) => ("oauth2Config", &oauth2.client_secret_ref),
                Some(UpstreamKind::Local(_)) | None => continue,
            };
            let path = format!("authServer.upstreamProviders[{index}].{block}.clientSecretRef");
            found.extend(reference.as_ref().map(|reference| (path, reference)));
        }
        let lists = [
            ("signingKeySecretRefs", &auth_server.signing_key_secret_refs),
            ("hmacSecretRefs", &auth_server.hmac_secret_refs),
        ];
        for (key, references) in lists {
            let at = |(index, reference)| (format!("authServer.{key}[{index}]"), reference);
            found.extend(references.iter().enumerate().map(at));
        }
        for (index, client) in auth_server.clients.iter().enumerate() {
            let path = format!("authServer.clients[{index}].clientSecretRef");
            found.extend(client.client_secret_ref.as_ref().map(|reference| (path, reference)));
        }
    }
    let oidc = config.oidc.as_ref().and_then(|oidc| oidc.client_secret_ref.as_ref());
    found.extend(oidc.map(|reference| ("oidc.clientSecretRef".to_owned(), reference)));
    found
}
