//! What a workload's process says about itself, and what of it can be believed.

use serde::{Deserialize, Serialize};
use thv_clock::Timestamp;

use crate::name::WorkloadName;
use crate::run_lock::Holder;

/// What a workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It serves.
    Running,
    /// It does not run.
    Stopped,
    /// It ended because of an error.
    Error,
    /// Its process runs and does not serve yet.
    Starting,
    /// Its process ends.
    Stopping,
    /// It serves, and the MCP server behind it does not answer.
    Unhealthy,
    /// It cannot be told.
    Unknown,
    /// It serves, and the user must log in again.
    Unauthenticated,
    /// It serves, its tokens could not be refreshed, and it tries again.
    AuthRetrying,
}

impl State {
    /// The state as text, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
            Self::Unauthenticated => "unauthenticated",
            Self::AuthRetrying => "auth_retrying",
        }
    }

    /// Whether requests are accepted: it has been started.
    pub const fn is_serving(self) -> bool {
        matches!(self, Self::Running | Self::Unhealthy | Self::Unauthenticated | Self::AuthRetrying)
    }

    /// Whether it is over.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Error)
    }
}

/// How the workload stands with the remote server's authorization server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// No login is needed, or it is not known yet that one is.
    #[default]
    NotNeeded,
    /// The user must log in.
    Unauthenticated,
    /// Logged in.
    Authenticated,
    /// Logged in, and refreshing the tokens fails at the moment.
    AuthRetrying,
}

/// How the MCP server behind a workload is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Through the standard streams of a child process.
    Stdio,
    /// Streamable HTTP.
    StreamableHttp,
}

/// A workload's status. Unknown members are ignored, so that a later version's file can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which workload.
    pub name: WorkloadName,
    /// What it does.
    pub state: State,
    /// The process that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Where MCP clients reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How the MCP server behind it is spoken to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// When it last began to serve, in milliseconds since the Unix epoch; also when it has ended since. Absent for a
    /// workload that has never come up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// More about the state, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How it stands with the remote server's authorization server.
    #[serde(default)]
    pub auth: Auth,
    /// How often the MCP server behind it was started again.
    #[serde(default)]
    pub restarts: u32,
}

impl Status {
    /// A state about which no more is known.
    pub fn new(name: WorkloadName, state: State) -> Self {
        Self {
            name,
            state,
            pid: None,
            url: None,
            transport: None,
            started_at: None,
            detail: None,
            auth: Auth::default(),
            restarts: 0,
        }
    }

    /// The same with more about the state.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// What the status file holds.
#[derive(Clone, Debug)]
pub(crate) enum Reported {
    /// There is none.
    Nothing,
    /// A status.
    Status(Status),
    /// Something that is no status, and why.
    Unreadable(String),
}

/// What is true of a workload, given its status file and who holds its lock.
pub(crate) fn observed(name: &WorkloadName, reported: Reported, holder: Option<Holder>) -> Status {
    match (reported, holder) {
        (Reported::Unreadable(reason), holder) => Status {
            pid: holder.and_then(|holder| holder.pid),
            ..Status::new(name.clone(), State::Unknown).with_detail(reason)
        },
        (Reported::Status(status), Some(holder)) if holder.pid.is_none() || status.pid == holder.pid => {
            status
        }
        // Somebody holds the lock and has not said anything yet.
        (_, Some(holder)) => Status { pid: holder.pid, ..Status::new(name.clone(), State::Starting) },
        (Reported::Nothing, None) => Status::new(name.clone(), State::Stopped),
        (Reported::Status(status), None) => ended(status),
    }
}

/// What a process said before it ended.
fn ended(status: Status) -> Status {
    let over = Status { pid: None, url: None, ..status };
    match over.state {
        State::Stopped | State::Error => over,
        State::Stopping => Status { state: State::Stopped, ..over },
        _ => Status { state: State::Stopped, ..over }.with_detail("ended unexpectedly"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> WorkloadName {
        "w".parse().unwrap()
    }

    fn reported(state: State, pid: u32) -> Reported {
        Reported::Status(Status { pid: Some(pid), ..Status::new(name(), state) })
    }

    fn held(pid: u32) -> Option<Holder> {
        Some(Holder { pid: Some(pid) })
    }

    #[test]
    fn what_the_holder_of_the_lock_says_is_believed() {
        for state in [State::Running, State::Unauthenticated, State::Stopping, State::Error] {
            let status = observed(&name(), reported(state, 7), held(7));
            assert_eq!((status.state, status.pid, status.detail), (state, Some(7), None));
        }
    }

    #[test]
    fn a_status_of_another_process_than_the_holder_is_old() {
        let status = observed(&name(), reported(State::Running, 6), held(7));
        assert_eq!((status.state, status.pid), (State::Starting, Some(7)));
        assert_eq!(observed(&name(), Reported::Nothing, held(7)).state, State::Starting);
    }

    #[test]
    fn what_runs_only_by_its_own_account_ended_unexpectedly() {
        for state in [State::Running, State::Starting, State::Unhealthy, State::AuthRetrying] {
            let status = observed(&name(), reported(state, 7), None);
            assert_eq!((status.state, status.pid), (State::Stopped, None));
            assert_eq!(status.detail.as_deref(), Some("ended unexpectedly"), "{state:?}");
        }
    }

    #[test]
    fn an_end_that_was_announced_is_not_unexpected() {
        let status = observed(&name(), reported(State::Stopping, 7), None);
        assert_eq!((status.state, status.detail), (State::Stopped, None));
        assert_eq!(observed(&name(), reported(State::Error, 7), None).state, State::Error);
        assert_eq!(observed(&name(), Reported::Nothing, None).state, State::Stopped);
    }

    #[test]
    fn a_status_that_cannot_be_read_is_unknown_and_not_stopped() {
        let unreadable = || Reported::Unreadable("no JSON".into());
        let status = observed(&name(), unreadable(), held(7));
        assert_eq!(
            (status.state, status.pid, status.detail.as_deref()),
            (State::Unknown, Some(7), Some("no JSON"))
        );
        assert_eq!(observed(&name(), unreadable(), None).pid, None);
    }

    #[test]
    fn states_are_written_as_they_are_named() {
        for state in [State::Running, State::AuthRetrying, State::Unauthenticated] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
