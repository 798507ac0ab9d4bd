//! One connection: opened, logged in, shared by many requests.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, RedisConnectionInfo, Value};
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::fault::{Fault, RedisFault, Refusal};
use super::settings::{Credentials, Endpoint};
use super::stream::Stream;

/// How many commands may wait to be sent on one connection.
const QUEUE: usize = 1024;

/// How to connect to servers of one kind and who to be there.
pub(super) struct Dialer {
    pub(super) tls: Option<TlsConnector>,
    pub(super) credentials: Option<Credentials>,
    pub(super) db: u32,
    pub(super) dial_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) write_timeout: Duration,
}

impl Dialer {
    /// Connects and logs in. `questions` are asked in the same round trip as the login, so that a new connection costs one.
    pub(super) async fn dial(
        &self,
        endpoint: &Endpoint,
        questions: &[Cmd],
    ) -> Result<(Connection, Vec<Value>), Fault> {
        let host = endpoint.to_string();
        let late =
            || Err(Arc::new(RedisFault::ConnectTimeout { host: host.clone(), after: self.dial_timeout }));
        timeout(self.dial_timeout, self.dial_unbounded(endpoint, questions)).await.unwrap_or_else(|_| late())
    }

    async fn dial_unbounded(
        &self,
        endpoint: &Endpoint,
        questions: &[Cmd],
    ) -> Result<(Connection, Vec<Value>), Fault> {
        let host: Arc<str> = endpoint.to_string().into();
        let stream = self.stream(endpoint).await?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(QUEUE);
        let (inner, driver) = MultiplexedConnection::new_with_config(&plain(), stream, config)
            .await
            .map_err(|source| RedisFault::Broken { host: host.to_string(), source })?;
        let connection = Connection { inner, driver: tokio::spawn(driver), host };
        let answers = self.log_in(&connection, questions).await?;
        Ok((connection, answers))
    }

    async fn log_in(&self, connection: &Connection, questions: &[Cmd]) -> Result<Vec<Value>, Fault> {
        let mut hello = Pipeline::new();
        if let Some(credentials) = &self.credentials {
            hello.cmd("AUTH").arg(credentials.username.as_deref()).arg(credentials.password.expose_secret());
        }
        if self.db != 0 {
            hello.cmd("SELECT").arg(self.db);
        }
        let formalities = hello.len();
        for question in questions {
            hello.add_command(question.clone());
        }
        if hello.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = connection.call(&hello, self.dial_timeout).await?;
        let asked = answers.split_off(formalities.min(answers.len()));
        for answer in answers {
            if let Value::ServerError(error) = answer {
                // A server so old that it does not know our AUTH repeats it in its complaint.
                let refusal = match Refusal::of(&error) {
                    Refusal::Other { code, .. } => Refusal::Other { code, detail: "to the login".to_owned() },
                    refusal => refusal,
                };
                return Err(Arc::new(RedisFault::Refused { host: connection.host.to_string(), refusal }));
            }
        }
        Ok(asked)
    }

    /// Connects without logging in. The caller bounds how long it takes.
    pub(super) async fn stream(&self, endpoint: &Endpoint) -> Result<Stream, Fault> {
        Stream::open(endpoint, self.tls.as_ref(), self.write_timeout)
            .await
            .map_err(|source| Arc::new(RedisFault::Connect { host: endpoint.to_string(), source }))
    }

    /// Who we are, for connections that log in by themselves.
    pub(super) fn login(&self) -> RedisConnectionInfo {
        let mut info = plain();
        if let Some(credentials) = &self.credentials {
            info = info.set_password(credentials.password.expose_secret());
            if let Some(username) = &credentials.username {
                info = info.set_username(username);
            }
        }
        info
    }
}

/// Nothing is said on connecting: RESP2, which all versions speak, and no names, which an ACL may forbid.
fn plain() -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name()
}

/// A connection. It ends when it is dropped, whatever still waits for an answer.
pub(super) struct Connection {
    inner: MultiplexedConnection,
    driver: JoinHandle<()>,
    pub(super) host: Arc<str>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Whether it is known to have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Sends commands in one go; one answer for each, which may be the server's error.
    pub(super) async fn call(&self, commands: &Pipeline, limit: Duration) -> Result<Vec<Value>, Fault> {
        let mut connection = self.inner.clone();
        let host = || self.host.to_string();
        let Ok(answered) = timeout(limit, connection.send_packed_commands(commands, 0, commands.len())).await
        else {
            return Err(Arc::new(RedisFault::Timeout { host: host(), after: limit }));
        };
        let answers = answered.map_err(|source| RedisFault::Broken { host: host(), source })?;
        if answers.len() == commands.len() { Ok(answers) } else { Err(self.unexpected("a pipeline")) }
    }

    /// An answer that is not understood.
    pub(super) fn unexpected(&self, command: &'static str) -> Fault {
        Arc::new(RedisFault::Unexpected { host: self.host.to_string(), command })
    }

    /// The server's error as a fault.
    pub(super) fn refused(&self, error: &::redis::ServerError) -> Fault {
        Arc::new(RedisFault::Refused { host: self.host.to_string(), refusal: Refusal::of(error) })
    }
}
