//! The Kubernetes side: watches bindings, runs passes, writes status.

pub mod conditions;
pub mod events;
pub mod lease;
pub mod secrets;
pub mod status;
mod status_parts;
#[cfg(test)]
mod status_tests;
pub mod status_writer;
pub mod validate;
