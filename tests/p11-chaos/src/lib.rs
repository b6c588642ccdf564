//! A PKCS#11 module that stands before any other, forwards all 68 functions of v2.40, counts every call, and fails on
//! demand. It is a part of tests: what an HSM does to its users when it blinks can be ordered, to the call.
//!
//! Two environment variables configure it: `P11_CHAOS_MODULE` names the module behind it, `P11_CHAOS_DIR` a directory through
//! which it is driven at run time. The directory outlives processes: a fault goes on, and calls are counted on, when the
//! application is started again. See README.md for its files; [`Chaos`] is the other end of them.
//!
//! [`order`] and [`function`] are the words of the orders, `channel` the module's end of the directory, `shim` decides what
//! becomes of a call, `target` is the module behind, and `abi` the 68 entries.

#[allow(unsafe_code)]
mod abi;
mod channel;
pub mod control;
pub mod function;
pub mod order;
mod sessions;
mod shim;
#[allow(unsafe_code)]
mod target;

pub use abi::C_GetFunctionList;
pub use control::{Calls, Chaos, Given};
pub use function::Function;
pub use order::{Fault, Order, OrderError, Place};

/// Environment variable that names the module behind this one.
pub const MODULE: &str = "P11_CHAOS_MODULE";
/// Environment variable that names the directory of orders and counts.
pub const DIRECTORY: &str = "P11_CHAOS_DIR";
