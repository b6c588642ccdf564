//! A whole site on one machine: development PKI, token, platform simulator, HSM worker and daemon as real processes,
//! started as an operator would start them, and handles to ask, to break and to look into each of them.
//!
//! The harness shares no decision with the appliance: it reads the ledger through the command line, the metrics through
//! their page, and the platform's view through the simulator's control listener.

#![forbid(unsafe_code)]

mod binaries;
mod caller;
mod cli;
mod config;
mod control;
mod enrol;
mod error;
mod http;
mod ledger;
mod managed;
mod metrics;
mod notify;
mod open_files;
mod options;
pub mod people;
mod places;
mod process;
mod publisher;
mod rotation;
mod second;
mod site;
mod start;
mod supervisor;
mod token;
mod users;

pub use binaries::Binaries;
pub use caller::{CHIP_READING, Caller, REAL_NAME, REAL_PERSON, read_some, service_of};
pub use cli::{Operator, Output};
pub use control::{Control, Fault, Misbehaviour, Seen, Stats, Variant};
pub use error::HarnessError;
pub use http::{Connection, Protocol, Reply};
pub use ledger::Record;
pub use metrics::Metrics;
pub use open_files::raise_open_files;
pub use options::{File, Form, Link, Nonces, Options, Service, Token};
pub use places::Places;
pub use publisher::Publisher;
pub use rotation::Entry;
pub use second::SecondToken;
pub use site::{Addresses, Site};
pub use users::{User, Users};
pub use yanqian_p11_chaos as chaos;
