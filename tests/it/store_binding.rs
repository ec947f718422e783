//! The port over a real Postgres: reading, applying, recording, auditing, and the inbox.
//!
//! Every test has a database of its own on the shared server.

#[path = "store_binding/apply.rs"]
mod apply;
#[path = "store_binding/audit.rs"]
mod audit;
#[path = "store_binding/conflicts.rs"]
mod conflicts;
#[path = "store_binding/events.rs"]
mod events;
#[path = "store_binding/inbox.rs"]
mod inbox;
mod intents;
#[path = "store_binding/refusals.rs"]
mod refusals;
#[path = "store_binding/state.rs"]
mod state;
#[path = "store_binding/world.rs"]
pub(crate) mod world;
