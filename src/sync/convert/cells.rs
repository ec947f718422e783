//! Every cell of the table.
