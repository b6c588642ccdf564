//! The platform's mind: its register, the nonces it has seen, and its judgement of a request.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::{Duration, OffsetDateTime};

use crate::form::{Field, FieldResult, Inquiry, Outcome, Request};
use crate::misbehave::Misbehaviour;
use crate::numbers::canonical;
use crate::pki::Pki;
use crate::registry::{self, Holder};
use crate::seen::{Seen, Stats};
use crate::{Config, Form, Refusal, SimError, envelope, signed_data, sm};

/// How far a request's time may be off.
const WINDOW: Duration = Duration::minutes(5);
/// Requests kept for `GET /seen`; older ones are dropped.
const KEPT: usize = 20_000;

/// What the previous request was and how it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Previous {
    pub(crate) nonce: String,
    pub(crate) digest: [u8; 32],
    pub(crate) body: String,
}

/// What to do with the answers to come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Orders {
    pub(crate) misbehaviour: Option<Misbehaviour>,
    /// How many answers more; None: until told otherwise.
    pub(crate) times: Option<u32>,
    pub(crate) delay: std::time::Duration,
}

#[derive(Debug, Default)]
struct State {
    nonces: HashSet<String>,
    seen: VecDeque<Seen>,
    stats: Stats,
    orders: Orders,
    previous: Option<Previous>,
    serial: u64,
}

/// A platform.
#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) pki: Pki,
    pub(crate) form: Form,
    holders: Vec<Holder>,
    customers: Vec<String>,
    purposes: Vec<String>,
    state: Mutex<State>,
}

/// What the platform thinks of one request.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) request: Option<Request>,
    pub(crate) signature_ok: bool,
    /// JSON from the envelope, when it opened.
    pub(crate) inner: Option<String>,
    pub(crate) outcome: Outcome,
    pub(crate) fields: Vec<(Field, FieldResult)>,
    /// SM3 of the signed octets.
    pub(crate) digest: [u8; 32],
}

