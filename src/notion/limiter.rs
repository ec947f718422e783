//! The request budget of a token.
