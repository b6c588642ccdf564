//! What an operator, an internal system and the platform would see, proven on whole sites of real processes.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod abuse;
mod abuse_bodies;
mod abuse_http2;
mod access;
mod bodies;
mod check;
mod checks;
mod crash;
mod demo;
mod dialects;
mod frames;
mod hardening;
mod http2;
mod idempotency;
mod isolation;
mod ledger;
mod openapi;
mod operation;
mod outage;
mod platform;
mod privacy;
mod prometheus;
mod receipts;
mod replacement;
mod rotation;
mod sealed;
mod services;
mod signature;
mod softhsm;
mod support;
mod tokens;
mod trust;
mod units;
mod verification;
