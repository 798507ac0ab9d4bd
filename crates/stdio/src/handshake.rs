//! The one `initialize` of each server process, on behalf of all clients.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use thv_mcp::method;

use crate::connection::{Connection, Lost};
use crate::exchange::{Asker, Outcome};
use crate::hub::Hub;
use crate::jsonrpc;
use crate::lock::lock;
use crate::subscriptions::resource;

/// How far a server process has come.
#[derive(Clone)]
pub(crate) enum Handshake {
    /// It was not asked yet.
    Idle,
    /// It was asked.
    Running,
    /// It is ready for requests.
    Done(Arc<Initialized>),
    /// It answered with this error object, and can be asked again.
    Refused(Bytes),
}

/// What a server answered to `initialize`.
#[derive(Debug)]
pub(crate) struct Initialized {
    /// The whole result, as JSON.
    pub(crate) result: Bytes,
    /// Its `capabilities`, as JSON.
    pub(crate) capabilities: String,
    /// Its `serverInfo`, as JSON.
    pub(crate) server_info: Option<String>,
    /// Its `instructions`, as JSON.
    pub(crate) instructions: Option<String>,
    /// What the server says that it will tell of.
    pub(crate) notices: Notices,
}

/// Which changes a server tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notices {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    /// Updates of single resources, to those who subscribe.
    pub(crate) updates: bool,
}

impl Notices {
    /// The notifications that lists have changed.
    pub(crate) fn list_changed(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.tools, method::TOOLS_LIST_CHANGED),
            (self.prompts, method::PROMPTS_LIST_CHANGED),
            (self.resources, method::RESOURCES_LIST_CHANGED),
        ];
        all.into_iter().filter(|(told, _)| *told).map(|(_, method)| method)
    }
}

impl Initialized {
    fn read(result: Bytes) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Members<'a> {
            #[serde(borrow)]
            capabilities: &'a RawValue,
            #[serde(borrow)]
            server_info: Option<&'a RawValue>,
            #[serde(borrow)]
            instructions: Option<&'a RawValue>,
        }
        let members: Members<'_> = serde_json::from_slice(&result)?;
        let notices = Notices::read(members.capabilities.get())?;
        let text = |raw: &RawValue| raw.get().to_owned();
        let capabilities = text(members.capabilities);
        let (server_info, instructions) = (members.server_info.map(text), members.instructions.map(text));
        Ok(Self { result, capabilities, server_info, instructions, notices })
    }
}

impl Notices {
    fn read(capabilities: &str) -> Result<Self, serde_json::Error> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Feature {
            list_changed: Option<bool>,
            subscribe: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Features {
            tools: Option<Feature>,
            prompts: Option<Feature>,
            resources: Option<Feature>,
        }
        let Features { tools, prompts, resources } = serde_json::from_str(capabilities)?;
        let changes = |feature: &Option<Feature>| {
            feature.as_ref().and_then(|feature| feature.list_changed) == Some(true)
        };
        Ok(Self {
            tools: changes(&tools),
            prompts: changes(&prompts),
            resources: changes(&resources),
            updates: resources.and_then(|feature| feature.subscribe) == Some(true),
        })
    }
}

/// What is said again to each new process of the server.
#[derive(Default)]
pub(crate) struct Remembered {
    /// The parameters of the first client's `initialize`, as JSON.
    initialize: Option<String>,
    /// Those of the last `logging/setLevel`, as JSON.
    log_level: Option<String>,
}

impl Hub {
    /// Whether a server was initialized before: then a new process is, too, without waiting for a client.
    pub(crate) fn is_initialized(&self) -> bool {
        lock(&self.remembered).initialize.is_some()
    }

    /// Notes the log level that the server was set to.
    pub(crate) fn remember_log_level(&self, params: String) {
        lock(&self.remembered).log_level = Some(params);
    }

    /// What the server answers to `initialize`. It is asked once, with these parameters, or with those that it was first
    /// asked with; whoever comes later gets the same answer. The handshake goes on when the caller goes away.
    ///
    /// # Errors
    ///
    /// The error object that it answered with.
    pub(crate) async fn initialize(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        params: &str,
    ) -> Result<Arc<Initialized>, Bytes> {
        let mut handshake = connection.handshake.subscribe();
        let is_first = connection.handshake.send_if_modified(|handshake| {
            let free = matches!(handshake, Handshake::Idle | Handshake::Refused(_));
            if free {
                *handshake = Handshake::Running;
            }
            free
        });
        if is_first {
            let (hub, connection, params) = (Arc::clone(self), Arc::clone(connection), params.to_owned());
            tokio::spawn(async move {
                let outcome = hub.ask_to_initialize(&connection, &params).await;
                connection.handshake.send_replace(match outcome {
                    Ok(initialized) => Handshake::Done(initialized),
                    Err(error) => Handshake::Refused(error),
                });
            });
        }
        let settled = handshake.wait_for(|handshake| !matches!(handshake, Handshake::Running)).await;
        match settled.as_deref() {
            Ok(Handshake::Done(initialized)) => Ok(Arc::clone(initialized)),
            Ok(Handshake::Refused(error)) => Err(error.clone()),
            _ => Err(Bytes::from(jsonrpc::internal_error(Connection::LOST))),
        }
    }

    async fn ask_to_initialize(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        params: &str,
    ) -> Result<Arc<Initialized>, Bytes> {
        let before = lock(&self.remembered).initialize.clone();
        let asked_with = before.as_deref().unwrap_or(params);
        let result = self.ask(connection, method::INITIALIZE, asked_with).await?;
        let initialized = Initialized::read(result).map_err(|error| {
            tracing::warn!(%error, "the MCP server's answer to initialize cannot be read");
            Bytes::from(jsonrpc::internal_error(
                "the MCP server's answer to initialize is not an InitializeResult",
            ))
        })?;
        lock(&self.remembered).initialize = Some(asked_with.to_owned());
        let going_on = async {
            connection.send(jsonrpc::notification(method::INITIALIZED, None)).await?;
            if before.is_some() { self.resume(connection, &initialized).await } else { Ok(()) }
        };
        going_on.await.map_err(|lost| Bytes::from(jsonrpc::internal_error(&lost.to_string())))?;
        Ok(Arc::new(initialized))
    }

    /// A request of the bridge's own.
    async fn ask(self: &Arc<Self>, connection: &Arc<Connection>, method: &str, params: &str) -> Outcome {
        let exchange = self.open_exchange(connection, Asker::bridge(), None, None);
        let exchange = exchange
            .map_err(|_| Bytes::from(jsonrpc::internal_error("too many requests are in progress")))?;
        // A failure to send is the connection's end, which ends the exchange.
        let _ = connection.send(jsonrpc::request(exchange.id, method, Some(params))).await;
        exchange.outcome().await
    }

    /// Makes a new process what the one before was, and tells clients to look again.
    async fn resume(&self, connection: &Connection, initialized: &Initialized) -> Result<(), Lost> {
        let log_level = lock(&self.remembered).log_level.clone();
        if let Some(params) = log_level {
            self.tell(connection, method::LOGGING_SET_LEVEL, &params).await?;
        }
        for uri in self.subscriptions.uris() {
            let params = resource(&uri);
            self.tell(connection, method::RESOURCES_SUBSCRIBE, &params).await?;
            self.broadcast(method::RESOURCES_UPDATED, Some(&params));
        }
        for method in initialized.notices.list_changed() {
            self.broadcast(method, None);
        }
        Ok(())
    }
}
