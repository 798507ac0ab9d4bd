//! Logs in as a browser and a public client do together: register, authorize, consent, log in, redeem the code.

mod browser;
mod flow;
pub(crate) mod form;
#[cfg(test)]
mod tests;

pub(crate) use flow::{Endpoints, PublicClient};
