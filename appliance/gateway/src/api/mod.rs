//! The internal API's edge: listener, bodies, problem documents, routes. Nothing here decides a check.

mod activity;
pub(crate) mod body;
mod caller;
mod connection;
pub(crate) mod json;
mod openapi;
pub(crate) mod problem;
pub(crate) mod request;
mod routes;
mod seats;
mod server;
mod service;
mod wire;

pub use activity::Waits;
pub use body::BodyLimits;
pub use server::{Http2Limits, ServerLimits, serve};
pub use wire::FrameLimits;
