//! An imitation of Notion's public API, with every limit a switch.
//!
//! [`Imitation::start`] runs a server in the calling process; its [`Handle`] dereferences to
//! [`Controls`], the typed form of the control API, with which a test plays people and weather.
//! The binary `notion-imitation` is the same server with flags, steered through `/_control/`.
//!
//! What it imitates is `Notion-Version: 2026-03-11` (and `2025-09-03`) for databases, data
//! sources, pages, property items, users and webhooks. See the crate's README.

mod api;
mod clock;
mod control;
mod error;
mod exchange;
mod filter;
mod ids;
mod limits;
mod log;
mod options;
mod properties;
mod query;
mod random;
mod server;
mod shared;
mod sort;
mod state;
mod sync;
mod weather;
mod webhook;

pub use crate::clock::ClockMode;
pub use crate::control::spec::{
    BulkSpec, Created, DataSourceRef, DataSourceSpec, DatabaseSpec, EditSpec, PageSpec,
};
pub use crate::control::{ControlError, ControlResult, Controls};
pub use crate::log::{RequestCounts, RequestRecord, fingerprint};
pub use crate::options::{Latencies, Options, Switches};
pub use crate::server::{Handle, Imitation};
pub use crate::state::connection::{Capability, ConnectionSpec};
pub use crate::weather::{Failure, How, InjectedFailure, When};
pub use crate::webhook::post::{Post, PostReply};
pub use crate::webhook::sign::signature;
pub use crate::webhook::subscription::{Subscription, SubscriptionInfo};
pub use crate::webhook::worker::DeliveryRecord;
