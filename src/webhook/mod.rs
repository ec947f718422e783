//! The webhook receiver and the admin API.
