//! Signatures a second through the worker, and by the module driven bare by as many threads of a process of its own (`yanqian hsm
//! bench`), one after the other in the same run. The module takes a millisecond more a call, as a device on the network does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use yanqian_harness::chaos::{Fault, Function, Order};
use yanqian_harness::{HarnessError, Site};
use yanqian_hsm::{ClientConfig, WorkerClient};
use yanqian_sm::E;

use crate::drill::{OTHER_KEY, SIGNERS};
use crate::scenario::io;

/// Requests under way at the worker: enough that no thread waits for one.
const ASKERS: usize = 32;

/// Signatures a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Throughput {
    pub(crate) worker: f64,
    pub(crate) bare: f64,
}

impl Throughput {
    pub(crate) fn ratio(self) -> f64 {
        self.worker / self.bare
    }
}

/// Measures while nothing else asks the worker.
pub(crate) async fn measure(site: &Site, time: Duration) -> Result<Throughput, HarnessError> {
    let chaos = site.chaos().ok_or_else(|| HarnessError::Unexpected("a site without faults".to_owned()))?;
    let slower = chaos.give(Order::at(Function::C_Sign, Fault::Sleep(1))).map_err(io)?;
    // In turns, so that what else the machine does falls on both.
    let (mut worker, mut bare) = (0.0_f64, 0.0_f64);
    for _ in 0..2 {
        worker = worker.max(through_worker(site, time).await?);
        bare = bare.max(by_itself(site, time)?);
    }
    chaos.end(slower).map_err(io)?;
    Ok(Throughput { worker, bare })
}

async fn through_worker(site: &Site, time: Duration) -> Result<f64, HarnessError> {
    let client = WorkerClient::new(ClientConfig::new(site.places().socket()));
    let (signed, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let askers: Vec<_> = (0..ASKERS)
        .map(|number| {
            let (client, signed) = (client.clone(), Arc::clone(&signed));
            tokio::spawn(async move {
                let e = E::from_digest([u8::try_from(number).unwrap_or(1); 32]);
                while began.elapsed() < time {
                    client.sign(OTHER_KEY, &e, None).await.map_err(|error| error.to_string())?;
                    signed.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    for asker in askers {
        let ended = asker.await.map_err(|error| HarnessError::Unexpected(error.to_string()))?;
        ended.map_err(|error| HarnessError::Unexpected(format!("signing through the worker: {error}")))?;
    }
    Ok(rate(signed.load(Ordering::Relaxed), began.elapsed()))
}

/// What `yanqian hsm bench` tells of as many sessions as the worker signs with.
fn by_itself(site: &Site, time: Duration) -> Result<f64, HarnessError> {
    let config = site.places().worker_config().display().to_string();
    let (sessions, seconds) = (SIGNERS.to_string(), time.as_secs().to_string());
    let measured = site.yanqian_as_worker(&[
        "hsm",
        "bench",
        "--config",
        &config,
        "--label",
        OTHER_KEY,
        "--sessions",
        &sessions,
        "--seconds",
        &seconds,
    ])?;
    read(&measured.stdout).ok_or_else(|| HarnessError::Unexpected(format!("yanqian hsm bench: {}", measured.all())))
}

/// The rate of the row with as many sessions.
fn read(table: &str) -> Option<f64> {
    let sessions = SIGNERS.to_string();
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    row.into_iter().find(|row| row.first() == Some(&&*sessions))?.get(1)?.parse().ok().filter(|rate| *rate > 0.0)
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_the_workers_own_number_of_sessions_counts() {
        let table = "sessions  signatures/s  failures\n       1           800         0\n       8          3100         0\n\
                     threads = 8\n";
        assert_eq!(read(table), Some(3100.0));
        assert_eq!(read("sessions  signatures/s  failures\n       8             0         9\n"), None);
        assert_eq!(read(""), None);
    }
}
