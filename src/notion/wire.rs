//! The wire form of pages, schemas and errors.
