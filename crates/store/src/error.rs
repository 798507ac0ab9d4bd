//! Why a store did not answer.

/// Why a store did not answer. Absence is never an error: it is `None`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The backend cannot be reached; the caller answers `temporarily_unavailable` and invalidates nothing.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A bound on what may be kept was reached and nothing could be dropped.
    #[error("the store is full ({limit} {noun})")]
    Full {
        /// What there is too much of.
        noun: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A row cannot be read: it was sealed with a key that is not in the key ring, or was damaged.
    #[error("a {noun} row of the store cannot be read")]
    Unreadable {
        /// What kind of row.
        noun: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
