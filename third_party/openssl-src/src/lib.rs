//! Re-exports `openssl-src` 400.x under a 300.x version number; see Cargo.toml.
pub use real::*;
