//! The MCP server that is built in for `thv serve --dev`: something to call when there is nothing to protect yet.
//!
//! It speaks both protocol eras (sessions of 2025-11-25 and before, stateless 2026-07-28) on a loopback port of its own,
//! behind the gateway like any other MCP server.

mod tools;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderName;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use rmcp::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, ErrorData, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use thv_telemetry::SharedMetrics;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::listener::{Limits, Listener, Origin, Respond};
use crate::peer::TrustedProxies;

/// A running development server.
pub struct DevServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Ends when the server has stopped.
    pub task: JoinHandle<()>,
}

impl DevServer {
    /// Starts it on a free loopback port. `credential_header` is where `whoami` looks for an upstream credential beside
    /// `Authorization`.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn start(
        credential_header: Option<HeaderName>,
        metrics: SharedMetrics,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let config = StreamableHttpServerConfig::default().with_cancellation_token(stop.clone());
        let sessions = Arc::new(LocalSessionManager::default());
        let tools = Tools { credential_header };
        let endpoint = Endpoint(StreamableHttpService::new(move || Ok(tools.clone()), sessions, config));
        let limits = Limits::default();
        let listener = Listener { socket, tls: None, limits, trusted: TrustedProxies::default(), metrics };
        Ok(Self { address, task: listener.serve(endpoint, stop) })
    }

    /// The URL of its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

#[derive(Clone)]
struct Endpoint(StreamableHttpService<Tools, LocalSessionManager>);

impl Respond for Endpoint {
    type Body = BoxBody<Bytes, std::convert::Infallible>;

    async fn respond(&self, request: Request<Incoming>, _: Origin) -> Response<Self::Body> {
        self.0.handle(request).await
    }
}

#[derive(Clone)]
struct Tools {
    credential_header: Option<HeaderName>,
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let server =
            Implementation::new("thv-dev", env!("CARGO_PKG_VERSION")).with_title("Development server");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(server)
            .with_instructions("Call `whoami` to see what the gateway tells a server about its caller.")
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = ListToolsResult::with_all_items(tools::all());
        list.ttl_ms = Some(60_000);
        list.cache_scope = Some(CacheScope::Public);
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        match &*request.name {
            "whoami" => Ok(tools::whoami(&context, self.credential_header.as_ref()).into()),
            "echo" => Ok(tools::echo(&arguments).into()),
            "countdown" => Ok(tools::countdown(&arguments, &context).await.into()),
            name => Err(ErrorData::invalid_params(format!("no tool named `{name}`"), None)),
        }
    }
}
