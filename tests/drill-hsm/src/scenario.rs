//! What is done to the token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki_sys::CKR_DEVICE_REMOVED;
use yanqian_harness::chaos::{Calls, Chaos, Fault, Function, Given, Order};
use yanqian_harness::{HarnessError, Site};

use crate::drill::{OTHER_KEY, Scale, eventually};

/// Workers that follow each other in one scenario.
const REPLACEMENTS: usize = 4;

/// Every scenario, in the order in which they are drilled.
pub(crate) const ALL: &[Scenario] = &[
    Scenario::DeviceRemovedBurst,
    Scenario::OneSessionInvalid,
    Scenario::AllSessionsInvalid,
    Scenario::LoginLost,
    Scenario::WorkersOverlap,
    Scenario::Hang,
    Scenario::ModuleAborts,
    Scenario::ModuleAbortsInLogin,
    Scenario::TokenGone,
    Scenario::CorruptSignature,
    Scenario::CorruptSignatureAtStart,
    Scenario::ShortSignature,
    Scenario::SignatureByAnotherKey,
    Scenario::SlowToken,
    Scenario::SessionLimitInMidLife,
    Scenario::SessionLimit,
    Scenario::WrongPin,
];

/// Those that are drilled on one of two tokens, where none of them may cost a check.
pub(crate) const OF_TWO: &[Scenario] = &[
    Scenario::DeviceRemovedBurst,
    Scenario::Hang,
    Scenario::ModuleAborts,
    Scenario::TokenGone,
    Scenario::CorruptSignature,
    Scenario::SlowToken,
    Scenario::SessionLimit,
    Scenario::WrongPin,
];

/// A fault of the token, from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    DeviceRemovedBurst,
    OneSessionInvalid,
    AllSessionsInvalid,
    LoginLost,
    WorkersOverlap,
    Hang,
    ModuleAborts,
    ModuleAbortsInLogin,
    TokenGone,
    CorruptSignature,
    CorruptSignatureAtStart,
    ShortSignature,
    SignatureByAnotherKey,
    SessionLimit,
    SessionLimitInMidLife,
    SlowToken,
    WrongPin,
}

/// What a scenario tells about itself.
#[derive(Debug)]
pub(crate) struct Struck {
    /// When the fault was over.
    pub(crate) ended: Instant,
    /// Calls before those whose logins count.
    pub(crate) before: Calls,
    /// What did not happen as it should have.
    pub(crate) problems: Vec<String>,
}

