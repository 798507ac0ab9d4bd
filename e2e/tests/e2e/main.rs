//! End-to-end tests: the real `thv` program, real MCP clients and servers, a real identity provider, a real browser.
//!
//! `scripts/install-tools` installs what they run; a missing tool is a failure that says so. Logs and screenshots are kept
//! in `e2e-artifacts` in Cargo's target directory.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod conformance_client;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod error_pages;
#[cfg(test)]
mod example;
#[cfg(test)]
mod inspector;
#[cfg(test)]
mod login_chain;
#[cfg(test)]
mod oidc_upstream;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod run_auth_server;
#[cfg(test)]
mod run_command;
#[cfg(test)]
mod run_gateway;
#[cfg(test)]
mod run_lifecycle;
#[cfg(test)]
mod run_login;
#[cfg(test)]
mod run_options;
#[cfg(test)]
mod sdk_client;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transparency;
