//! The resource `NotionSyncBinding`: its types, their schema and their rules, nothing else.
//!
//! Data and schema live in [`v1alpha1`] and [`status`], the CEL rules in [`rules`], behaviour of the
//! types beside them, and the generated definition in [`mod@crd`]. Nothing here knows the domain:
//! `controller/validate.rs` is the one translator.

pub mod annotations;
pub mod crd;
pub mod duration;
pub mod rules;
pub mod secret_ref;
pub mod status;
pub mod v1alpha1;
mod v1alpha1_impl;

pub use crd::{crd, crd_yaml};
pub use secret_ref::SecretKey;
pub use status::NotionSyncBindingStatus;
pub use v1alpha1::{NotionSyncBinding, NotionSyncBindingSpec};

/// The API group.
pub const GROUP: &str = "notionsync.dev";
/// The only version that is served and stored.
pub const VERSION: &str = "v1alpha1";
/// The kind.
pub const KIND: &str = "NotionSyncBinding";
/// The plural, as paths and roles spell it.
pub const PLURAL: &str = "notionsyncbindings";
