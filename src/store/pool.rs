//! Pools, one for each connection string.
