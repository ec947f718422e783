//! Connection strings, taken apart by our own code.
