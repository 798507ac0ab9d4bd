//! What can go wrong while measuring.

use std::error::Error;

/// A measurement that could not be made. No figure is reported for a run that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A step failed underneath.
    #[error("{step} failed")]
    Step {
        /// What was being done.
        step: String,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A server answered something that the scenario does not allow.
    #[error("{step} was answered with status {status}: {body}")]
    Unexpected {
        /// What was being done.
        step: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// Something that the scenario needs is absent.
    #[error("{0}")]
    Missing(String),
}

impl BenchError {
    /// An answer that the scenario does not allow; keeps the first 300 characters of the body.
    pub(crate) fn unexpected(step: impl Into<String>, status: http::StatusCode, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body).chars().take(300).collect();
        Self::Unexpected { step: step.into(), status: status.as_u16(), body }
    }
}

/// Names the step during which an error appeared.
pub(crate) trait During<T> {
    /// The same result, with the error placed under `step`.
    fn during(self, step: impl Into<String>) -> Result<T, BenchError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> During<T> for Result<T, E> {
    fn during(self, step: impl Into<String>) -> Result<T, BenchError> {
        self.map_err(|source| BenchError::Step { step: step.into(), source: source.into() })
    }
}