impl Scenario {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DeviceRemovedBurst => "DEVICE_REMOVED burst",
            Self::OneSessionInvalid => "one session of nine invalid",
            Self::AllSessionsInvalid => "all sessions invalid, not logged in",
            Self::LoginLost => "login lost",
            Self::WorkersOverlap => "two workers overlapping",
            Self::Hang => "hang",
            Self::ModuleAborts => "module aborts",
            Self::ModuleAbortsInLogin => "module aborts in C_Login",
            Self::TokenGone => "token gone, back under another slot id",
            Self::CorruptSignature => "corrupt signature",
            Self::CorruptSignatureAtStart => "corrupt signature, worker starts",
            Self::ShortSignature => "short signature",
            Self::SignatureByAnotherKey => "signature by another key",
            Self::SessionLimit => "session limit 2",
            Self::SessionLimitInMidLife => "session limit 2, sessions lost",
            Self::SlowToken => "slow token, 2 s a signature",
            Self::WrongPin => "wrong PIN",
        }
    }

    /// Codes that a check may be refused with, besides those of a token that is away or busy.
    pub(crate) const fn also_refused(self) -> &'static [&'static str] {
        match self {
            Self::CorruptSignature | Self::CorruptSignatureAtStart | Self::SignatureByAnotherKey => {
                &["signature-defective"]
            }
            _ => &[],
        }
    }

    /// Whether the fault strikes every call while it lasts, so that other processes may use the module meanwhile; the others strike
    /// one call, which must be the worker's, or count logins.
    pub(crate) const fn is_for_everybody(self) -> bool {
        matches!(
            self,
            Self::DeviceRemovedBurst
                | Self::Hang
                | Self::TokenGone
                | Self::CorruptSignatureAtStart
                | Self::SlowToken
                | Self::SessionLimit
        )
    }

    /// Whether another session or another try serves every check meanwhile.
    pub(crate) const fn costs_nothing(self) -> bool {
        matches!(
            self,
            Self::OneSessionInvalid
                | Self::AllSessionsInvalid
                | Self::LoginLost
                | Self::WorkersOverlap
                | Self::SessionLimitInMidLife
        )
    }

    /// Strikes, lasts, ends.
    pub(crate) async fn strike(self, site: &mut Site, scale: Scale) -> Result<Struck, HarnessError> {
        let mut strike = Strike::new(site)?;
        let sign = Function::C_Sign;
        let ended = match self {
            Self::DeviceRemovedBurst => {
                strike.for_a_while(Order::token(Fault::Return(CKR_DEVICE_REMOVED)), scale.burst).await?
            }
            Self::OneSessionInvalid => strike.once(Order::at(sign, Fault::CloseSession)).await?,
            Self::AllSessionsInvalid => strike.once(Order::at(sign, Fault::CloseAllSessions)).await?,
            Self::LoginLost => strike.once(Order::at(sign, Fault::LogOut)).await?,
            Self::WorkersOverlap => strike.replace_workers(site, scale).await?,
            Self::Hang => strike.for_a_while(Order::at(sign, Fault::Hang), scale.hang).await?,
            Self::ModuleAborts => strike.once(Order::at(sign, Fault::Abort)).await?,
            Self::ModuleAbortsInLogin => {
                let given = strike.give(Order::at(Function::C_Login, Fault::Abort).times(1))?;
                site.kill_worker();
                strike.until_asked(given).await?
            }
            Self::TokenGone => {
                let gone = strike.give(Order::token(Fault::Gone))?;
                tokio::time::sleep(scale.gone).await;
                // Stays so for the rest of the drill.
                strike.give(Order::token(Fault::SlotsFrom(5)))?;
                strike.end(gone)?
            }
            Self::CorruptSignature => strike.for_a_while(Order::at(sign, Fault::Corrupt), scale.burst).await?,
            Self::CorruptSignatureAtStart => {
                let given = strike.give(Order::at(sign, Fault::Corrupt))?;
                site.kill_worker();
                site.worker_ready().await?;
                tokio::time::sleep(scale.burst).await;
                strike.end(given)?
            }
            Self::ShortSignature => strike.for_a_while(Order::at(sign, Fault::Shorten), scale.burst).await?,
            Self::SignatureByAnotherKey => {
                let other = Fault::OtherKey(OTHER_KEY.to_owned());
                strike.for_a_while(Order::at(Function::C_SignInit, other), scale.burst).await?
            }
            Self::SessionLimit => {
                let given = strike.give(Order::token(Fault::SessionLimit(2)))?;
                site.kill_worker();
                site.worker_ready().await?;
                tokio::time::sleep(scale.burst).await;
                strike.end(given)?
            }
            Self::SessionLimitInMidLife => {
                let limit = strike.give(Order::token(Fault::SessionLimit(2)))?;
                let lost = strike.give(Order::at(sign, Fault::CloseAllSessions).times(1))?;
                strike.until_asked(lost).await?;
                tokio::time::sleep(scale.burst).await;
                strike.end(limit)?
            }
            Self::SlowToken => strike.for_a_while(Order::at(sign, Fault::Sleep(2000)), scale.slow).await?,
            Self::WrongPin => strike.wrong_pin(site).await?,
        };
        Ok(Struck { ended, before: strike.before, problems: strike.problems })
    }

    /// How many logins the fault may cost, whatever else it does: one, unless processes were started again.
    pub(crate) const fn logins(self) -> Option<usize> {
        match self {
            Self::OneSessionInvalid | Self::CorruptSignature | Self::ShortSignature | Self::SignatureByAnotherKey => {
                Some(0)
            }
            Self::AllSessionsInvalid | Self::LoginLost | Self::WrongPin => Some(1),
            Self::WorkersOverlap => Some(REPLACEMENTS),
            _ => None,
        }
    }
}

