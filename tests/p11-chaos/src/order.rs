//! Orders: which call fails, how, how often and for how long. One line of text each, so that a person can write them, too.
//!
//! ```text
//! ID PLACE FAULT [VALUE] [from=N] [times=K] [until=MS]
//! ```

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::function::Function;

/// Where a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Calls of this function.
    Function(Function),
    /// Calls of every function that reaches a token, by a slot or by a session; and the token itself.
    Token,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call gives this `CK_RV` and is not forwarded.
    Return(u64),
    /// The call is forwarded after this many milliseconds, or when the order has ended.
    Sleep(u64),
    /// The call is forwarded only when the order has ended.
    Hang,
    /// The process ends as by a crash of the module.
    Abort,
    /// What the call gives lacks its last octet.
    Shorten,
    /// One bit of what the call gives is turned.
    Corrupt,
    /// `C_SignInit` gets the private key with this label instead of the one that was asked for.
    OtherKey(String),
    /// The call's session is closed before the call.
    CloseSession,
    /// Every session of every token is closed before the call; most tokens log out then.
    CloseAllSessions,
    /// The application is logged out before the call.
    LogOut,
    /// The token is not there: its slot is empty, and all its sessions are lost for good.
    Gone,
    /// Slots have numbers that are higher by this.
    SlotsFrom(u64),
    /// No more sessions than this, which `CK_TOKEN_INFO` does not tell.
    SessionLimit(u64),
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub place: Place,
    pub fault: Fault,
    /// The first call that it is for, counted from 1 since it was given.
    pub from: u64,
    /// Calls that it is for; none: all.
    pub times: Option<u64>,
    /// Milliseconds since 1970 at which it ends by itself.
    pub until: Option<u64>,
}

