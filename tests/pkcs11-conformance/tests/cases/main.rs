//! What PKCS#11 v2.40 asks of any module, case by case, in the way of google/pkcs11test: general calls, slots, sessions, logins,
//! objects, signatures, random numbers. Each case runs over the soft token and over stock SoftHSM: a case that a mature module of
//! other people's fails is a misreading of ours, and where the standard leaves a choice both answers are named.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::print_stderr)]
// The C ABI is what is under test.
#![allow(unsafe_code)]

mod support;

/// Each case as a test over either module.
macro_rules! cases {
    ($($case:ident)*) => {
        mod soft_token {
            $(#[test] fn $case() { super::$case(&crate::support::Module::soft_token()); })*
        }
        mod soft_hsm {
            $(#[test] fn $case() {
                if let Some(module) = crate::support::Module::soft_hsm() {
                    super::$case(&module);
                }
            })*
        }
    };
}
pub(crate) use cases;

mod general;
mod logins;
mod objects;
mod sessions;
mod signatures;
mod slots;
