//! Pools, one for each connection string.
//!
//! Callers hold on to a [`sqlx::PgPool`] no longer than a pass: it comes from the registry here,
//! which has checked that the server answers, accepts writes and keeps sessions.
