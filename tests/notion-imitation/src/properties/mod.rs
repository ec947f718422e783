//! Property types: their schema, how values are stored, read and written.

pub(crate) mod convert;
pub(crate) mod date;
pub(crate) mod item;
pub(crate) mod kind;
pub(crate) mod read;
pub(crate) mod schema;
pub(crate) mod schema_read;
pub(crate) mod schema_write;
pub(crate) mod text;
pub(crate) mod value;
pub(crate) mod write;
pub(crate) mod write_value;
