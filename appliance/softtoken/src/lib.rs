//! A PKCS#11 v2.40 module with SM2 in software: development grade, not an HSM.
//!
//! It exists so that the appliance crosses the real C ABI from its first day: the same loader, sessions, PINs, error
//! codes and handles as with a bought token, with no line of special treatment. It is honest about itself: slot and
//! token say SOFT and development.
//!
//! A caller sees one exported symbol, `C_GetFunctionList`. `abi` is the only unsafe code: it turns pointers into
//! slices and results into `CK_RV`s. Behind it everything is safe Rust in layers: `module` (the application's state),
//! `token` (PINs, login), `sessions`, `objects`, `signing`, `sealing`; below them `table`, `making`, `object`,
//! `attribute`; at the bottom `store`, `seal`, `pin` (the directory, encryption at rest, the retry counters) and
//! `key` (SM2 by the crate `sm2`). Vendor numbers and forms are data: `dialect`, `encoding`.

#[allow(unsafe_code)]
mod abi;
mod attribute;
mod dialect;
mod encoding;
mod envelope;
mod format;
#[cfg(test)]
mod hostile;
mod key;
mod making;
mod module;
mod object;
mod objects;
mod pin;
mod rv;
mod seal;
mod sealing;
mod session;
mod sessions;
mod signing;
mod store;
mod table;
mod token;

pub use abi::C_GetFunctionList;
