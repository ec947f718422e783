//! The implementation of the port over Postgres.
