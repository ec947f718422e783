//! From one side to the other.
