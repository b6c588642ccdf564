//! Keys of other algorithms than SM2, for platforms and chains that use them: which of them may be used, how they sign, how they are
//! made. The platform link uses SM2 only.

mod diagnosis;
mod public;
mod request;
mod verify;

use openssl::sha::sha256;

use self::diagnosis::Case;
use self::public::P256_CURVE;
pub(super) use self::public::{Public, other};
use self::verify::{ecdsa_to_der, verifies};
use super::engine::{Engine, KnownKey, Proof, count};
use super::lane::{Lane, Problem};
use super::management::{KeyKind, templates};
use super::unseal::no_table;
use crate::binding::ffi::{Template, Value};
use crate::binding::{BindingError, PSS_SHA256, Remedy};
use crate::profile::{AlgorithmForm, DigestInput, KeyForm};
use crate::protocol::{KeyAlgorithm, KeyUsage, Refusal, Scheme, codes};
use crate::self_proof::self_proof_message;
use cryptoki_sys as ck;

/// What stands before a SHA-256 digest in DER `DigestInfo` (RFC 8017 §9.2, note 1).
const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

impl Engine {
    /// The gate: a key of an algorithm that the configuration does not name is there to be looked at, and for nothing else.
    pub(super) fn admit(&self, key: &KnownKey) -> Result<(), Refusal> {
        self.admits(&key.label, key.public.algorithm())
    }

    /// As [`Self::admit`], before there is a key.
    pub(super) fn admits(&self, label: &str, algorithm: KeyAlgorithm) -> Result<(), Refusal> {
        if self.algorithms.contains(&algorithm) {
            return Ok(());
        }
        let why = format!("key {label:?}: {algorithm} is not among `algorithms` of the worker's configuration");
        Err(Refusal::new(codes::ALGORITHM, why))
    }
}

impl KnownKey {
    /// The key as an SM2 key, which most operations are for.
    pub(super) fn sm2(&self) -> Result<&yanqian_sm::PublicKey, Refusal> {
        self.public.sm2().ok_or_else(|| {
            let why = format!("key {:?} is of algorithm {}, and this is for sm2", self.label, self.public.algorithm());
            Refusal::new(codes::ALGORITHM, why)
        })
    }
}

/// What went into the module, and the signature that came out: in its own form, and in the module's where that cannot be read.
struct Made {
    handed: Vec<u8>,
    given: Vec<u8>,
    signature: Option<Vec<u8>>,
}

impl Lane {
    /// A signature over a SHA-256 digest by a proven key, verified before it leaves.
    pub(super) fn sign_digest(
        &mut self,
        label: &str,
        scheme: Scheme,
        digest: &[u8; 32],
        message: Option<&[u8]>,
    ) -> Result<Vec<u8>, Problem> {
        let key = self.proven_key(label)?;
        key.must_be_for(KeyUsage::Sign)?;
        if !scheme.fits(key.public.algorithm()) {
            let why =
                format!("key {label:?} is of algorithm {}, which does not sign by {scheme}", key.public.algorithm());
            return Err(Refusal::new(codes::ALGORITHM, why).into());
        }
        if message.is_some_and(|message| sha256(message) != *digest) {
            return Err(Refusal::new(codes::TBS_MISMATCH, "the message's SHA-256 is not the digest").into());
        }
        let profile = &self.engine.profile;
        let form = *profile
            .scheme(scheme)
            .ok_or_else(|| no_table(profile, &format!("[algorithms]] name = {:?}", scheme.as_str())))?;
        self.sign_other(&key, &form, digest, message)
    }

    fn sign_other(
        &mut self,
        key: &KnownKey,
        form: &AlgorithmForm,
        digest: &[u8; 32],
        message: Option<&[u8]>,
    ) -> Result<Vec<u8>, Problem> {
        let made = self.make(key, form, digest, message)?;
        let spki = key.public.spki();
        if let Some(signature) = made.signature.filter(|signature| verifies(&spki, form.scheme, digest, signature)) {
            return Ok(signature);
        }
        count(&self.engine.counters.defective);
        tracing::error!(label = key.label, "the token gave a signature that does not verify");
        key.set_proof(Proof::Unproven);
        Err(Problem::NoSignature("the token gave a signature that does not verify".into()))
    }

