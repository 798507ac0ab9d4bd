//! The configuration of `thv serve --dev`, and how a file overrides it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;

use crate::auth_server::{AuthServer, Cimd};
use crate::config::{Config, ServerTarget};
use crate::load::{read, shape, value};
use crate::problem::Problems;
use crate::upstream::{LocalUpstream, UpstreamProvider, UpstreamType};

/// Name of the development user and of the upstream provider where it logs in.
const DEVELOPMENT: &str = "dev";

impl Config {
    /// Everything embedded: one user who logs in with one click, keys and store in memory, client ID metadata documents on,
    /// consent asked. `listen` is the address that clients connect to, hence with the port that was really bound; without
    /// `target` the built-in development server is used.
    pub fn development(listen: SocketAddr, target: Option<&str>) -> Self {
        let public_url = format!("http://{}", reachable(listen));
        Self {
            listen,
            server: ServerTarget { url: target.map(str::to_owned), ..ServerTarget::default() },
            auth_server: Some(AuthServer {
                issuer: public_url.clone(),
                upstream_providers: vec![UpstreamProvider {
                    name: DEVELOPMENT.to_owned(),
                    upstream_type: Some(UpstreamType::Local),
                    local_config: Some(LocalUpstream {
                        development_user: Some(DEVELOPMENT.to_owned()),
                        ..LocalUpstream::default()
                    }),
                    ..UpstreamProvider::default()
                }],
                cimd: Cimd { enabled: true, ..Cimd::default() },
                ..AuthServer::default()
            }),
            public_url,
            ..Self::default()
        }
    }

    /// The [development](Self::development) configuration with a file's keys in place of its own. Mappings are merged, lists
    /// and other values replaced. What development derives (the public URL from the address, the issuer from the public
    /// URL) follows the file's values, and a file with `oidc` gets no authorization server.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_development(listen: SocketAddr, target: Option<&str>, yaml: &str) -> Result<Self, Problems> {
        let file = value(yaml)?;
        // The file must be sound by itself; merged with the defaults, a mistake could hide or show up at another place.
        let own: Self = shape::deserialize(file.clone())?;
        let has = |key: &str| file.get(key).is_some_and(|value| !value.is_null());
        let mut defaults = Self::development(if has("listen") { own.listen } else { listen }, target);
        if has("publicUrl") {
            defaults.public_url = own.public_url;
            if let Some(auth_server) = &mut defaults.auth_server {
                auth_server.issuer.clone_from(&defaults.public_url);
            }
        }
        if has("oidc") {
            defaults.auth_server = None;
        }
        let mut merged = serde_json::to_value(&defaults).unwrap_or_default();
        merge(&mut merged, file);
        shape::deserialize(merged)
    }

    /// As [`parse_development`](Self::parse_development) with the keys of a file.
    ///
    /// # Errors
    /// As [`parse_development`](Self::parse_development), or the file cannot be read.
    pub fn load_development(listen: SocketAddr, target: Option<&str>, path: &Path) -> Result<Self, Problems> {
        Self::parse_development(listen, target, &read(path)?)
    }
}

/// The address a browser on this machine uses for a listener: an unspecified address is not one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// Deep merge in which `over` wins; a key without a value changes nothing.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_server::ConsentMode;
    use crate::storage::StorageType;
    use crate::validate::{Profile, validate};

    const LISTEN: &str = "127.0.0.1:8080";

    fn development(yaml: &str) -> Config {
        Config::parse_development(LISTEN.parse().unwrap(), None, yaml).unwrap()
    }

    #[test]
    fn the_defaults_validate_without_any_problem_in_development_only() {
        let config = Config::development(LISTEN.parse().unwrap(), None);
        assert_eq!(validate(&config, Profile::Development), []);
        let errors = validate(&config, Profile::Production);
        let paths: Vec<&str> = errors.iter().filter(|p| p.is_error()).map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["server.url", "authServer.upstreamProviders[0].localConfig.developmentUser",]);
        assert_eq!(config.resource(), "http://127.0.0.1:8080/mcp");
        let storage = config.auth_server.unwrap().storage;
        assert_eq!(storage.kind(Profile::Development), StorageType::Memory);
    }

    #[test]
    fn an_empty_file_changes_nothing() {
        assert_eq!(development(""), Config::development(LISTEN.parse().unwrap(), None));
        assert_eq!(development("authServer:\n"), Config::development(LISTEN.parse().unwrap(), None));
    }

    #[test]
    fn the_file_wins_and_the_rest_stays() {
        let config =
            development("authServer: {consent: {mode: off}, scopesSupported: [openid]}\nserver: {path: /x}");
        let auth_server = config.auth_server.as_ref().unwrap();
        assert_eq!(auth_server.consent.mode, ConsentMode::Off);
        assert_eq!(auth_server.scopes_supported, ["openid"]);
        assert!(auth_server.cimd.enabled);
        assert_eq!(auth_server.upstream_providers[0].name, "dev");
        assert_eq!(config.resource(), "http://127.0.0.1:8080/x");
    }

    #[test]
    fn a_list_replaces_the_default_list() {
        let config = development("authServer: {upstreamProviders: [{name: corp, type: oidc}]}");
        let providers = config.auth_server.unwrap().upstream_providers;
        assert_eq!(providers.len(), 1);
        assert_eq!((providers[0].name.as_str(), &providers[0].local_config), ("corp", &None));
    }

    #[test]
    fn derived_values_follow_the_file() {
        let config = development("listen: '[::]:9000'");
        assert_eq!(config.public_url, "http://[::1]:9000");
        let config = development("publicUrl: http://localhost:9000");
        assert_eq!(config.auth_server.unwrap().issuer, "http://localhost:9000");
        let config = development("oidc: {issuer: https://idp.example.com}");
        assert_eq!(config.auth_server, None);
    }

    #[test]
    fn a_mistake_in_the_file_is_reported_with_its_path() {
        let listen = LISTEN.parse().unwrap();
        let problems =
            Config::parse_development(listen, None, "authServer: {consent: {mod: off}}").unwrap_err();
        assert_eq!(problems.to_string(), "authServer.consent.mod: unknown key `mod`; did you mean `mode`?");
    }
}