impl Platform {
    pub(crate) fn new(config: &Config) -> Result<Self, SimError> {
        let pki = Pki::load(&config.pki)?;
        sm::self_test(&pki.signing.key)?;
        Ok(Self {
            pki,
            form: config.form,
            holders: registry::seeded(config.seed),
            customers: config.customers.clone(),
            purposes: config.purposes.clone(),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, checks and answers a request's body.
    pub(crate) fn judge(&self, body: &[u8], now: OffsetDateTime) -> Judgement {
        let mut judgement = Judgement {
            request: None,
            signature_ok: false,
            inner: None,
            outcome: Outcome::Unheard,
            fields: Vec::new(),
            digest: [0; 32],
        };
        let outcome = self.consider(body, now, &mut judgement).unwrap_or_else(Outcome::Refused);
        judgement.outcome = outcome;
        judgement
    }

    fn consider(&self, body: &[u8], now: OffsetDateTime, judgement: &mut Judgement) -> Result<Outcome, Refusal> {
        let request = judgement.request.insert(self.form.read_request(body)?);
        judgement.digest = sm::sm3(&request.signed).map_err(|_| Refusal::Shape("no digest"))?;
        // Counted for every readable request, whatever else is wrong: "at most once" has no exceptions.
        let fresh = self.note_nonce(&request.nonce);

        let message = signed_data::read(&request.signature).map_err(|e| Refusal::Signature(e.0))?;
        let signer = message.signer().map_err(Refusal::Signature)?;
        let signing_time =
            message.verify(&signer, &request.signed, self.form.attributes()).map_err(Refusal::Signature)?;
        judgement.signature_ok = true;
        self.pki.check_entity(&signer)?;
        let in_window = |at: OffsetDateTime| (now - at).abs() <= WINDOW;
        if !in_window(request.time) || !signing_time.is_none_or(in_window) {
            return Err(Refusal::Time);
        }
        if !fresh {
            return Err(Refusal::Duplicate);
        }
        if !self.customers.is_empty() && !self.customers.contains(&request.customer) {
            return Err(Refusal::Certificate("unknown customer number"));
        }
        if !self.purposes.is_empty() && !self.purposes.contains(&request.purpose) {
            return Err(Refusal::Purpose);
        }
        let plain = envelope::open(&request.envelope, &self.pki.encryption).map_err(Refusal::Envelope)?;
        judgement.inner = Some(String::from_utf8_lossy(&plain).into_owned());
        let inquiry = self.form.read_inquiry(&plain)?;
        let (outcome, fields) = self.look_up(&inquiry);
        judgement.fields = fields;
        Ok(outcome)
    }

    fn look_up(&self, inquiry: &Inquiry) -> (Outcome, Vec<(Field, FieldResult)>) {
        let Some(holder) = registry::find(&self.holders, inquiry.kind, &inquiry.number) else {
            return (Outcome::NotFound, Vec::new());
        };
        let compare = |same: bool| if same { FieldResult::Match } else { FieldResult::Mismatch };
        let number = canonical(holder.kind, &inquiry.number) == canonical(holder.kind, &holder.number);
        let name = if holder.name_undecided { FieldResult::Undecided } else { compare(inquiry.name == holder.name) };
        let mut fields = vec![
            (Field::Number, compare(number)),
            (Field::Name, name),
            (Field::BirthDate, compare(inquiry.birth_date == holder.birth_date)),
        ];
        if let Some(nationality) = &inquiry.nationality {
            fields.push((Field::Nationality, compare(nationality == holder.nationality)));
        }
        if let Some(expiry) = inquiry.expiry_date {
            fields.push((Field::ExpiryDate, compare(expiry == holder.expiry_date)));
        }
        let any = |wanted| fields.iter().any(|(_, result)| *result == wanted);
        let outcome = if any(FieldResult::Mismatch) {
            Outcome::Mismatch
        } else if any(FieldResult::Undecided) {
            Outcome::Undecided
        } else {
            Outcome::Match
        };
        (outcome, fields)
    }

    fn note_nonce(&self, nonce: &str) -> bool {
        let mut state = self.state();
        let fresh = state.nonces.insert(nonce.to_owned());
        state.stats.nonces += u64::from(fresh);
        state.stats.duplicates += u64::from(!fresh);
        fresh
    }

    pub(crate) fn next_serial(&self) -> u64 {
        let mut state = self.state();
        state.serial += 1;
        state.serial
    }

    /// The orders for one answer; a counted misbehaviour is used up.
    pub(crate) fn take_orders(&self) -> Orders {
        let mut state = self.state();
        let orders = state.orders;
        match orders.times {
            Some(0 | 1) => (state.orders.misbehaviour, state.orders.times) = (None, None),
            Some(times) => state.orders.times = Some(times - 1),
            None => {}
        }
        orders
    }

    pub(crate) fn orders(&self) -> Orders {
        self.state().orders
    }

    pub(crate) fn misbehave(&self, misbehaviour: Option<Misbehaviour>, times: Option<u32>) {
        let mut state = self.state();
        let misbehaviour = misbehaviour.filter(|_| times != Some(0));
        state.orders.misbehaviour = misbehaviour;
        state.orders.times = times.filter(|_| misbehaviour.is_some());
    }

    pub(crate) fn delay(&self, delay: std::time::Duration) {
        self.state().orders.delay = delay;
    }

    /// Puts `answered` in the place of the previous answer, which it returns.
    pub(crate) fn remember(&self, answered: Previous) -> Option<Previous> {
        self.state().previous.replace(answered)
    }

    pub(crate) fn previous(&self) -> Option<Previous> {
        self.state().previous.clone()
    }

    pub(crate) fn record(&self, seen: Seen) {
        let mut state = self.state();
        state.stats.requests += 1;
        state.stats.refused += u64::from(seen.refused);
        if state.seen.len() == KEPT {
            state.seen.pop_front();
        }
        state.seen.push_back(seen);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.iter().cloned().collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state().stats
    }

    pub(crate) fn reset(&self) {
        *self.state() = State::default();
    }
}
