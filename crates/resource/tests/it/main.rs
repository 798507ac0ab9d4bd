//! The verifier with real keys and a clock that stands still.

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod support;
#[cfg(test)]
mod verifier;
