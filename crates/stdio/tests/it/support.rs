//! A bridge on a real socket, and clients that speak plain HTTP to it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use thv_stdio::{Bridge, Options, Restart, Server, Shutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Nothing in these tests takes as long as this unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The test server with these arguments.
pub(crate) fn server<const N: usize>(args: [&str; N]) -> Server {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/server.py");
    let script = script.to_str().unwrap().to_owned();
    Server::new("python3", [script].into_iter().chain(args.map(str::to_owned)))
}

/// Options that do not make tests wait.
pub(crate) fn quick() -> Options {
    Options {
        restart: Restart {
            first_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(10),
            ..Restart::default()
        },
        shutdown: Shutdown {
            after_close: Duration::from_millis(500),
            after_terminate: Duration::from_millis(500),
        },
        ready_timeout: PATIENCE,
        stream_grace: Duration::from_millis(100),
        ..Options::default()
    }
}

/// A bridge that listens on a port of its own.
pub(crate) struct Endpoint {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) address: SocketAddr,
    listening: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn of(server: Server, options: Options) -> Self {
        let bridge = Arc::new(Bridge::start(server, options).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listening = tokio::spawn(serve(listener, Arc::clone(&bridge)));
        Self { bridge, address, listening }
    }

    pub(crate) async fn start() -> Self {
        Self::of(server([]), quick()).await
    }

    pub(crate) fn client(&self) -> Client {
        Client { address: self.address, session: None, headers: HeaderMap::new(), ids: AtomicU64::new(1) }
    }

    /// A client with a session and these capabilities.
    pub(crate) async fn session(&self, capabilities: Value) -> Client {
        let mut client = self.client();
        client.initialize(capabilities).await;
        client
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(listener: TcpListener, bridge: Arc<Bridge>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let bridge = Arc::clone(&bridge);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let bridge = Arc::clone(&bridge);
                async move { Ok::<_, Infallible>(bridge.respond(request).await) }
            });
            // Clients that hang up are what many tests are about.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A client that makes a connection for each request.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) session: Option<String>,
    pub(crate) headers: HeaderMap,
    ids: AtomicU64,
}

impl Client {
    pub(crate) async fn initialize(&mut self, capabilities: Value) -> Value {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"},
        });
        let reply = self
            .post(&json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params}))
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        self.session = reply.headers.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let message = reply.message().await;
        self.headers.insert("mcp-protocol-version", "2025-11-25".parse().unwrap());
        self.notify("notifications/initialized", json!({})).await;
        message
    }

    pub(crate) fn request(&self, method: Method) -> http::request::Builder {
        let mut request = Request::builder().method(method).uri("/mcp").header("host", "localhost");
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move {
            // A test that hangs up is not interested in how the connection ends.
            let _ = connection.await;
        });
        let connection = Hangup(connection);
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        Reply::of(response.expect("a response in time").unwrap(), connection)
    }

    pub(crate) async fn post_bytes(&self, body: impl Into<Bytes>) -> Reply {
        let request = self.request(Method::POST).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn post(&self, message: &Value) -> Reply {
        self.post_bytes(message.to_string()).await
    }

    pub(crate) async fn get(&self) -> Reply {
        let request = self.request(Method::GET).header("accept", "text/event-stream");
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn notify(&self, method: &str, params: Value) {
        let reply = self.post(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
    }

    /// Answers a request of the server.
    pub(crate) async fn answer(&self, id: &Value, result: Value) {
        let reply = self.post(&json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
    }

    /// A call of a tool, up to the head of its response.
    pub(crate) async fn begin(&self, tool: &str, arguments: Value) -> Reply {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        self.post(&call(&json!(id), tool, arguments, None)).await
    }

    /// A call of a tool, up to the end: what its text says.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let reply = self.begin(tool, arguments).await;
        said(&reply.response().await)
    }

    /// Messages of this method that the server has got, once there are so many.
    pub(crate) async fn awaited(&self, method: &str, count: usize) -> Vec<Value> {
        let said = self.call("await", json!({"method": method, "count": count})).await;
        said.as_array().unwrap().clone()
    }
}

/// A `tools/call`.
pub(crate) fn call(id: &Value, tool: &str, arguments: Value, progress_token: Option<Value>) -> Value {
    let mut params = json!({"name": tool, "arguments": arguments});
    if let Some(token) = progress_token {
        params["_meta"] = json!({"progressToken": token});
    }
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

/// Begins a call that is answered when somebody releases it. Its response is a stream, because progress is told at once.
pub(crate) async fn hold(client: &Client, key: &str, id: &Value, token: &Value) -> Reply {
    let mut reply = client.post(&call(id, "hold", json!({"key": key}), Some(token.clone()))).await;
    let progress = reply.next().await.unwrap();
    assert_eq!(progress["params"]["progressToken"], *token);
    assert_eq!(progress["params"]["message"], key);
    reply
}

/// What the text of a tool's result says: JSON, or else a string.
pub(crate) fn said(response: &Value) -> Value {
    let text = response["result"]["content"][0]["text"].as_str();
    let text = text.unwrap_or_else(|| panic!("it is the result of a tool: {response}"));
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Closes the connection when dropped.
struct Hangup(JoinHandle<()>);

impl Drop for Hangup {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A response, read as far as a test wants to.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    text: String,
    events: VecDeque<Value>,
    _connection: Hangup,
}

impl Reply {
    fn of(response: Response<Incoming>, connection: Hangup) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body,
            text: String::new(),
            events: VecDeque::new(),
            _connection: connection,
        }
    }

    pub(crate) fn content_type(&self) -> &str {
        self.headers.get("content-type").map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.content_type() == "text/event-stream"
    }

    /// The one JSON message that it is.
    pub(crate) async fn message(self) -> Value {
        assert_eq!(self.content_type(), "application/json");
        let body = tokio::time::timeout(PATIENCE, self.body.collect()).await.expect("a body in time");
        serde_json::from_slice(&body.unwrap().to_bytes()).unwrap()
    }

    /// The next event of a stream; none at its end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        assert!(self.is_stream(), "{} {}", self.status, self.content_type());
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event in time")?;
            let Ok(frame) = frame else { return None };
            self.text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
                let data: String = data.collect();
                if !data.is_empty() {
                    self.events.push_back(serde_json::from_str(&data).unwrap());
                }
                self.text = rest.to_owned();
            }
        }
    }

    /// The response to the request, however it comes, and whatever comes before.
    pub(crate) async fn response(mut self) -> Value {
        if !self.is_stream() {
            return self.message().await;
        }
        while let Some(event) = self.next().await {
            if event.get("method").is_none() {
                return event;
            }
        }
        panic!("the stream ended without a response");
    }
}

/// Whether there is a process with this id that is no zombie.
pub(crate) fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

/// Waits until a process that was told to end has ended.
pub(crate) async fn ended(pid: u64) {
    eventually(|| !is_alive(pid)).await;
}

/// Waits until a condition holds that nothing tells of.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.expect("it comes true in time");
}

/// What was written to standard error.
pub(crate) fn stderr_lines(options: &mut Options) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    options.stderr = Arc::new(move |line| sink.lock().unwrap().push(line.to_owned()));
    lines
}

/// A file with so many lines.
pub(crate) fn lines_file(directory: &Path, lines: usize) -> PathBuf {
    let path = directory.join("runs");
    std::fs::write(&path, "run\n".repeat(lines)).unwrap();
    path
}
