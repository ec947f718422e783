//! The webhook receiver and the admin API (`design/receiver.md`).
//!
//! Verify, store, answer: nothing is synchronised here. The layer knows neither Kubernetes nor
//! Postgres; [`ports`] and [`admin::ports`] say what it needs of them. One request goes
//! `server` (bounds, deadlines) → `receiver` (the order of checks) → `auth` (whose request it is) →
//! `payload` (what it says) → `deliver` (whose event it is, and the reply).

pub mod auth;
pub mod body;
pub mod connections;
pub mod deliver;
pub mod framing;
pub mod hello;
pub mod keys;
pub mod payload;
pub mod place;
pub mod rejections;
pub mod reply;
pub mod signature;
pub mod wire;

pub mod admin;
pub mod limits;
pub mod ports;
pub mod receiver;
pub mod server;

pub use limits::Limits;
pub use server::{Site, serve};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
