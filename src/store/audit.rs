//! The audit table.
