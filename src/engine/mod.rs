//! Runs a pass over both ports.
