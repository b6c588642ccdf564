//! SM2's point arithmetic, its tables, recodings, engine and constant-time multiples: the files of `yanqian-sm` themselves, compiled over a field
//! of 691 instead of 2²⁵⁶ − … elements. The curve y² = x³ − 3x + b, with the same limbs for b read modulo 691, has 653 points, a prime: so the
//! claims of `exhaustive` are tried for all points, all pairs of them and all scalars.
//!
//! What is replaced is the field and the integers modulo n, which have exhaustive tests over narrow limbs and others of their own.
// The files bring tests of their own, which are about the real curve.
#![cfg(not(test))]
#![allow(clippy::inline_always, clippy::many_single_char_names)]

extern crate alloc;

pub mod exhaustive;
mod field;
mod scalar;

// As they are in the appliance.
#[allow(dead_code)]
#[path = "../../../appliance/sm/src/engine.rs"]
mod engine;
#[allow(dead_code)]
#[path = "../../../appliance/sm/src/point.rs"]
mod point;
#[allow(dead_code)]
#[path = "../../../appliance/sm/src/recode.rs"]
mod recode;
#[allow(dead_code, unused_imports)]
#[path = "../../../appliance/sm/src/secret/mod.rs"]
mod secret;
#[allow(dead_code)]
#[path = "../../../appliance/sm/src/table.rs"]
mod table;
