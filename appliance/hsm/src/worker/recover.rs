//! Bringing a token back without ending the process: `C_Finalize`, `C_Initialize`, the token found again in whatever slot it
//! is now, one login behind the latch, every key proven anew.

use std::time::{Duration, Instant};

use super::exit::WorkerExit;
use super::lane::{Lane, Problem};
use super::login::LoginError;
use super::prove::prove_all;
use super::token::{self, NoToken};
use crate::binding::{BindingError, Mark, Remedy};
use crate::protocol::Outcome;

/// Between attempts: the first pause, doubling up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// After a login whose outcome is not known: the latch allows few of them.
const LOGIN_PAUSE: Duration = Duration::from_secs(5);
/// A module that says for this long that it is broken may need a new process.
const BROKEN_LIMIT: Duration = Duration::from_secs(15);
/// Between looks whether the worker ends.
const LOOK: Duration = Duration::from_millis(50);

/// When the next attempt may be made, across the requests that wait for one.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    next: Option<Instant>,
    /// After the next one that fails; zero before the first.
    pause: Duration,
    /// Keys that were proven when the token went away.
    served: Vec<String>,
}

/// A quarter less or more, so that many workers over one device do not come all at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    let mut octet = [0; 1];
    // Without randomness the pause is the shorter one.
    let _ = getrandom::fill(&mut octet);
    pause * 3 / 4 + pause * u32::from(octet[0]) / 512
}

/// Why an attempt failed.
enum Failed {
    /// The module works and the token is not there: waiting is all that helps.
    Away(String),
    /// Another attempt may help, else a new process.
    Broken(String),
    /// `C_Login` failed in a way that may have cost a try.
    Login(String),
    /// No further attempt may be made, or can help.
    Over(WorkerExit),
}

impl Lane {
    /// Attempts until the token is back or the worker ends; with a deadline, until it has passed. Only the thread that manages
    /// does this. Requests that have waited long enough are answered meanwhile.
    pub(super) fn recover(&mut self, deadline: Option<Instant>) {
        self.leave();
        let mut broken_since = None;
        while let Some(away) = self.engine.health.away() {
            if away.is_long() {
                self.engine.turn_away(&away);
            }
            if self.attempts.pause.is_zero() {
                self.attempts.pause = FIRST_PAUSE * (1 << away.relapses.min(5));
                self.attempts.served = self.engine.proven_labels();
                if away.relapses > 0 {
                    self.attempts.next = Some(Instant::now() + self.attempts.pause);
                }
            }
            if !self.rest(deadline) {
                return;
            }
            let failed = match self.reinitialise() {
                Ok(()) => {
                    tracing::info!(away_ms = away.since.elapsed().as_millis(), "the token is back");
                    self.attempts = Attempts::default();
                    return;
                }
                Err(failed) => failed,
            };
            self.attempts.next = Some(Instant::now() + jittered(self.attempts.pause));
            self.attempts.pause = (self.attempts.pause * 2).min(LONGEST_PAUSE);
            match failed {
                Failed::Over(exit) => return self.engine.exit.request(exit),
                Failed::Away(why) => {
                    broken_since = None;
                    tracing::warn!(why, "the token is away");
                }
                Failed::Login(why) => {
                    tracing::warn!(why, "a login has no known outcome");
                    self.attempts.next = Some(Instant::now() + jittered(LOGIN_PAUSE));
                }
                Failed::Broken(why) => {
                    let since = *broken_since.get_or_insert_with(Instant::now);
                    tracing::warn!(why, "the token does not come back");
                    if since.elapsed() >= BROKEN_LIMIT {
                        return self.engine.exit.request(WorkerExit::Token(why));
                    }
                }
            }
        }
    }

    /// Waits until the next attempt; false when the deadline comes first or the worker ends.
    fn rest(&self, deadline: Option<Instant>) -> bool {
        loop {
            let now = Instant::now();
            if self.engine.is_ending() || deadline.is_some_and(|deadline| now >= deadline) {
                return false;
            }
            let left = self.attempts.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK));
            if let Some(away) = self.engine.health.away().filter(super::health::Away::is_long) {
                self.engine.turn_away(&away);
            }
        }
    }

    fn reinitialise(&mut self) -> Result<(), Failed> {
        self.engine.health.wait_until_empty();
        self.forget_session();
        if let Err(error) = self.caller.finalise() {
            tracing::debug!(%error, "the module does not finalise");
        }
        let broken = |error: &dyn std::fmt::Display| Failed::Broken(error.to_string());
        self.caller.initialise().map_err(|error| match error.remedy() {
            Remedy::Respawn => Failed::Over(WorkerExit::Token(error.to_string())),
            _ => broken(&error),
        })?;
        let (slot, info) = token::find(&self.caller, &self.engine.token.label).map_err(|error| match error {
            NoToken::Away { .. } => Failed::Away(error.to_string()),
            NoToken::Module(_) => broken(&error),
            NoToken::Several { .. } => Failed::Over(error.into()),
        })?;
        let found = token::Token::from(&info);
        if found != self.engine.token {
            // A latch, proofs and records of another token are at stake: all that starts anew with the process.
            let why = format!("another token has taken the label {:?}: serial number {:?}", found.label, found.serial);
            return Err(Failed::Over(WorkerExit::Token(why)));
        }
        self.engine.set_slot(slot);
        self.engine.forget_keys();
        self.slot = slot;
        self.recovering = true;
        let proven = self.log_in_and_prove();
        self.recovering = false;
        proven?;
        self.engine.reinitialised();
        self.epoch = self.engine.health.came_back();
        Ok(())
    }

    fn log_in_and_prove(&mut self) -> Result<(), Failed> {
        match self.session() {
            Ok(_) => {}
            Err(Problem::Login(error)) => {
                return Err(match *error {
                    LoginError::Latch(error) => Failed::Over(WorkerExit::Credentials(error.to_string())),
                    LoginError::Token(error) => Failed::Login(error.to_string()),
                });
            }
            Err(Problem::Token(error)) => {
                self.forget_session();
                let unknown = matches!(&error, BindingError::Pkcs11(failed) if failed.function == "C_Login")
                    && !error.is(Mark::PinUnseen);
                return Err(if unknown { Failed::Login } else { Failed::Broken }(error.to_string()));
            }
            Err(other) => return Err(Failed::Broken(format!("{other:?}"))),
        }
        let served = std::mem::take(&mut self.attempts.served);
        let proven = prove_all(self, &served);
        self.attempts.served = served;
        proven.map_err(|outcome| match (self.engine.exit.reason(), outcome) {
            (Some(exit), _) => Failed::Over(exit),
            (None, Outcome::Unavailable(why)) => Failed::Broken(why),
            (None, other) => Failed::Broken(format!("{other:?}")),
        })
    }
}
