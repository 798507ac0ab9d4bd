//! The bridge: one server process on one side, any number of clients on the other.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio_util::task::TaskTracker;

use crate::body::BridgeBody;
use crate::hub::{Hub, Link};
use crate::options::Options;
use crate::process::StartError;
use crate::server::Server;
use crate::supervisor::Supervisor;

/// How the server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It will be started, perhaps again, and perhaps after a delay.
    Starting,
    /// It runs.
    Running {
        /// Its process id, which is its process group's id, too.
        pid: u32,
        /// How often it was started again.
        restarts: u64,
    },
    /// It failed too often, and is started again only when a request comes.
    Failed {
        /// How it ended the last time.
        reason: String,
    },
    /// [`Bridge::stop`] was called.
    Stopped,
}

/// A local MCP server, offered as streamable HTTP. Dropping the bridge stops the server, too, but nobody waits for it then.
pub struct Bridge {
    hub: Arc<Hub>,
    supervision: TaskTracker,
}

impl Bridge {
    /// Starts the server. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] when it cannot be started at all: there is no such program, for instance. A server that starts and
    /// exits is started again.
    pub fn start(server: Server, options: Options) -> Result<Self, StartError> {
        let hub = Arc::new(Hub::new(options));
        let supervision = TaskTracker::new();
        supervision.spawn(Supervisor::start(server, Arc::clone(&hub))?);
        supervision.close();
        Ok(Self { hub, supervision })
    }

    /// Answers one request to the MCP endpoint. The caller has matched the path and checked Host and Origin.
    ///
    /// Dropping the future, or the response's body, cancels the request at the server.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<BridgeBody>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
    {
        Arc::clone(&self.hub).respond(request).await
    }

    /// How the server does at present.
    pub fn status(&self) -> Status {
        match &*self.hub.link.borrow() {
            Link::Starting => Status::Starting,
            Link::Up(connection) => Status::Running { pid: connection.pid, restarts: connection.restarts },
            Link::Failed { reason, .. } => Status::Failed { reason: reason.clone() },
            Link::Stopped => Status::Stopped,
        }
    }

    /// Stops the server and all that it started, and waits until that is done. Requests in progress may end meanwhile;
    /// new ones are refused, and streams end.
    pub async fn stop(&self) {
        self.hub.stopping.cancel();
        self.supervision.wait().await;
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.hub.stopping.cancel();
    }
}
