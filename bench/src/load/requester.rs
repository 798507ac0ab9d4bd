//! One connection that knows what to send next.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use serde::Deserialize;

use super::plan::{RefreshChain, Work};
use crate::client::{Answer, Connection};
use crate::error::{BenchError, During as _};
use crate::login::form;
use crate::mcp;

/// The header field that carries the id of an MCP session.
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// One connection and its next request.
pub(super) struct Requester {
    connection: Connection,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    next: Next,
}

/// What makes the next body.
enum Next {
    Same { body: Bytes, unproven: Option<String> },
    Refresh(RefreshChain),
}

#[derive(Deserialize)]
struct TokenResponse {
    refresh_token: String,
}

impl Requester {
    /// Opens every connection that `work` asks for.
    ///
    /// # Errors
    /// When the plan cannot be written as HTTP or the server cannot be reached.
    pub(super) async fn open_all(server: SocketAddr, work: Work) -> Result<Vec<Self>, BenchError> {
        let (method, path, headers, nexts, session) = match work {
            Work::Same { connections, method, path, headers, body, expect, session } => {
                let method = Method::from_bytes(method.as_bytes()).during("reading the plan's method")?;
                let same = || Next::Same { body: Bytes::from(body.clone()), unproven: Some(expect.clone()) };
                (method, path, headers, std::iter::repeat_with(same).take(connections).collect(), session)
            }
            Work::Refresh { path, chains } => {
                let headers = vec![(header::CONTENT_TYPE.to_string(), form::CONTENT_TYPE.to_owned())];
                let nexts = chains.into_iter().map(Next::Refresh).collect::<Vec<_>>();
                (Method::POST, path, headers, nexts, false)
            }
        };
        let uri: Uri = path.parse().during("reading the plan's path")?;
        let mut fields = HeaderMap::new();
        fields.insert(header::HOST, HeaderValue::try_from(server.to_string()).during("writing the host")?);
        for (name, value) in headers {
            let name = HeaderName::try_from(name).during("reading the plan's headers")?;
            fields.insert(name, HeaderValue::try_from(value).during("reading the plan's headers")?);
        }
        let mut requesters = Vec::with_capacity(nexts.len());
        for next in nexts {
            let connection = Connection::open(server, None).await?;
            let (method, uri, headers) = (method.clone(), uri.clone(), fields.clone());
            let mut requester = Self { connection, method, uri, headers, next };
            if session {
                requester.open_session().await?;
            }
            requesters.push(requester);
        }
        Ok(requesters)
    }

    /// Opens an MCP session; from now on every request has its id.
    async fn open_session(&mut self) -> Result<(), BenchError> {
        let opened = self.send(Bytes::from(mcp::request(0, mcp::INITIALIZE))).await?;
        let id = opened.headers.get(SESSION_ID).cloned();
        let id = id.ok_or_else(|| BenchError::unexpected("initialize", opened.status, &opened.body))?;
        self.headers.insert(SESSION_ID, id);
        self.send(Bytes::from(mcp::INITIALIZED)).await.map(drop)
    }

    /// Sends the next request and reads the answer.
    ///
    /// # Errors
    /// When the answer is not a success.
    pub(super) async fn exchange(&mut self) -> Result<(), BenchError> {
        let body = match &self.next {
            Next::Same { body, .. } => body.clone(),
            Next::Refresh(chain) => Bytes::from(form::encode(&[
                ("grant_type", "refresh_token"),
                ("client_id", &chain.client_id),
                ("refresh_token", &chain.refresh_token),
            ])),
        };
        let answer = self.send(body).await?;
        self.learn(&answer)
    }

    /// Sends this body, and reads an answer that is a success.
    async fn send(&mut self, body: Bytes) -> Result<Answer, BenchError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = self.connection.send(request).await?;
        if !answer.status.is_success() {
            return Err(BenchError::unexpected(
                format!("a request for {}", self.uri),
                answer.status,
                &answer.body,
            ));
        }
        Ok(answer)
    }

    /// Takes from the answer what the next request needs.
    fn learn(&mut self, answer: &Answer) -> Result<(), BenchError> {
        match &mut self.next {
            Next::Same { unproven, .. } => match unproven.take() {
                Some(proof) if !String::from_utf8_lossy(&answer.body).contains(&proof) => {
                    Err(BenchError::unexpected(
                        format!("a request that must yield {proof:?}"),
                        answer.status,
                        &answer.body,
                    ))
                }
                _ => Ok(()),
            },
            Next::Refresh(chain) => {
                let response: TokenResponse =
                    serde_json::from_slice(&answer.body).during("reading a refreshed token response")?;
                chain.refresh_token = response.refresh_token;
                Ok(())
            }
        }
    }

    /// The family's newest token, for the next run.
    pub(super) fn into_chain(self) -> Option<RefreshChain> {
        match self.next {
            Next::Same { .. } => None,
            Next::Refresh(chain) => Some(chain),
        }
    }
}
