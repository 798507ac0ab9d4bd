//! The top level of the configuration file.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::auth_server::AuthServer;
use crate::byte_size::ByteSize;
use crate::duration::GoDuration;
use crate::load::network;
use crate::secret_ref::SecretRef;
use crate::upstream::{UpstreamProvider, UpstreamType};

/// Configuration of one gateway: a listener, the MCP server behind it and the authorization server in front of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Address and port that the gateway listens on.
    #[serde(deserialize_with = "network::socket_addr")]
    pub listen: SocketAddr,
    /// Origin under which clients reach the gateway, without a path: `https://mcp.example.com`. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_url: String,
    /// Certificate of the listener; without it a proxy in front terminates TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Address of a separate listener for `/metrics`; none when absent.
    #[serde(deserialize_with = "network::optional_socket_addr", skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<SocketAddr>,
    /// Networks of the reverse proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "network::cidrs", skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<IpNet>,
    /// The MCP server behind the gateway.
    pub server: ServerTarget,
    /// Origins of browser-based MCP clients that may call the MCP endpoint, beside the gateway's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// The embedded authorization server. Exactly one of this and [`oidc`](Self::oidc) is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_server: Option<AuthServer>,
    /// Validation of tokens that another issuer signs, instead of an embedded authorization server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    /// Rules for every outbound request.
    pub egress: Egress,
    /// Directory in which a standalone server keeps the keys that it creates itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// Bounds on what clients can make the gateway hold.
    pub limits: Limits,
    /// Allows an `http` [`public_url`](Self::public_url) that is not loopback. For test networks only.
    #[serde(rename = "insecureAllowHTTP")]
    pub insecure_allow_http: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8080)),
            public_url: String::new(),
            tls: None,
            metrics_listen: None,
            trusted_proxies: Vec::new(),
            server: ServerTarget::default(),
            allowed_origins: Vec::new(),
            auth_server: None,
            oidc: None,
            egress: Egress::default(),
            state_dir: None,
            limits: Limits::default(),
            insecure_allow_http: false,
        }
    }
}

impl Config {
    /// The resource identifier of the MCP endpoint (RFC 9728 §1.2): [`public_url`](Self::public_url) followed by
    /// [`ServerTarget::path`]. Byte for byte what access tokens carry as audience.
    pub fn resource(&self) -> String {
        format!("{}{}", self.public_url, self.server.path)
    }

    /// The upstream provider whose token the MCP server gets: the one that `server.upstreamInject.providerName` names, or
    /// the first. `None` without an embedded authorization server, with `disableUpstreamTokenInjection`, and for a `local`
    /// provider, which has no tokens.
    pub fn injected_provider(&self) -> Option<&UpstreamProvider> {
        let auth_server =
            self.auth_server.as_ref().filter(|server| !server.disable_upstream_token_injection)?;
        let provider = match &self.server.upstream_inject.provider_name {
            Some(name) => auth_server.provider(name),
            None => auth_server.identity_provider(),
        };
        provider.filter(|provider| provider.upstream_type != Some(UpstreamType::Local))
    }

    /// Audiences that access tokens may be issued for: `allowedAudiences`, or the gateway's own
    /// [`resource`](Self::resource) when that list is empty.
    pub fn audiences(&self) -> Vec<String> {
        match &self.auth_server {
            Some(auth_server) if !auth_server.allowed_audiences.is_empty() => {
                auth_server.allowed_audiences.clone()
            }
            _ => vec![self.resource()],
        }
    }
}

/// Certificate and private key of the listener, as PEM files that are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, leaf first. Required.
    pub cert_file: PathBuf,
    /// Private key. Required.
    pub key_file: PathBuf,
}

