//! Messages of ours and of others: written, read, and meant ill.
#![allow(clippy::unwrap_used)]

mod altered;
mod bouncycastle;
mod enveloped;
mod golden;
mod hostile;
mod openssl;
mod signed;
mod signed_and_enveloped;
mod strict;
mod support;
