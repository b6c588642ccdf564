//! The worker as a real process over a real module, asked over its socket.
#![allow(clippy::unwrap_used)]

mod algorithms;
mod dialects;
mod encryption;
mod family;
mod faults;
mod opening;
mod pins;
mod pool;
mod probe;
mod proof;
mod protocol;
mod sealed;
mod service;
mod softhsm;
mod succession;
mod support;
mod usage;
