//! What becomes of a call.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR, CKR_SLOT_ID_INVALID,
    CKR_TOKEN_NOT_PRESENT,
};

use crate::channel::{Channel, Orders};
use crate::function::Function;
use crate::order::{Fault, now};
use crate::sessions::Sessions;
use crate::target::Target;
use crate::{DIRECTORY, MODULE};

/// Looks at whether an order still holds.
const LOOK: Duration = Duration::from_millis(10);

/// The module of this process.
pub(crate) struct Shim {
    pub(crate) target: Target,
    channel: Channel,
    pub(crate) sessions: Sessions,
    /// Whether the token's sessions have been lost for the present absence.
    gone: AtomicBool,
}

/// What is to be done about a call that is forwarded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) spoil: Option<Spoil>,
    /// The label of the key to sign with.
    pub(crate) key: Option<String>,
    pub(crate) state: State,
}

/// What becomes of octets that a call gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoil {
    Shorten,
    Corrupt,
}

/// What the token is said to be like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) gone: bool,
    /// Added to every slot's number.
    pub(crate) slots_from: CK_SLOT_ID,
    pub(crate) session_limit: Option<u64>,
}

impl State {
    fn of(orders: &Orders, now: u64) -> Self {
        let mut state = Self::default();
        for (_, order) in orders.iter().filter(|(_, order)| !order.is_over(now)) {
            match order.fault {
                Fault::Gone => state.gone = true,
                Fault::SlotsFrom(first) => state.slots_from = first,
                Fault::SessionLimit(limit) => state.session_limit = Some(limit),
                _ => {}
            }
        }
        state
    }

    /// The slot's number behind this module.
    pub(crate) fn slot_behind(self, slot: CK_SLOT_ID) -> Result<CK_SLOT_ID, CK_RV> {
        slot.checked_sub(self.slots_from).ok_or(CKR_SLOT_ID_INVALID)
    }

    /// The number that the application is told.
    pub(crate) fn slot_before(self, slot: CK_SLOT_ID) -> CK_SLOT_ID {
        slot.saturating_add(self.slots_from)
    }
}

impl Shim {
    /// The one of this process, or why there is none.
    pub(crate) fn of_process() -> Result<&'static Self, &'static str> {
        static SHIM: OnceLock<Result<Shim, String>> = OnceLock::new();
        SHIM.get_or_init(Self::load).as_ref().map_err(String::as_str)
    }

    fn load() -> Result<Self, String> {
        let variable = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("the environment has no {name}"))
        };
        let target = Target::load(&variable(MODULE)?).map_err(|error| format!("{MODULE}: {error}"))?;
        let channel = Channel::new(variable(DIRECTORY)?);
        Ok(Self { target, channel, sessions: Sessions::default(), gone: AtomicBool::new(false) })
    }

    pub(crate) fn list(&self) -> &CK_FUNCTION_LIST {
        self.target.list()
    }

    /// Counts a call and lets every order have its way: the answer to give in place of forwarding it, or what to do with it.
    pub(crate) fn plan(&self, function: Function, session: Option<CK_SESSION_HANDLE>) -> Result<Plan, CK_RV> {
        let unusable = |error| complain(&format_args!("{DIRECTORY}: {error}"));
        self.channel.count(function).map_err(unusable)?;
        let orders = self.orders()?;
        let state = State::of(&orders, now());
        if state.gone {
            self.lose_sessions();
        } else {
            self.gone.store(false, Ordering::SeqCst);
        }
        let mut plan = Plan { state, ..Plan::default() };
        for (id, order) in orders.iter() {
            if order.fault.is_state() || order.is_over(now()) || !order.strikes(function) {
                continue;
            }
            if order.is_for(self.channel.ticket(*id).map_err(unusable)?) {
                self.strike(*id, &order.fault, session, &mut plan)?;
            }
        }
        match function {
            _ if !state.gone || !function.reaches_token() => Ok(plan),
            _ if session.is_some() => Err(CKR_DEVICE_REMOVED),
            _ => Err(CKR_TOKEN_NOT_PRESENT),
        }
    }

    fn orders(&self) -> Result<Orders, CK_RV> {
        self.channel.orders().map_err(|error| complain(&error))
    }

    fn strike(&self, id: u64, fault: &Fault, session: Option<CK_SESSION_HANDLE>, plan: &mut Plan) -> Result<(), CK_RV> {
        match (fault, session) {
            (Fault::Return(rv), _) => return Err(*rv),
            (Fault::Sleep(time), _) => self.sleep(id, Duration::from_millis(*time))?,
            (Fault::Hang, _) => self.sleep(id, Duration::MAX)?,
            (Fault::Abort, _) => std::process::abort(),
            (Fault::Shorten, _) => plan.spoil = Some(Spoil::Shorten),
            (Fault::Corrupt, _) => plan.spoil = Some(Spoil::Corrupt),
            (Fault::OtherKey(label), _) => plan.key = Some(label.clone()),
            (Fault::CloseSession, Some(session)) => {
                self.target.close_session(session);
                self.sessions.forget(session);
            }
            (Fault::LogOut, Some(session)) => {
                self.target.log_out(session);
            }
            (Fault::CloseAllSessions, _) => self.close_all_sessions(),
            // At a function without a session there is none to lose; states are no events.
            (Fault::CloseSession | Fault::LogOut, None)
            | (Fault::Gone | Fault::SlotsFrom(_) | Fault::SessionLimit(_), _) => {}
        }
        Ok(())
    }

    /// For so long, but not longer than the order holds.
    fn sleep(&self, id: u64, time: Duration) -> Result<(), CK_RV> {
        let began = Instant::now();
        while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            if !self.orders()?.iter().any(|(other, order)| *other == id && !order.is_over(now())) {
                break;
            }
            std::thread::sleep(left.min(LOOK));
        }
        Ok(())
    }

    /// Once for each absence.
    fn lose_sessions(&self) {
        if !self.gone.swap(true, Ordering::SeqCst) {
            self.close_all_sessions();
        }
    }

    fn close_all_sessions(&self) {
        self.target.close_all_sessions();
        self.sessions.forget_all();
    }
}

/// A module that cannot be driven as it was told must not look healthy.
#[allow(clippy::print_stderr)] // its only way to tell a person
pub(crate) fn complain(why: &dyn std::fmt::Display) -> CK_RV {
    eprintln!("p11-chaos: {why}");
    CKR_GENERAL_ERROR
}
