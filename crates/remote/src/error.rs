//! Why there is no login.

use std::sync::Arc;
use std::time::Duration;

use thv_client::authorization_request::UnusableEndpoint;
use thv_client::authorization_response::ResponseError;
use thv_client::metadata::MetadataError;
use thv_client::protected_resource::ResourceMetadataError;
use thv_client::registration::RegistrationError;
use thv_client::token_request::TokenRequestError;
use thv_egress::EgressError;
use thv_oauth::issuer::IssuerError;

/// Why the authorization server of a remote server was not found.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The resource's own metadata.
    #[error("the server's protected resource metadata cannot be used")]
    Resource(#[source] ResourceMetadataError),
    /// A configured URL.
    #[error("the issuer {issuer:?} cannot be used")]
    Issuer {
        /// The configured issuer.
        issuer: String,
        /// What is wrong with it.
        #[source]
        source: IssuerError,
    },
    /// The metadata of the one candidate.
    #[error("the authorization server {issuer} cannot be used")]
    Metadata {
        /// The candidate.
        issuer: String,
        /// What is wrong with its metadata.
        #[source]
        source: MetadataError,
    },
    /// Its metadata lacks an endpoint.
    #[error("the authorization server {issuer} announces no {lacks}")]
    Incomplete {
        /// The candidate.
        issuer: String,
        /// The member.
        lacks: &'static str,
    },
    /// The server does not announce S256 (CL-7).
    #[error(
        "the authorization server {issuer} does not announce PKCE with S256 (code_challenge_methods_supported), without which MCP clients do not log in"
    )]
    NoPkce {
        /// The candidate.
        issuer: String,
    },
}

impl DiscoveryError {
    /// Whether it may work later: the network or the server is down.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Resource(ResourceMetadataError::Unreachable { .. }) => true,
            Self::Resource(ResourceMetadataError::Status { status, .. }) => *status == 429 || *status >= 500,
            Self::Metadata { source, .. } => source.is_temporary(),
            _ => false,
        }
    }
}

/// Why a login did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The authorization server was not found.
    #[error("no authorization server could be used for {server}")]
    Discovery {
        /// The remote server.
        server: String,
        /// Why.
        #[source]
        source: DiscoveryError,
    },
    /// The server itself.
    #[error("{server} cannot be reached")]
    ServerUnreachable {
        /// Its URL.
        server: String,
        /// What happened.
        #[source]
        source: EgressError,
    },
    /// There is no way to be known at the server.
    #[error("this client has no way to identify itself at {issuer}: {reasons}")]
    NoIdentity {
        /// The authorization server.
        issuer: String,
        /// What was tried or left out.
        reasons: String,
    },
    /// Registration failed.
    #[error("this client could not be registered at {issuer}")]
    Registration {
        /// The authorization server.
        issuer: String,
        /// Why.
        #[source]
        source: RegistrationError,
    },
    /// The redirect URI's port is taken, and the server insists on it.
    #[error("port {port}, where the browser brings the login back to, is taken{}", held_by(.holder.as_deref()))]
    PortTaken {
        /// The port.
        port: u16,
        /// The process that has it.
        holder: Option<String>,
    },
    /// No port at all could be listened on.
    #[error("nothing can listen on 127.0.0.1 for the login to come back to")]
    Listen(#[source] std::io::Error),
    /// The authorization endpoint cannot be opened.
    #[error("the authorization server {issuer} cannot be opened in a browser")]
    Endpoint {
        /// The authorization server.
        issuer: String,
        /// Why.
        #[source]
        source: UnusableEndpoint,
    },
    /// The server showed an error instead of a login page, about something other than the client.
    #[error("the authorization server refused the login request with {error}{}", in_brackets(.description.as_deref()))]
    RequestRefused {
        /// The error code.
        error: String,
        /// The server's own words.
        description: Option<String>,
    },
    /// The authorization response.
    #[error("the login was not accepted")]
    Response(#[source] ResponseError),
    /// The token endpoint.
    #[error("the login could not be completed")]
    Token(#[source] TokenRequestError),
    /// The client that the user named is known at another server than the one that the resource names now (CL-28).
    #[error(
        "the client {client_id:?} is registered at {registered_at}, and the server now names {named} as its authorization server"
    )]
    OtherServer {
        /// The configured client.
        client_id: String,
        /// Where the user has logged in with it.
        registered_at: String,
        /// What the server names now.
        named: String,
    },
    /// Nobody logged in.
    #[error("nobody logged in within {} s", after.as_secs())]
    TimedOut {
        /// How long the login was waited for.
        after: Duration,
    },
    /// The kept credentials cannot be read or written.
    #[error("the stored login cannot be {done}")]
    Keep {
        /// What was to be done.
        done: &'static str,
        /// Why not.
        #[source]
        source: crate::credentials::KeepError,
    },
    /// The server has all the scope that can be asked for, and wants more.
    #[error(
        "the server wants the scope {scope:?}, which this login has been asked for already and did not get"
    )]
    ScopeRefused {
        /// What it wants.
        scope: String,
    },
    /// A login failed a moment ago.
    #[error("the last login failed, and the next one is not tried before {} s have passed", wait.as_secs())]
    BackingOff {
        /// How long from now.
        wait: Duration,
        /// The last failure.
        #[source]
        source: Arc<Self>,
    },
    /// The server does not accept what its own authorization server has just issued.
    #[error("the server refuses the token that {issuer} has just issued for it")]
    TokenRefused {
        /// The authorization server.
        issuer: String,
    },
    /// A token exchange wants the login's ID token.
    #[error("the token exchange wants an ID token, and the authorization server issued none")]
    NoIdToken,
    /// There is nobody who could log in.
    #[error("a login is needed, and nobody is here to log in: no browser could be opened")]
    Unattended,
    /// Nobody logs in with a static bearer token.
    #[error("this workload has a bearer token of its own and no login")]
    BearerConfigured,
    /// A static bearer token was refused.
    #[error("the server refused the configured bearer token")]
    BearerRefused,
    /// The user has logged out.
    #[error("the user has logged out")]
    LoggedOut,
    /// The refresh token is of no use any more.
    #[error("the login at {issuer} has ended")]
    Ended {
        /// The authorization server.
        issuer: String,
    },
    /// Token exchange after the login.
    #[error("the token could not be exchanged at {url}")]
    Exchange {
        /// The token exchange endpoint.
        url: String,
        /// Why.
        #[source]
        source: TokenRequestError,
    },
    /// The work ended without an outcome.
    #[error("the login was interrupted")]
    Interrupted,
}

