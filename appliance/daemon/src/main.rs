//! `yanqian`: the appliance's one binary. `serve` faces the network, `hsm-worker` holds the token; the rest is for
//! operators.
#![forbid(unsafe_code)]

mod admin;
mod anchoring;
mod cli;
mod clock;
mod config;
mod conform;
mod control;
mod families;
mod fetch;
mod gauges;
mod grade;
mod hardening;
mod key_gauges;
mod key_usage;
mod keys;
mod link;
mod orphans;
mod parts;
mod record_json;
mod reload;
mod retention;
mod rotation;
mod search_keys;
mod series;
mod serve;
mod tls;
mod token_acts;
mod tokens;
mod verification;
mod watch;
mod way;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
