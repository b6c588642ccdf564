//! A second token with the keys of the first, as a vendor's replication makes it, and its worker.

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use yanqian_p11_chaos::Chaos;

use crate::binaries::Binaries;
use crate::cli::Output;
use crate::config;
use crate::error::{Doing as _, HarnessError};
use crate::options::Options;
use crate::places::{Places, write_private};
use crate::site::Site;
use crate::start::start_worker;
use crate::supervisor::Supervisor;
use crate::users::give_tree;

/// How long an orderly stop may take.
const STOP: Duration = Duration::from_secs(30);

/// The second token of a site with [`Options::second_token`].
#[derive(Debug)]
pub struct SecondToken {
    places: Places,
    worker: Option<Supervisor>,
    chaos: Option<Arc<Chaos>>,
}

impl SecondToken {
    /// Copies the token and its PIN, and starts a worker over the copy. Nobody may change the first meanwhile.
    pub(crate) fn copied_from(first: &Places, options: &Options, binaries: &Binaries) -> Result<Self, HarnessError> {
        let places = first.of_second_token();
        let user = options.users.worker;
        places.create_token(&options.users)?;
        let chaos = options.chaos.then(|| Chaos::at(places.chaos()).map(Arc::new)).transpose();
        let chaos = chaos.doing(|| "orders to the second PKCS#11 module".to_owned())?;
        let copying = || "copying the token".to_owned();
        let copied = Command::new("cp").arg("-r").args([first.token(), places.token()]).status().doing(copying)?;
        if !copied.success() {
            return Err(HarnessError::Unexpected(format!("copying the token: {copied}")));
        }
        give_tree(&places.token(), user)?;
        options.token.configure(&places)?;
        write_private(&places.pin(), &std::fs::read(first.pin()).doing(copying)?, user)?;
        let pin = ("pin_file", places.pin().display().to_string().into());
        config::write_worker(&places, options, binaries, pin)?;
        let worker = Some(start_worker(&places, options, binaries, None)?);
        Ok(Self { places, worker, chaos })
    }

    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Drives its module, in a site with [`Options::chaos`].
    pub fn chaos(&self) -> Option<Arc<Chaos>> {
        self.chaos.clone()
    }

    /// SIGKILL to its worker; the supervisor starts it again.
    pub fn kill_worker(&self) {
        if let Some(worker) = &self.worker {
            worker.kill();
        }
    }

    /// SIGTERM to its worker, and no new start.
    pub fn stop_worker(&mut self) -> Option<ExitStatus> {
        self.worker.take()?.stop(STOP)
    }
}

impl Site {
    /// The second token, in a site with [`Options::second_token`].
    ///
    /// # Panics
    /// In a site without.
    #[track_caller]
    pub fn second(&mut self) -> &mut SecondToken {
        self.second.as_mut().expect("a site with a second token")
    }

    /// Starts the second token's worker after it was stopped.
    pub async fn start_second_worker(&mut self) -> Result<(), HarnessError> {
        let worker = start_worker(&self.places().of_second_token(), self.options(), self.binaries(), None)?;
        self.second().worker = Some(worker);
        self.second_ready().await
    }

    /// Waits until the second token's worker answers.
    pub async fn second_ready(&self) -> Result<(), HarnessError> {
        let worker = self.second.as_ref().and_then(|second| second.worker.as_ref());
        self.until_ready(worker, &self.places().of_second_token()).await
    }

    /// The second token's worker's state, as [`Self::worker_status`].
    pub fn second_status(&self) -> Result<Value, HarnessError> {
        self.status_of(&self.places().of_second_token())
    }

    /// Runs `yanqian hsm COMMAND --config …` about the second token.
    pub fn hsm_of_second(&self, command: &str, arguments: &[&str]) -> Result<Output, HarnessError> {
        let config = self.places().of_second_token().worker_config().display().to_string();
        let mut all = vec!["hsm", command, "--config", &config];
        all.extend_from_slice(arguments);
        self.yanqian_as_worker(&all)
    }
}
