//! The sync rule: pure decisions about pages, rows and what they held before.
//!
//! No IO, no clock, no randomness: times are arguments. Everything else in the crate reads,
//! executes or reports what is decided here (`DESIGN.md` §2).

pub mod column;
pub mod convert;
pub mod drift;
pub mod event;
pub mod filter;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod identity;
pub mod json;
pub mod mapping;
pub mod page;
pub mod pair;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod schema;
pub mod side;
pub mod window;
