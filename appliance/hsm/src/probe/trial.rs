use std::collections::BTreeSet;

use cryptoki::slot::Slot;
use cryptoki_sys as ck;
use yanqian_sm::{DistinguishingId, E, PublicKey};

use super::MechanismFound;
use super::keys::{self, KeyFound};
use crate::binding::ffi::{Template, Value};
use crate::binding::{BindingError, Caller, TokenSession};
use crate::profile::{LengthQuery, Profile, SignEncoding, SignForm, SignInput, SignParameter};
use crate::self_proof::self_proof_message;
use crate::worker::diagnosis::{Case, Finding};
use crate::worker::management::{self, KeyKind};

/// Mechanisms tried, at most.
const MAX_CANDIDATES: usize = 64;
/// Signatures of a mechanism that works: a defect of its DER may show in one of a hundred only, one of many in most of these.
const SIGNATURES: usize = 12;

/// What a mechanism does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// `sign.input`; none when no value of it fits.
    pub input: Option<SignInput>,
    /// `sign.encoding`; none when no value of it fits.
    pub encoding: Option<SignEncoding>,
    pub parameter: SignParameter,
    /// False for ECDSA over the SM2 curve.
    pub is_sm2: bool,
    /// The label of another key that signed.
    pub other_key: Option<String>,
}

impl Meaning {
    /// Whether a profile can use it, and how gladly: the digest before messages, raw before DER, no parameter before one.
    pub(super) fn rank(&self) -> Option<u8> {
        let (Some(input), Some(encoding)) = (self.input, self.encoding) else { return None };
        if !self.is_sm2 || self.other_key.is_some() {
            return None;
        }
        let input = match input {
            SignInput::E => 0,
            SignInput::MessageWithZ => 1,
            SignInput::MessageWithoutZ => 2,
        };
        let encoding = match encoding {
            SignEncoding::Raw => 0,
            SignEncoding::Der => 1,
            SignEncoding::DerLax => 2,
        };
        Some(input * 10 + encoding * 2 + u8::from(self.parameter == SignParameter::UserId))
    }
}

/// One mechanism and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    pub mechanism: u64,
    /// Else why not, in words.
    pub meaning: Result<Meaning, String>,
}

/// Numbers worth a trial: what says that it signs and is a vendor's or a family's, and what a family of this key's type signs with,
/// listed or not: lists are known to lie.
pub(super) fn candidates(mechanisms: &[MechanismFound], families: &[Profile], key: &KeyFound) -> Vec<u64> {
    let of_families: BTreeSet<u64> =
        families.iter().filter_map(|family| Some(family.sign.as_ref()?.mechanism)).chain([ck::CKM_ECDSA]).collect();
    let mut numbers: BTreeSet<u64> = mechanisms
        .iter()
        .filter(|found| found.flags.is_none_or(|flags| flags & ck::CKF_SIGN != 0))
        .map(|found| found.number)
        .filter(|number| *number >= ck::CKM_VENDOR_DEFINED || of_families.contains(number))
        .collect();
    let of_type = families.iter().filter(|family| Some(family.key.key_type) == key.key_type);
    numbers.extend(of_type.filter_map(|family| Some(family.sign.as_ref()?.mechanism)));
    numbers.into_iter().take(MAX_CANDIDATES).collect()
}

/// Two sessions: one keeps the login, the other is given up after every error.
pub(super) struct Bench {
    caller: Caller,
    slot: Slot,
    anchor: TokenSession,
    session: Option<TokenSession>,
}

impl Bench {
    pub(super) fn open(caller: Caller, slot: Slot) -> Result<Self, BindingError> {
        let anchor = caller.open(slot, false)?;
        Ok(Self { caller, slot, anchor, session: None })
    }

    pub(super) const fn anchor(&self) -> &TokenSession {
        &self.anchor
    }

    pub(super) fn keys(&self, families: &[Profile]) -> Result<Vec<KeyFound>, BindingError> {
        keys::find(&self.anchor, families)
    }