impl LoginError {
    /// Whether it failed because something was out of reach: asking the user would not help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::ServerUnreachable { .. } => true,
            Self::Discovery { source, .. } => source.is_temporary(),
            Self::Registration { source, .. } => source.is_temporary(),
            Self::Token(error) | Self::Exchange { source: error, .. } => {
                matches!(error, TokenRequestError::Unreachable(_) | TokenRequestError::Unavailable { .. })
            }
            Self::BackingOff { source, .. } => source.is_temporary(),
            _ => false,
        }
    }

    /// Whether it is also the failure of others who ask at the same time. It is not where it came of what was asked for: less
    /// scope may be had, or a login with the user's help.
    pub(crate) fn concerns_all(&self) -> bool {
        !matches!(self, Self::Ended { .. } | Self::ScopeRefused { .. })
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::ServerUnreachable { source: EgressError::Tls { .. }, .. } => {
                "--ca-bundle names further certificate authorities".to_owned()
            }
            Self::ServerUnreachable { .. } => "check the URL and the network".to_owned(),
            Self::Discovery { source: DiscoveryError::NoPkce { .. }, .. } => {
                "if you know that it supports PKCE, name it yourself with --remote-auth-issuer".to_owned()
            }
            Self::Discovery { .. } => {
                "`thv doctor URL` shows what was looked for; --remote-auth-issuer names the authorization server, --remote-auth-bearer-token-file passes a token of yours".to_owned()
            }
            Self::NoIdentity { .. } | Self::Registration { .. } => {
                "register a client there by hand and pass its identifier with --remote-auth-client-id".to_owned()
            }
            Self::OtherServer { .. } => {
                "if that is meant, log out (`thv logout`) and log in again, with the client that is registered there (--remote-auth-client-id)".to_owned()
            }
            Self::PortTaken { .. } => {
                "end that process, or choose another port with --remote-auth-callback-port if the client is registered with it".to_owned()
            }
            Self::TimedOut { .. } => {
                "try again; --remote-auth-timeout gives more time. If the browser showed an error about the client, --remote-auth-no-cimd registers it instead".to_owned()
            }
            Self::ScopeRefused { .. } => "ask the server's operator for access, then log in again".to_owned(),
            Self::TokenRefused { .. } => {
                "ask the server's operator: it may want another scope (--remote-auth-scopes) or resource (--remote-auth-resource)".to_owned()
            }
            Self::BearerRefused | Self::BearerConfigured => {
                "remove the workload and run it again with a new token (--remote-auth-bearer-token-file)".to_owned()
            }
            Self::LoggedOut | Self::Ended { .. } | Self::Unattended => "log in with `thv login`".to_owned(),
            Self::NoIdToken => {
                "ask for the scope `openid` (--remote-auth-scopes), or exchange the access token".to_owned()
            }
            Self::RequestRefused { .. } => {
                "--remote-auth-scopes, --remote-auth-resource and --remote-auth-callback-port change what is asked for".to_owned()
            }
            Self::Response(ResponseError::Refused { .. }) | Self::Interrupted => {
                "log in again with `thv login`".to_owned()
            }
            Self::Listen(_) => "a firewall or a sandbox may forbid it; --remote-auth-callback-port chooses a port".to_owned(),
            Self::Keep { .. } => "TOOLHIVE_SECRETS_PROVIDER chooses another place for secrets".to_owned(),
            Self::Exchange { .. } => "check the --token-exchange options".to_owned(),
            Self::BackingOff { source, .. } => {
                const AT_ONCE: &str = "`thv login` tries again at once";
                source.hint().map_or(AT_ONCE.to_owned(), |hint| format!("{hint}; {AT_ONCE}"))
            }
            _ => return None,
        })
    }
}

fn held_by(holder: Option<&str>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

fn in_brackets(description: Option<&str>) -> String {
    description.map(|text| format!(" ({text})")).unwrap_or_default()
}
