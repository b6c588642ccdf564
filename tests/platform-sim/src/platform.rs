//! The platform's mind: its register, the nonces it has seen, and its judgement of a request.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use openssl::x509::X509;
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

use crate::chip::{self, Finding, Issuers};
use crate::fault::Connection;
use crate::form::{
    ChipInquiry, Field, FieldResult, Inquiry, Outcome, Printed, Proof, Reading, Request, Service, Step, Wire,
};
use crate::http::Gate;
use crate::numbers::canonical;
use crate::orders::{Orders, Queued};
use crate::pki::Pki;
use crate::registry::{self, Holder};
use crate::seen::{NONCE_TWICE, Seen, Stats};
use crate::{Config, Form, Refusal, SimError, envelope, portrait, signed_data, sm};

/// How long a business serial number is good for.
const APPLICATION: Duration = Duration::minutes(5);
/// How far a request's time may be off.
const WINDOW: Duration = Duration::minutes(5);
/// Requests kept for `GET /seen`; older ones are dropped.
pub(crate) const KEPT: usize = 20_000;

/// What the previous request was and how it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Previous {
    pub(crate) nonce: String,
    pub(crate) digest: [u8; 32],
    pub(crate) wire: Wire,
    /// What was signed as content.
    pub(crate) signed: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    nonces: HashSet<String>,
    pub(crate) seen: VecDeque<Seen>,
    pub(crate) stats: Stats,
    pub(crate) orders: Orders,
    /// Orders for one answer each, which come first.
    pub(crate) queue: VecDeque<Queued>,
    /// Orders for one new connection each.
    pub(crate) connections: VecDeque<Connection>,
    /// Serial of the first honest answer.
    pub(crate) used_serial: Option<String>,
    previous: Option<Previous>,
    serial: u64,
    applications: HashMap<String, Application>,
}

/// An accepted application.
#[derive(Debug)]
struct Application {
    customer: String,
    service: Service,
    at: OffsetDateTime,
    /// SM3 of the answer's package, hexadecimal.
    digest: String,
}

/// A platform.
#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) pki: Pki,
    pub(crate) form: Form,
    holders: Vec<Holder>,
    customers: Vec<String>,
    purposes: Vec<String>,
    entity_encryption: Option<PathBuf>,
    entity_signing: Option<PathBuf>,
    issuers: Issuers,
    /// Hash of each holder's portrait, in the register's order.
    faces: Vec<Option<u64>>,
    /// Of each address that is listened at.
    pub(crate) gates: Vec<watch::Sender<Gate>>,
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
    /// What was read from a genuine chip.
    pub(crate) reading: Option<Reading>,
}

impl Platform {
    pub(crate) fn new(config: &Config, gates: Vec<watch::Sender<Gate>>) -> Result<Self, SimError> {
        let pki = Pki::load(&config.pki)?;
        sm::self_test(&pki.signing.key)?;
        let holders = registry::seeded(config.seed);
        let faces = holders.iter().map(|holder| portrait::hash(&portrait::portrait(holder))).collect();
        Ok(Self {
            pki,
            form: config.form,
            issuers: Issuers::new()?,
            faces,
            holders,
            entity_encryption: config.entity_encryption.clone(),
            entity_signing: config.entity_signing.clone(),
            customers: config.customers.clone(),
            purposes: config.purposes.clone(),
            gates,
            state: Mutex::default(),
        })
    }

    /// Whether there is such an address.
    pub(crate) fn serve_at(&self, index: usize, serves: bool) -> bool {
        let Some(gate) = self.gates.get(index) else { return false };
        gate.send_replace(if serves { Gate::Open } else { Gate::Away });
        true
    }

