//! What the person at the terminal is told when something does not work.

use std::error::Error;

use thv_config::{Problem, Problems};
use thv_gateway::StartError;
use thv_remote::error::LoginError;
use thv_workload::run::RunError;

/// One thing that is wrong.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hint: Option<String>,
}

/// Why a command did not do what it was asked to; said once, at the end.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Vec<Complaint>);

impl Failure {
    /// A failure that has nothing more to say, because the output says it.
    pub(crate) const fn silent() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(vec![Complaint { message: message.into(), ..Complaint::default() }])
    }

    /// An error with the chain of its causes.
    pub(crate) fn from_error(error: &(dyn Error + 'static)) -> Self {
        let causes = thv_telemetry::causes(error).map(ToString::to_string).collect();
        Self(vec![Complaint { message: error.to_string(), causes, hint: None }])
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.hint = Some(hint.into());
        }
        self
    }
}

impl Complaint {
    /// Message and causes, for where there is one line.
    pub(crate) fn one_line(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).cloned().collect::<Vec<_>>().join(": ")
    }
}

impl From<&Problem> for Complaint {
    fn from(problem: &Problem) -> Self {
        let message = match problem.path.as_str() {
            "" => problem.message.clone(),
            path => format!("{path}: {}", problem.message),
        };
        Self { message, causes: Vec::new(), hint: problem.hint.clone() }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self(problems.iter().filter(|problem| problem.is_error()).map(Complaint::from).collect())
    }
}

impl Failure {
    /// A login that failed, with what can be done about it.
    pub(crate) fn from_login(error: &LoginError) -> Self {
        let failure = Self::from_error(error);
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Configuration(problems) => problems.into(),
            RunError::Gateway(error) => error.into(),
            other => {
                let failure = Self::from_error(&other);
                if let Some(hint) = other.hint() { failure.with_hint(hint) } else { failure }
            }
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Configuration(problems) => problems.into(),
            other => {
                let failure = Self::from_error(&other);
                if let Some(hint) = other.hint() { failure.with_hint(hint) } else { failure }
            }
        }
    }
}
