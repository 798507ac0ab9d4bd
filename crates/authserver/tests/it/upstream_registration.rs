//! Becoming a client of an upstream without being told who we are there (U3–U9).

mod becoming;
mod earlier;
mod healing;
mod idp;
mod refusals;
mod removal;
mod world;
