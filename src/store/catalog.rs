//! The bound table as pg_catalog describes it.