/// An order that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    #[error("{0}: a number")]
    Number(&'static str),
    #[error("place {0:?}: the name of a PKCS#11 v2.40 function, or token")]
    Place(String),
    #[error("fault {0:?} is not known")]
    Fault(String),
    #[error("fault {fault} is for {only}")]
    Elsewhere { fault: &'static str, only: &'static str },
    #[error("{0:?} is none of from=N, times=K, until=MS")]
    Bound(String),
    #[error("fault {0} holds as long as it stands: it has neither from nor times")]
    State(&'static str),
    #[error("label {0:?}: one word")]
    Label(String),
    #[error("the line has no {0}")]
    Missing(&'static str),
}

impl Order {
    /// From now on, for every call at this place.
    pub fn new(place: Place, fault: Fault) -> Self {
        Self { place, fault, from: 1, times: None, until: None }
    }

    /// For every call of one function.
    pub fn at(function: Function, fault: Fault) -> Self {
        Self::new(Place::Function(function), fault)
    }

    /// For the token and every function that reaches it.
    pub fn token(fault: Fault) -> Self {
        Self::new(Place::Token, fault)
    }

    /// For the n-th call, counted from 1 since the order was given, and those after it.
    #[must_use]
    pub fn from(self, call: u64) -> Self {
        Self { from: call, ..self }
    }

    /// For so many calls.
    #[must_use]
    pub fn times(self, calls: u64) -> Self {
        Self { times: Some(calls), ..self }
    }

    /// For so long from now, and never less.
    #[must_use]
    pub fn lasting(self, time: Duration) -> Self {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        // Now is cut to the millisecond.
        Self { until: Some(now().saturating_add(time).saturating_add(1)), ..self }
    }

    /// Refuses what cannot happen.
    pub fn check(&self) -> Result<(), OrderError> {
        let fault = self.fault.word();
        let elsewhere = |only| Err(OrderError::Elsewhere { fault, only });
        match (&self.fault, self.place) {
            (Fault::Shorten | Fault::Corrupt, Place::Function(function)) if function.gives_octets() => {}
            (Fault::Shorten | Fault::Corrupt, _) => return elsewhere("C_Sign, C_SignFinal and C_Decrypt"),
            (Fault::OtherKey(label), _) if label.is_empty() || label.contains(char::is_whitespace) => {
                return Err(OrderError::Label(label.clone()));
            }
            (Fault::OtherKey(_), Place::Function(Function::C_SignInit)) => {}
            (Fault::OtherKey(_), _) => return elsewhere("C_SignInit"),
            (Fault::CloseSession | Fault::LogOut, Place::Function(function)) if !function.takes_session() => {
                return elsewhere("functions that take a session");
            }
            (Fault::Gone | Fault::SlotsFrom(_) | Fault::SessionLimit(_), Place::Function(_)) => {
                return elsewhere("token");
            }
            _ => {}
        }
        if self.fault.is_state() && (self.from != 1 || self.times.is_some()) {
            return Err(OrderError::State(fault));
        }
        Ok(())
    }

    /// Whether its time has passed.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Whether it is for the call with this number, counted from 1.
    pub(crate) fn is_for(&self, call: u64) -> bool {
        call >= self.from && self.times.is_none_or(|times| call - self.from < times)
    }

    /// Whether it is for calls of this function.
    pub(crate) fn strikes(&self, function: Function) -> bool {
        match self.place {
            Place::Function(place) => place == function,
            Place::Token => function.reaches_token(),
        }
    }

    /// Reads a line; the number in front is the order's id.
    pub fn parse(line: &str) -> Result<(u64, Self), OrderError> {
        let mut words = line.split_whitespace();
        let mut word = |what| words.next().ok_or(OrderError::Missing(what));
        let id = word("id")?.parse().map_err(|_| OrderError::Number("id"))?;
        let place = match word("place")? {
            "token" => Place::Token,
            name => Place::Function(Function::from_name(name).ok_or_else(|| OrderError::Place(name.to_owned()))?),
        };
        let fault = match word("fault")? {
            "return" => Fault::Return(number("return", word("return code")?)?),
            "sleep" => Fault::Sleep(number("sleep", word("milliseconds")?)?),
            "hang" => Fault::Hang,
            "abort" => Fault::Abort,
            "shorten" => Fault::Shorten,
            "corrupt" => Fault::Corrupt,
            "other-key" => Fault::OtherKey(word("label")?.to_owned()),
            "close-session" => Fault::CloseSession,
            "close-all-sessions" => Fault::CloseAllSessions,
            "log-out" => Fault::LogOut,
            "gone" => Fault::Gone,
            "slots-from" => Fault::SlotsFrom(number("slots-from", word("slot")?)?),
            "session-limit" => Fault::SessionLimit(number("session-limit", word("limit")?)?),
            other => return Err(OrderError::Fault(other.to_owned())),
        };
        let mut order = Self::new(place, fault);
        for bound in words {
            match bound.split_once('=') {
                Some(("from", value)) => order.from = number("from", value)?,
                Some(("times", value)) => order.times = Some(number("times", value)?),
                Some(("until", value)) => order.until = Some(number("until", value)?),
                _ => return Err(OrderError::Bound(bound.to_owned())),
            }
        }
        order.check()?;
        Ok((id, order))
    }

    /// The line that [`Self::parse`] reads.
    pub(crate) fn line(&self, id: u64) -> String {
        let place = match self.place {
            Place::Function(function) => function.name(),
            Place::Token => "token",
        };
        let from = (self.from != 1).then_some(self.from);
        let bounds = [("from", from), ("times", self.times), ("until", self.until)];
        let bounds = bounds.map(|(name, value)| value.map(|value| format!(" {name}={value}")).unwrap_or_default());
        format!("{id} {place} {}{}", self.fault, bounds.concat())
    }
}

impl Fault {
    const fn word(&self) -> &'static str {
        match self {
            Self::Return(_) => "return",
            Self::Sleep(_) => "sleep",
            Self::Hang => "hang",
            Self::Abort => "abort",
            Self::Shorten => "shorten",
            Self::Corrupt => "corrupt",
            Self::OtherKey(_) => "other-key",
            Self::CloseSession => "close-session",
            Self::CloseAllSessions => "close-all-sessions",
            Self::LogOut => "log-out",
            Self::Gone => "gone",
            Self::SlotsFrom(_) => "slots-from",
            Self::SessionLimit(_) => "session-limit",
        }
    }

    /// Whether it is a state of the token and no event at a call.
    pub(crate) const fn is_state(&self) -> bool {
        matches!(self, Self::Gone | Self::SlotsFrom(_) | Self::SessionLimit(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Return(rv) => write!(f, "{word} {rv:#x}"),
            Self::Sleep(value) | Self::SlotsFrom(value) | Self::SessionLimit(value) => write!(f, "{word} {value}"),
            Self::OtherKey(label) => write!(f, "{word} {label}"),
            _ => f.write_str(word),
        }
    }
}

fn number(what: &'static str, text: &str) -> Result<u64, OrderError> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|_| OrderError::Number(what))
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault() -> impl Strategy<Value = Fault> {
        prop_oneof![
            any::<u64>().prop_map(Fault::Return),
            any::<u64>().prop_map(Fault::Sleep),
            Just(Fault::Hang),
            Just(Fault::Abort),
            Just(Fault::Shorten),
            Just(Fault::Corrupt),
            "[!-~]{1,20}".prop_map(Fault::OtherKey),
            Just(Fault::CloseSession),
            Just(Fault::CloseAllSessions),
            Just(Fault::LogOut),
            Just(Fault::Gone),
            any::<u64>().prop_map(Fault::SlotsFrom),
            any::<u64>().prop_map(Fault::SessionLimit),
        ]
    }

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![
            Just(Place::Token),
            (0..Function::ALL.len()).prop_map(|index| Place::Function(Function::ALL[index])),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_unless_it_makes_no_sense(
            id: u64, place in place(), fault in fault(), from in 1_u64..9, times: Option<u64>, until: Option<u64>,
        ) {
            let order = Order { place, fault, from, times, until };
            match order.check() {
                Ok(()) => prop_assert_eq!(Order::parse(&order.line(id)), Ok((id, order))),
                Err(error) => prop_assert_eq!(Order::parse(&order.line(id)), Err(error)),
            }
        }

        #[test]
        fn no_line_panics(line: String) {
            let _ = Order::parse(&line);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, named) in [
            ("x C_Sign hang", "id"),
            ("1 C_Sing hang", "\"C_Sing\""),
            ("1 C_Sign vanish", "\"vanish\""),
            ("1 C_Sign return", "return code"),
            ("1 C_Sign return 0xZZ", "return"),
            ("1 C_Login corrupt", "C_Sign, C_SignFinal and C_Decrypt"),
            ("1 C_Sign other-key k", "C_SignInit"),
            ("1 C_Sign gone", "token"),
            ("1 C_GetTokenInfo log-out", "session"),
            ("1 token gone times=3", "neither from nor times"),
            ("1 C_Sign hang for=3", "for=3"),
            ("1", "place"),
        ] {
            let error = Order::parse(line).expect_err(line).to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }

    #[test]
    fn an_order_is_for_the_calls_from_its_first_to_its_last() {
        let order = Order::at(Function::C_Sign, Fault::Hang).from(3).times(2);
        assert_eq!((1..7).filter(|call| order.is_for(*call)).collect::<Vec<_>>(), [3, 4]);
        let order = Order::at(Function::C_Sign, Fault::Hang);
        assert!(order.is_for(1) && order.is_for(u64::MAX));
        let order = Order::at(Function::C_Sign, Fault::Hang).from(9).times(u64::MAX);
        assert!(!order.is_for(8) && order.is_for(u64::MAX));
        assert!(order.lasting(Duration::ZERO).is_over(now() + 1));
    }
}