/// The MCP server that the transparent proxy forwards to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerTarget {
    /// URL of the MCP endpoint behind the gateway. Required, except in development, where its absence means the built-in
    /// development server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Transport that the MCP server speaks.
    pub transport: Transport,
    /// How long the MCP server may take to begin its answer to a POST or DELETE (504 otherwise); 0 is for ever. A tool call
    /// that is answered in plain JSON begins its answer when it is done.
    pub response_timeout: GoDuration,
    /// Path of the MCP endpoint on the gateway; part of the [resource identifier](Config::resource).
    pub path: String,
    /// How the upstream provider's access token is handed to the MCP server.
    pub upstream_inject: UpstreamInject,
    /// Adds `X-Thv-Subject`, `X-Thv-Client-Id` and `X-Thv-Scope` to requests to the MCP server.
    pub forward_identity: bool,
    /// Scopes that an access token must carry to call the MCP server (403 `insufficient_scope` otherwise).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_scopes: Vec<String>,
}

impl Default for ServerTarget {
    fn default() -> Self {
        Self {
            url: None,
            transport: Transport::default(),
            response_timeout: GoDuration::from_secs(300),
            path: "/mcp".to_owned(),
            upstream_inject: UpstreamInject::default(),
            forward_identity: false,
            required_scopes: Vec::new(),
        }
    }
}

/// Transport of the MCP server behind the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Streamable HTTP: one endpoint, JSON or event stream per response.
    #[default]
    StreamableHttp,
    /// HTTP with server-sent events: the two-endpoint transport of 2024-11-05. Refused by the validator: its second
    /// endpoint, named in the first one's stream, cannot be reached through one proxied path.
    Sse,
}

/// How the access token of the upstream provider reaches the MCP server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamInject {
    /// Name of the upstream provider whose token is sent; the first one when absent.
    /// [`Config::injected_provider`] knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_name: Option<String>,
    /// Which header carries the token.
    pub header_strategy: HeaderStrategy,
    /// Name of that header when the strategy is `custom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_header_name: Option<String>,
}

/// Which request header carries the upstream provider's token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderStrategy {
    /// `Authorization: Bearer …` in place of the client's own token.
    #[default]
    Replace,
    /// `Bearer …` in the header [`UpstreamInject::custom_header_name`], and no `Authorization`.
    Custom,
}

/// Validation of access tokens issued by an authorization server elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Oidc {
    /// The issuer, exactly as its tokens spell it (RFC 8414 §2). Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Audience that tokens must carry; the gateway's [resource identifier](Config::resource) when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Where the issuer's keys are; discovered from the issuer when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Introspection endpoint (RFC 7662) for tokens that are not JWTs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_url: Option<String>,
    /// Client identifier of the gateway at the introspection endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Client secret of the gateway at the introspection endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Scopes listed in the protected resource metadata.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// Rules that every outbound request obeys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Egress {
    /// PEM file of certificate authorities that are trusted beside the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
    /// Special-use address ranges that may be dialled, such as the network of a private identity provider.
    #[serde(deserialize_with = "network::cidrs", skip_serializing_if = "Vec::is_empty")]
    pub allow_cidrs: Vec<IpNet>,
    /// `host:port` to `ip:port`: the address that is dialled for this host. It is judged like any other address.
    #[serde(deserialize_with = "network::host_overrides", skip_serializing_if = "BTreeMap::is_empty")]
    pub host_overrides: BTreeMap<String, SocketAddr>,
}

/// Bounds on what clients can make the gateway hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Client connections at a time; further ones wait in the listen queue.
    pub max_connections: u32,
    /// Connections at a time from one source address (IPv6: one /64); further ones are closed. Trusted proxies are exempt.
    pub max_connections_per_source: u32,
    /// Largest request body at the MCP endpoint (413 otherwise).
    pub max_request_body: ByteSize,
    /// How long requests in flight may take to finish after SIGTERM.
    pub drain_timeout: GoDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_source: 256,
            max_request_body: ByteSize::mebibytes(64),
            drain_timeout: GoDuration::from_secs(25),
        }
    }
}