    /// What the module gives for a digest, handed over as the profile says.
    fn make(
        &mut self,
        key: &KnownKey,
        form: &AlgorithmForm,
        digest: &[u8; 32],
        message: Option<&[u8]>,
    ) -> Result<Made, Problem> {
        let handed = match form.input {
            DigestInput::Digest => digest.to_vec(),
            DigestInput::DigestInfo => [&DIGEST_INFO[..], digest].concat(),
            DigestInput::Message => {
                let why =
                    format!("the profile's {:?} has input = \"message\": the message is needed", form.scheme.as_str());
                message.ok_or_else(|| Refusal::new(codes::TBS_REQUIRED, why))?.to_vec()
            }
        };
        let (handle, _) = self.key(&key.label)?;
        let parameter = if form.scheme == Scheme::RsaPss { &PSS_SHA256.0[..] } else { &[] };
        self.session()?;
        self.engine.usage.take(&key.account)?;
        self.kept_alive.used();
        let given = self.session()?.sign_by(handle, (form.mechanism, parameter), &handed);
        let counters = &self.engine.counters;
        let given = given.inspect_err(|_| count(&counters.sign_failures)).map_err(|error| self.misfits(form, error))?;
        let counters = &self.engine.counters;
        count(&counters.signatures);
        counters.succeeded();
        let signature = match form.scheme {
            Scheme::EcdsaP256 => ecdsa_to_der(form.encoding, &given),
            Scheme::RsaPkcs1 | Scheme::RsaPss => Some(given.clone()),
        };
        Ok(Made { handed, given, signature })
    }

    /// Names the profile's key where the module objects to what it says.
    fn misfits(&mut self, form: &AlgorithmForm, error: BindingError) -> Problem {
        if error.remedy() != Remedy::Profile {
            return error.into();
        }
        self.replace(&error);
        let profile = &self.engine.profile;
        let why = format!(
            "[[algorithms]] {:?} of profile {:?} ({}), with mechanism = {:#x}, does not fit this module: {error}",
            form.scheme.as_str(),
            profile.name,
            profile.file().display(),
            form.mechanism
        );
        Refusal::new(codes::PROFILE, why).into()
    }

    /// Has the key sign a fresh nonce by the first scheme that the profile has for it: what is wrong; nothing when the signature
    /// verifies.
    pub(super) fn try_other(&mut self, key: &KnownKey, nonce: &[u8]) -> Result<Option<String>, Problem> {
        let algorithm = key.public.algorithm();
        let Some(form) = self.engine.profile.scheme_for(algorithm).copied() else {
            return Ok(Some(format!("the profile has no [[algorithms]] for {algorithm}")));
        };
        let message = self_proof_message(nonce);
        let digest = sha256(&message);
        let made = self.make(key, &form, &digest, Some(&message))?;
        let spki = key.public.spki();
        if made.signature.as_ref().is_some_and(|signature| verifies(&spki, form.scheme, &digest, signature)) {
            count(&self.engine.counters.self_proofs);
            return Ok(None);
        }
        count(&self.engine.counters.defective);
        Ok(Some(Case { spki: &spki, form: &form, handed: &made.handed, given: &made.given }.advice()))
    }

    /// Makes a pair of another algorithm than SM2 in the token.
    pub(super) fn make_other(&mut self, algorithm: KeyAlgorithm, label: &str, id: &[u8]) -> Result<(), Problem> {
        let profile = self.engine.profile.clone();
        let form =
            profile.algorithms.iter().find(|form| form.scheme.fits(algorithm) && form.keygen_mechanism.is_some());
        let Some((form, mechanism)) = form.and_then(|form| Some((form, form.keygen_mechanism?))) else {
            let why =
                format!("profile {:?} has no [[algorithms]] with a keygen_mechanism for {algorithm}", profile.name);
            return Err(Refusal::new(codes::PROFILE, why).into());
        };
        let (public, private) = other_templates(&profile.key, algorithm, label, id);
        let made = self.session()?.generate_key_pair(mechanism, &public, &private);
        made.map_err(|error| self.misfits(form, error))
    }
}

/// As an SM2 pair's, with another type, and the curve or the length in the public half.
fn other_templates(form: &KeyForm, algorithm: KeyAlgorithm, label: &str, id: &[u8]) -> (Template, Template) {
    let (mut public, mut private) = templates(form, KeyKind { on_token: true, unwraps: false }, label, id);
    let kind = if algorithm.modulus_bits().is_some() { ck::CKK_RSA } else { ck::CKK_EC };
    for template in [&mut public, &mut private] {
        template.retain(|(attribute, _)| ![ck::CKA_EC_PARAMS, ck::CKA_KEY_TYPE].contains(attribute));
        template.push((ck::CKA_KEY_TYPE, Value::from(kind)));
    }
    match algorithm.modulus_bits() {
        Some(bits) => {
            public.push((ck::CKA_MODULUS_BITS, Value::from(u64::from(bits))));
            public.push((ck::CKA_PUBLIC_EXPONENT, Value::from(vec![1, 0, 1])));
        }
        None => public.push((ck::CKA_EC_PARAMS, Value::from(P256_CURVE.to_vec()))),
    }
    (public, private)
}
