//! The way to the platform: which endpoint is asked, what is sent again, and what the two sides of TLS agree on.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod endpoints;
mod http2;
mod proxy;
mod revocation;
mod s_server;
mod support;
mod tls;
