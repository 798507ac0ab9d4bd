//! A bridge between real processes and real sockets.

#[cfg(test)]
mod multiplexing;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod server_requests;
#[cfg(test)]
mod stateless;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transport;