    pub(crate) fn end(&self) {
        for gate in &self.gates {
            gate.send_replace(Gate::Over);
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, checks and answers a request's body.
    pub(crate) fn judge(&self, path: &str, headers: &HeaderMap, body: &[u8], now: OffsetDateTime) -> Judgement {
        let mut judgement = Judgement {
            request: None,
            signature_ok: false,
            inner: None,
            outcome: Outcome::Unheard,
            fields: Vec::new(),
            digest: [0; 32],
            reading: None,
        };
        let outcome = self.consider(path, headers, body, now, &mut judgement).unwrap_or_else(Outcome::Refused);
        judgement.outcome = outcome;
        judgement
    }

    fn consider(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: OffsetDateTime,
        judgement: &mut Judgement,
    ) -> Result<Outcome, Refusal> {
        let request = judgement.request.insert(self.form.read_request(path, headers, body)?);
        judgement.digest = sm::sm3(&request.signed).map_err(|_| Refusal::Shape("no digest"))?;
        // Counted for every readable request, whatever else is wrong: "at most once" has no exceptions.
        let fresh = self.note_nonce(&request.nonce);

        let (signer, signing_time) = self.check_signature(request)?;
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
        match &request.step {
            Step::Apply => return Ok(Outcome::Accepted),
            Step::Authenticate { serial, digest } => self.redeem(serial, digest, request, now)?,
            Step::Only => {}
        }
        let plain = envelope::open(&request.envelope, &self.pki.encryption).map_err(Refusal::Envelope)?;
        let inquiry = self.form.read_inquiry(request.service, &plain)?;
        judgement.inner = Some(summary(&inquiry, &plain));
        let (outcome, fields) = match &inquiry {
            Inquiry::Printed(printed, portrait) => self.look_up(printed, portrait.as_deref()),
            Inquiry::Chip(chip) => {
                let (outcome, fields, reading) = self.read_chip(chip);
                judgement.reading = reading;
                (outcome, fields)
            }
        };
        judgement.fields = fields;
        Ok(outcome)
    }

    /// Who signed a request, and when, if the signature says that.
    fn check_signature(&self, request: &Request) -> Result<(X509, Option<OffsetDateTime>), Refusal> {
        match &request.proof {
            Proof::Message(message) => {
                let message = signed_data::read(message).map_err(|error| Refusal::Signature(error.0))?;
                if message.content.is_some() != (self.form == Form::Attached) {
                    return Err(Refusal::Signature("attached or not, the other way round"));
                }
                let signer = message.signer().map_err(Refusal::Signature)?;
                let verified = message.verify(&signer, &request.signed, self.form.attributes());
                verified.map(|at| (signer, at)).map_err(Refusal::Signature)
            }
            Proof::Bare { signature, serial } => {
                let signer = self.entity_signing().ok_or(Refusal::Certificate("the entity's is not known"))?;
                let number =
                    signer.serial_number().to_bn().and_then(|number| number.to_hex_str().map(|hex| hex.to_string()));
                let named = |serial: &String| number.as_ref().is_ok_and(|number| number.eq_ignore_ascii_case(serial));
                if !serial.as_ref().is_none_or(named) {
                    return Err(Refusal::Certificate("another serial number"));
                }
                let key = signer.public_key().map_err(|_| Refusal::Certificate("the key does not parse"))?;
                if !sm::verify(&key, &request.signed, signature) {
                    return Err(Refusal::Signature("signature does not verify"));
                }
                Ok((signer, None))
            }
        }
    }

    /// The certificate that the entity registered, for forms in which requests bring none along.
    fn entity_signing(&self) -> Option<X509> {
        X509::from_pem(&std::fs::read(self.entity_signing.as_ref()?).ok()?).ok()
    }

    /// Uses a business serial number up.
    fn redeem(&self, serial: &str, digest: &str, request: &Request, now: OffsetDateTime) -> Result<(), Refusal> {
        let application = self.state().applications.remove(serial).ok_or(Refusal::Application)?;
        let good = application.customer == request.customer
            && application.service == request.service
            && application.digest == digest
            && now - application.at <= APPLICATION;
        if good { Ok(()) } else { Err(Refusal::Application) }
    }

    /// Remembers an application that was accepted, by the answer that said so.
    pub(crate) fn accept(&self, serial: &str, request: &Request, signed: &[u8], now: OffsetDateTime) {
        let Ok(digest) = sm::sm3(signed) else { return };
        let application = Application {
            customer: request.customer.clone(),
            service: request.service,
            at: now,
            digest: hex::encode(digest),
        };
        self.state().applications.insert(serial.to_owned(), application);
    }

    fn read_chip(&self, chip: &ChipInquiry) -> (Outcome, Vec<(Field, FieldResult)>, Option<Reading>) {
        let (outcome, result, reading) = match chip::read(&self.issuers, &self.holders, chip) {
            Finding::Genuine(holder) => (Outcome::Match, FieldResult::Match, Some(reading_of(holder))),
            Finding::NotGenuine => (Outcome::Mismatch, FieldResult::Mismatch, None),
            Finding::Unreadable => (Outcome::Undecided, FieldResult::Undecided, None),
            Finding::Unknown => return (Outcome::NotFound, Vec::new(), None),
        };
        (outcome, vec![(Field::Chip, result)], reading)
    }

    /// DER of the certificate of the country's authority for chips.
    pub(crate) fn chip_authority(&self) -> Option<Vec<u8>> {
        self.issuers.authority_certificate().ok()
    }

    /// The chip of a holder's document, for tests.
    pub(crate) fn chip(&self, number: &str, variant: chip::Variant) -> Option<chip::Files> {
        let index = self.holders.iter().position(|holder| holder.number == number)?;
        let another = &self.holders[(index + 1) % self.holders.len()];
        self.issuers.chip(&self.holders[index], another, variant).ok()
    }

    /// The certificate to which readings are sealed, in DER.
    pub(crate) fn entity_encryption(&self) -> Result<Vec<u8>, SimError> {
        let path = self.entity_encryption.clone().unwrap_or_default();
        let pem = std::fs::read(&path).map_err(|source| SimError::File { path, source })?;
        Ok(openssl::x509::X509::from_pem(&pem)?.to_der()?)
    }

    /// Anybody but the holder of this number.
    pub(crate) fn somebody_else(&self, number: &str) -> Option<Reading> {
        self.holders.iter().find(|holder| holder.number != number).map(reading_of)
    }

    fn look_up(&self, inquiry: &Printed, portrait: Option<&[u8]>) -> (Outcome, Vec<(Field, FieldResult)>) {
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
        if let Some(portrait) = portrait {
            let index = self.holders.iter().position(|known| known == holder);
            let known = index.and_then(|index| self.faces[index]);
            let result = match (portrait::hash(portrait), known) {
                (Some(shown), Some(known)) => compare(portrait::same(shown, known)),
                _ => FieldResult::Undecided,
            };
            fields.push((Field::Portrait, result));
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
        if !fresh {
            tracing::error!("{NONCE_TWICE}: {nonce}");
        }
        fresh
    }

    pub(crate) fn next_serial(&self) -> u64 {
        let mut state = self.state();
        state.serial += 1;
        state.serial
    }

    /// Puts `answered` in the place of the previous answer, which it returns.
    pub(crate) fn remember(&self, answered: Previous) -> Option<Previous> {
        self.state().previous.replace(answered)
    }

    pub(crate) fn previous(&self) -> Option<Previous> {
        self.state().previous.clone()
    }
}

fn reading_of(holder: &Holder) -> Reading {
    Reading {
        kind: holder.kind,
        number: holder.number.clone(),
        name: holder.name.clone(),
        sex: chip::sex(holder),
        birth_date: holder.birth_date,
        nationality: holder.nationality.to_owned(),
        expiry_date: holder.expiry_date,
    }
}

/// What was in an envelope, for tests to look at: as it came, but for pictures and files, of which length and SM3 say enough.
fn summary(inquiry: &Inquiry, plain: &[u8]) -> String {
    let text = String::from_utf8_lossy(plain).into_owned();
    let large: Vec<(&[u8], &str)> = match inquiry {
        Inquiry::Printed(_, None) => return text,
        Inquiry::Printed(_, Some(portrait)) => vec![(portrait, "picture")],
        Inquiry::Chip(ChipInquiry { files, .. }) => {
            vec![(&files.com, "file"), (&files.dg1, "file"), (&files.dg2, "file"), (&files.sod, "file")]
        }
    };
    large.into_iter().fold(text, |text, (octets, what)| {
        let digest = sm::sm3(octets).map(hex::encode).unwrap_or_default();
        let short = format!("{what} of {} octets, SM3 {digest}", octets.len());
        text.replacen(&base64::Engine::encode(&base64::engine::general_purpose::STANDARD, octets), &short, 1)
    })
}