    /// A key pair of the session's, by the first family whose keygen mechanism is listed and that makes an SM2 key. It is gone with
    /// the session.
    pub(super) fn session_key(&self, families: &[Profile], listed: &BTreeSet<u64>) -> Option<KeyFound> {
        for family in families {
            let Some(mechanism) = family.key.keygen_mechanism.filter(|number| listed.contains(number)) else {
                continue;
            };
            let kind = KeyKind { on_token: false, unwraps: false };
            let (public, private): (Template, Template) =
                management::templates(&family.key, kind, "yanqian-probe", b"yanqian-probe");
            let on_token = |template: &Template| template.contains(&(ck::CKA_TOKEN, Value::from(true)));
            debug_assert!(!on_token(&public) && !on_token(&private));
            if let Err(error) = self.anchor.generate_key_pair(mechanism, &public, &private) {
                tracing::debug!(family = family.name, %error, "no session key");
                continue;
            }
            let made = keys::find(&self.anchor, families).ok()?;
            let made = made.into_iter().find(|key| key.label == "yanqian-probe" && key.can_be_tried());
            if made.is_some() {
                return made;
            }
        }
        None
    }

    /// Tries each number with a key.
    pub(super) fn try_all(&mut self, key: &KeyFound, all: &[KeyFound], numbers: &[u64]) -> Vec<Trial> {
        let Some(public) = key.public else { return Vec::new() };
        let others: Vec<(String, PublicKey)> = all
            .iter()
            .filter_map(|other| Some((other.label.clone(), other.public?)))
            .filter(|(_, other)| *other != public)
            .collect();
        numbers
            .iter()
            .map(|number| Trial { mechanism: *number, meaning: self.try_one(key, &public, &others, *number) })
            .collect()
    }

    fn try_one(
        &mut self,
        key: &KeyFound,
        public: &PublicKey,
        others: &[(String, PublicKey)],
        mechanism: u64,
    ) -> Result<Meaning, String> {
        let mut why = String::new();
        for parameter in [SignParameter::None, SignParameter::UserId] {
            // A digest is a message too, so it tells everything; only what takes no 32 octets needs another message.
            for digest_first in [true, false] {
                let mut found: Option<Finding> = None;
                for _ in 0..SIGNATURES {
                    let handed = fresh(public, digest_first)?;
                    let given = match self.sign(key, mechanism, parameter, &handed) {
                        Ok(given) => given,
                        Err(error) => {
                            why = error.to_string();
                            break;
                        }
                    };
                    let Some(finding) = (Case { key: public, others, handed: &handed, given: &given }).find() else {
                        return Err(format!("gave {} octets that are no signature in any known way", given.len()));
                    };
                    let lax = finding.encoding() == Some(SignEncoding::DerLax);
                    if found.is_none() || lax {
                        found = Some(finding);
                    }
                }
                if let Some(finding) = found {
                    return Ok(Meaning {
                        input: finding.input(),
                        encoding: finding.encoding(),
                        parameter,
                        is_sm2: finding.is_sm2,
                        other_key: finding.other,
                    });
                }
            }
        }
        Err(why)
    }

    fn sign(
        &mut self,
        key: &KeyFound,
        mechanism: u64,
        parameter: SignParameter,
        data: &[u8],
    ) -> Result<Vec<u8>, BindingError> {
        let form = SignForm {
            mechanism,
            input: SignInput::E,
            encoding: SignEncoding::Raw,
            parameter,
            length_query: LengthQuery::Never,
            max_input: None,
        };
        let session = match self.session.take() {
            Some(session) => session,
            // A token with one session only: the anchor has to do.
            None => match self.caller.open(self.slot, false) {
                Ok(session) => session,
                Err(_) => return self.anchor.sign(key.handle, &form, data),
            },
        };
        let given = session.sign(key.handle, &form, data);
        if given.is_ok() {
            self.session = Some(session);
        } else if let Err(error) = session.close() {
            tracing::debug!(%error, "a session does not close");
        }
        given
    }
}

/// Octets that nobody else could have wanted signed: a self-proof's digest, or the message itself.
fn fresh(public: &PublicKey, digest: bool) -> Result<Vec<u8>, String> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|error| format!("the system's random numbers: {error}"))?;
    let message = self_proof_message(&nonce);
    Ok(if digest {
        E::of_message(public, &DistinguishingId::default(), &[&message]).as_bytes().to_vec()
    } else {
        message
    })
}
