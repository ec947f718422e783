//! The receiver on real sockets, row by row of `design/receiver.md`.

mod admin;
mod authentication;
mod checks;
mod handshake;
mod hostile;
mod replies;
mod routing;
mod server;
