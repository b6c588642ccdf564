//! The internal API's edge: listener, bodies, problem documents, routes. Nothing here decides a check.

pub(crate) mod body;
mod caller;
pub(crate) mod json;
pub(crate) mod problem;
pub(crate) mod request;
mod routes;
mod server;

pub use body::BodyLimits;
pub use server::{ServerLimits, serve};
