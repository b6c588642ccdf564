//! The platform that the appliance talks to, as honest or as hostile as a test wants it.
//!
//! It is built on OpenSSL and its own DER code. It depends on no crate of the appliance: a mistake shared by both sides would
//! cancel out and no test would see it. Everything it knows about people is invented.

#![forbid(unsafe_code)]

mod answer;
pub mod chip;
mod control;
pub mod der;
pub mod envelope;
mod error;
mod fault;
mod flow;
pub mod form;
mod http;
mod json;
mod misbehave;
pub mod numbers;
mod oids;
mod orders;
pub mod pki;
mod platform;
pub mod portrait;
mod proof;
pub mod registry;
mod seen;
pub mod signed_data;
pub mod sm;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use error::{Refusal, SimError};
pub use fault::Fault;
pub use form::Form;
pub use misbehave::Misbehaviour;
pub use seen::{Handshake, NONCE_TWICE, Seen, Stats};

use fault::Order;
use http::Gate;
use platform::Platform;

/// How to run a platform.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of the development PKI.
    pub pki: PathBuf,
    /// Wire form.
    pub form: Form,
    /// HTTPS listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// More HTTPS listeners of the same platform, port 0 as above.
    pub also_listen: Vec<SocketAddr>,
    /// Offer HTTP/2.
    pub http2: bool,
    /// Take RFC 8998 with a client certificate, and nothing else.
    pub rfc8998_only: bool,
    /// Control listener (plain HTTP; keep it on loopback).
    pub control: SocketAddr,
    /// Seed of the register, see [`registry::seeded`].
    pub seed: u64,
    /// Known customer numbers; empty: any.
    pub customers: Vec<String>,
    /// Known purpose codes; empty: any.
    pub purposes: Vec<String>,
    /// The entity's encryption certificate (PEM), to which readings are sealed; read when one is.
    pub entity_encryption: Option<PathBuf>,
    /// The entity's signing certificate (PEM), for forms in which requests bring none along; read when one comes.
    pub entity_signing: Option<PathBuf>,
}

/// Seed of the register unless another is asked for.
pub const DEFAULT_SEED: u64 = 20_191_014;

impl Config {
    /// Free loopback ports, the default seed, any customer and any purpose.
    pub fn new(pki: impl Into<PathBuf>, form: Form) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            pki: pki.into(),
            form,
            listen: loopback,
            also_listen: Vec::new(),
            http2: false,
            rfc8998_only: false,
            control: loopback,
            seed: DEFAULT_SEED,
            customers: Vec::new(),
            purposes: Vec::new(),
            entity_encryption: None,
            entity_signing: None,
        }
    }
}

/// Starts platforms.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Starts one on the current tokio runtime. It listens when this returns.
    pub async fn start(config: Config) -> Result<Running, SimError> {
        let control = TcpListener::bind(config.control).await.map_err(SimError::Listen)?;
        let control_addr = control.local_addr().map_err(SimError::Listen)?;
        let mut listeners = Vec::new();
        for address in std::iter::once(&config.listen).chain(&config.also_listen) {
            listeners.push(TcpListener::bind(address).await.map_err(SimError::Listen)?);
        }
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>();
        let addresses = addresses.map_err(SimError::Listen)?;
        let gates = listeners.iter().map(|_| watch::Sender::new(Gate::Open)).collect();
        let platform = Arc::new(Platform::new(&config, gates)?);
        let context = tls::context(&platform.pki, &config)?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = vec![tokio::spawn(control::serve(control, platform.clone(), stopped))];
        for (listener, gate) in listeners.into_iter().zip(&platform.gates) {
            let served = http::serve(listener, context.clone(), platform.clone(), control_addr, gate.subscribe());
            tasks.push(tokio::spawn(served));
        }
        Ok(Running { https_addr: addresses[0], addresses, control_addr, platform, stop, tasks })
    }
}

/// A running platform. Dropping it stops it, too.
#[derive(Debug)]
pub struct Running {
    /// Where HTTPS listens.
    pub https_addr: SocketAddr,
    /// Everywhere that HTTPS listens, [`Self::https_addr`] first.
    pub addresses: Vec<SocketAddr>,
    /// Where control listens.
    pub control_addr: SocketAddr,
    platform: Arc<Platform>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.platform.end();
    }
}

impl Running {
    /// Ends one address at once with all its connections, or listens there again. What the platform knows it keeps.
    pub fn serve_at(&self, index: usize, serves: bool) {
        self.platform.serve_at(index, serves);
    }

    /// Misbehaves in the next `times` answers; None: until told otherwise.
    pub fn misbehave(&self, misbehaviour: Misbehaviour, times: Option<u32>) {
        self.platform.misbehave(Some(Order::Misbehaviour(misbehaviour)), times);
    }

    /// Behaves again.
    pub fn behave(&self) {
        self.platform.misbehave(None, None);
    }

    /// Waits this long before every answer.
    pub fn delay(&self, delay: Duration) {
        self.platform.delay(delay);
    }

    /// The chip of the document with this number, or something like it.
    pub fn chip(&self, number: &str, variant: chip::Variant) -> Option<chip::Files> {
        self.platform.chip(number, variant)
    }

    /// Every request so far (the latest 20 000).
    pub fn seen(&self) -> Vec<Seen> {
        self.platform.seen()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.platform.stats()
    }

    /// Forgets nonces, requests, counters and orders.
    pub fn reset(&self) {
        self.platform.reset();
    }

    /// Stops listening, ends all connections and waits for that.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        self.platform.end();
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await;
        }
    }
}