/// A scenario under way.
struct Strike {
    chaos: Arc<Chaos>,
    before: Calls,
    problems: Vec<String>,
}

impl Strike {
    fn new(site: &Site) -> Result<Self, HarnessError> {
        let chaos = site.chaos().ok_or_else(|| HarnessError::Unexpected("a site without faults".to_owned()))?;
        let before = chaos.calls().map_err(io)?;
        Ok(Self { chaos, before, problems: Vec::new() })
    }

    fn give(&self, order: Order) -> Result<Given, HarnessError> {
        self.chaos.give(order).map_err(io)
    }

    fn end(&self, given: Given) -> Result<Instant, HarnessError> {
        self.chaos.end(given).map_err(io)?;
        Ok(Instant::now())
    }

    /// Strikes the next call; over when it has struck.
    async fn once(&mut self, order: Order) -> Result<Instant, HarnessError> {
        let given = self.give(order.times(1))?;
        self.until_asked(given).await
    }

    async fn until_asked(&mut self, given: Given) -> Result<Instant, HarnessError> {
        let chaos = Arc::clone(&self.chaos);
        if !eventually(Duration::from_secs(20), || chaos.asked(given) > 0).await {
            self.problems.push("the fault never struck".to_owned());
        }
        Ok(Instant::now())
    }

    async fn for_a_while(&mut self, order: Order, time: Duration) -> Result<Instant, HarnessError> {
        let given = self.give(order)?;
        tokio::time::sleep(time).await;
        let ended = self.end(given)?;
        if self.chaos.asked(given) == 0 {
            self.problems.push("the fault never struck".to_owned());
        }
        Ok(ended)
    }

    /// One worker after the other takes over, and one in between is not fit to.
    async fn replace_workers(&mut self, site: &Site, scale: Scale) -> Result<Instant, HarnessError> {
        for number in 0..=REPLACEMENTS {
            tokio::time::sleep(scale.burst / 4).await;
            let fit = number != 1;
            let config = site.places().worker_config();
            let text = std::fs::read_to_string(&config).map_err(io)?;
            if !fit {
                std::fs::write(&config, text.replace("token_label", "token_lable")).map_err(io)?;
            }
            let replaced = tokio::task::block_in_place(|| site.reload_worker())?;
            std::fs::write(&config, text).map_err(io)?;
            if (replaced.code == Some(0)) != fit {
                self.problems.push(format!("a replacement ended with {}", replaced.all()));
            }
        }
        Ok(Instant::now())
    }

    /// The worker is started with a wrong PIN, again and again, and then with the right one.
    async fn wrong_pin(&mut self, site: &mut Site) -> Result<Instant, HarnessError> {
        let right = site.pin()?;
        site.put_pin("00000000")?;
        site.kill_worker();
        if !eventually(Duration::from_secs(30), || site.worker_gave_up().is_some()).await {
            self.problems.push("the worker goes on with a wrong PIN".to_owned());
        }
        for _ in 0..3 {
            if site.start_worker().await.is_ok() {
                self.problems.push("the worker serves with a wrong PIN".to_owned());
            }
        }
        let logins = self.chaos.calls().map_err(io)?.since(&self.before).of(Function::C_Login);
        if logins != 1 {
            self.problems.push(format!("{logins} C_Login with a wrong PIN"));
        }
        site.put_pin(&right)?;
        self.before = self.chaos.calls().map_err(io)?;
        let ended = Instant::now();
        site.start_worker().await?;
        Ok(ended)
    }
}

pub(crate) fn io(error: std::io::Error) -> HarnessError {
    HarnessError::Io { what: "orders to the PKCS#11 module".to_owned(), source: error }
}
