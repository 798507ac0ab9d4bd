//! The guarded client and the target client over real sockets.

#[cfg(test)]
mod address_rules;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod target;
#[cfg(test)]
mod trust;
