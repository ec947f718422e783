//! The local world of tests and demo.
