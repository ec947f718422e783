//! The annotations that a person sets on a binding (`design/resource.md`, "Annotations").
//!
//! Each is answered by a receipt in status; none is ever removed by the operator, which holds no
//! right to write anything but status.

/// Any new value asks for an incremental pass, a schema check and a new hour for the handshake.
pub const REQUESTED_AT: &str = "notionsync.dev/requestedAt";
/// Any new value asks for a full scan.
pub const FULL_SCAN_REQUESTED_AT: &str = "notionsync.dev/fullScanRequestedAt";
/// Names columns, separated by commas, whose property is to be pinned anew.
pub const REPIN: &str = "notionsync.dev/repin";
/// Decides conflicts: `<conflict id>=Notion|Postgres`, separated by commas, or `all=Notion|Postgres`.
pub const RESOLVE: &str = "notionsync.dev/resolve";
/// `"true"` allows to adopt the claim of a binding in another cluster.
pub const TAKE_OVER: &str = "notionsync.dev/take-over";
