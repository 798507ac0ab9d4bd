//! Logs and metrics: the one place that decides how the product speaks to its operator.
//!
//! Logs go to standard error as text or as JSON lines; metrics are kept in counters that are looked up once, when they
//! are made, so that counting a request costs an atomic addition. Label values are enums and `&'static str` only:
//! nothing that a client sends can create a time series.
//!
//! Start reading at [`Metrics`] and [`logs::init`].

mod chain;
pub mod logs;
pub mod metrics;

pub use chain::{causes, chain};
pub use metrics::{Metrics, SharedMetrics};
