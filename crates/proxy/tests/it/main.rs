//! The proxy between real sockets: a backend on one side, a client on the other.

#[cfg(test)]
mod credentials;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod support;
