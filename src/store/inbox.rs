//! The inbox of webhook events.
