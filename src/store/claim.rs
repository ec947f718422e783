//! Claims of tables, epochs and pinned properties.
