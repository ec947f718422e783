//! The state schema and its versions.
