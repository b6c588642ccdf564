//! The built module, driven through the C ABI as any application would: loaded with `dlopen`, called by its function
//! list. The numbers are written out here again, so that a change of the dialect cannot go unnoticed.
//!
//! `pkcs11-tool` (package `opensc`) is required; its tests fail with a clear message where it is missing.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_lossless)]
// The C ABI is what is under test.
#![allow(unsafe_code)]

mod support;

mod calls;
mod concurrency;
mod keys;
mod lifecycle;
mod pins;
mod pkcs11_tool;
mod sealing;
mod storage;
