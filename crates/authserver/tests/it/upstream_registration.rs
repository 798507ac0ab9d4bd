//! Becoming a client of an upstream without being told who we are there (U3–U9).

mod becoming;
mod healing;
mod idp;
mod world;
