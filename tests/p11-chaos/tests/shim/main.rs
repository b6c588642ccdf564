//! The built module before the soft token, driven through the C ABI as any application would: every fault is shown to happen
//! and to end.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
// The C ABI is what is under test.
#![allow(unsafe_code)]

mod calls;
mod forwarding;
mod processes;
mod support;
mod tokens;
