use std::cell::RefCell;
use std::fs;
use std::num::NonZeroU32;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::ocsp::{OcspBasicResponse, OcspCertId, OcspCertStatus, OcspResponse as OpenSslResponse};
use openssl::x509::X509;
use yanqian_messages::ocsp::{CertStatus, OcspResponse, SingleResponse};
use yanqian_messages::{Certificate, certificates_from_pem_or_der};
use yanqian_trust::{
    Asked, Decides, FetchError, Nonce, RevocationKind, RevocationPolicy, SignerError, TrustSettings, TrustStore,
    Verifier, VerifierSettings,
};

use crate::certificates::copy;
use crate::party::{fixture, repository};

/// A response that the fixture's responders signed: the seed's name, when it began (seconds before the fixture's now, no two
/// alike), and what it says of the platform's signing certificate.
#[derive(Debug, Clone, Copy)]
pub struct Signed {
    pub seed: &'static str,
    pub before: i64,
    pub status: CertStatus,
    /// Holds [`NONCE`].
    pub with_nonce: bool,
}

const fn signed(seed: &'static str, before: i64, status: CertStatus) -> Signed {
    Signed { seed, before, status, with_nonce: false }
}

/// Everything that was ever signed about the certificate.
pub const SIGNED: [Signed; 7] = [
    signed("delegate", 3600, CertStatus::Good),
    signed("issuer-by-name", 3500, CertStatus::Good),
    signed("issuer-by-key", 3400, CertStatus::Good),
    signed("two-certificates", 3300, CertStatus::Good),
    Signed { with_nonce: true, ..signed("nonce", 3200, CertStatus::Good) },
    signed("revoked", 3100, CertStatus::Revoked),
    signed("unknown", 3000, CertStatus::Unknown),
];
/// Seconds from `thisUpdate` to `nextUpdate` of all of them.
pub const LIFETIME: i64 = 7200;
/// Of the request that one of them answers.
pub const NONCE: [u8; 16] = *b"0123456789abcdef";

/// A trust store that asks a responder about the signer, and takes whatever lies in its folder for the responder's word.
struct Site {
    directory: tempfile::TempDir,
    settings: TrustSettings,
    /// Without any response.
    store: TrustStore,
    asked: Asked,
    now: i64,
    verifier: Verifier,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        copy(&fixture("ocsp/trust"), directory.path());
        let read = |name: &str| fs::read(fixture(name)).expect("the fixture is there");
        let subject = certificates_from_pem_or_der(&read("ocsp/signing.pem")).expect("a certificate").remove(0);
        let now = String::from_utf8(read("ocsp/now")).expect("text").trim().parse().expect("seconds");
        let revocation = RevocationPolicy { signer: Decides::Ocsp, ..RevocationPolicy::default() };
        let settings = TrustSettings { revocation, fetched: None };
        let store = TrustStore::open(directory.path(), &settings).expect("the development PKI made it");
        let verifier = Verifier::new(VerifierSettings { table_octets: 1 << 20, shadow_every: NonZeroU32::MIN });
        let above = store.build_chain(&subject, &[], now, &verifier).expect("it chains");
        fs::create_dir(directory.path().join("ocsp")).expect("the directory is ours");
        let site = Self { directory, settings, store, asked: Asked { subject, above }, now, verifier };
        for signed in SIGNED {
            let seed = repository().join("fuzz/seeds/ocsp_responses").join(signed.seed);
            site.knows(&signed, &fs::read(seed).expect("the seed is there"));
        }
        site
    }

    /// What was signed is taken for what it says.
    fn knows(&self, signed: &Signed, response: &[u8]) {
        let times = Ok((self.now - signed.before, self.now - signed.before + LIFETIME));
        let (taken, judged) = match signed.status {
            CertStatus::Good => (times, Ok(())),
            CertStatus::Revoked => (times, Err(SignerError::Revoked)),
            CertStatus::Unknown => (Err(FetchError::Unknown), Err(SignerError::RevocationStale)),
        };
        assert_eq!(self.take(response, None), taken, "{signed:?}");
        let with_nonce = self.take(response, Some((&NONCE, Nonce::Require)));
        assert_eq!(with_nonce.is_ok(), signed.with_nonce, "{signed:?}");
        assert_eq!(self.judge(response).expect("it is readable").map(|_| ()), judged, "{signed:?}");
    }

    /// `thisUpdate` and `nextUpdate` of what a fetch would keep.
    fn take(&self, response: &[u8], nonce: Option<(&[u8], Nonce)>) -> Result<(i64, i64), FetchError> {
        let taken = self.store.take_response(response, &self.asked, nonce, self.now, &self.verifier)?;
        Ok((taken.this_update, taken.next_update))
    }

    /// When the response began that the signer is believed for; none when the store cannot be loaded with it.
    fn judge(&self, response: &[u8]) -> Option<Result<i64, SignerError>> {
        fs::write(self.directory.path().join("ocsp/response.der"), response).expect("the directory is ours");
        let store = TrustStore::open(self.directory.path(), &self.settings).ok()?;
        let verdict = store.verify_signer(&self.asked.subject, &[], self.now, &self.verifier);
        Some(verdict.map(|verdict| {
            let response = verdict.revocation.iter().find(|evidence| evidence.kind == RevocationKind::Ocsp);
            response.expect("only a responder's word counts for the signer").this_update
        }))
    }

    fn was_signed(&self, this_update: i64, status: CertStatus) -> bool {
        SIGNED.iter().any(|signed| self.now - signed.before == this_update && signed.status == status)
    }
}

/// Where OpenSSL reads a response too, it finds the same said of the certificate.
fn openssl_finds(ours: &SingleResponse, response: &OcspBasicResponse, asked: &Asked) {
    let read = |certificate: &Certificate| X509::from_der(certificate.as_der()).expect("OpenSSL made it");
    let (subject, issuer) = (read(&asked.subject), read(&asked.above[0]));
    let hashes = [MessageDigest::sm3(), MessageDigest::sha256(), MessageDigest::sha1()];
    let ids = hashes.map(|hash| OcspCertId::from_cert(hash, &subject, &issuer).expect("both are there"));
    let theirs = ids.iter().find_map(|id| response.find_status(id)).expect("what we found");
    let status = match ours.status {
        CertStatus::Good => OcspCertStatus::GOOD,
        CertStatus::Revoked => OcspCertStatus::REVOKED,
        CertStatus::Unknown => OcspCertStatus::UNKNOWN,
    };
    assert_eq!(theirs.status, status);
    let text = |seconds| Asn1Time::from_unix(seconds).map(|time| time.to_string()).ok();
    let this_update = Some(theirs.this_update.to_string());
    let next_update = theirs.next_update().map(ToString::to_string);
    assert_eq!(this_update, text(ours.this_update));
    assert_eq!(next_update, ours.next_update.and_then(text));
}

thread_local! {
    static SITE: RefCell<Option<Site>> = const { RefCell::new(None) };
}

/// OCSP responses: one says something of a certificate only where it says what the issuer, or who answers for it, signed; what is
/// kept of a fetch serves; OpenSSL reads the same out of it, and our engine and OpenSSL's are never of two opinions.
pub fn ocsp_responses(octets: &[u8]) {
    SITE.with_borrow_mut(|site| {
        let site = site.get_or_insert_with(Site::new);
        let (asked, now) = (&site.asked, site.now);
        let taken = site.take(octets, None);
        assert_ne!(taken, Err(FetchError::Disputed));
        let Ok(read) = OcspResponse::parse(octets) else {
            assert!(matches!(taken, Err(FetchError::Unreadable(_))), "what cannot be read is taken");
            return;
        };
        let about = read.about(&asked.subject, &asked.above[0]);
        let theirs = OpenSslResponse::from_der(octets).and_then(|response| response.basic());
        if let (Some(about), Ok(theirs)) = (about, theirs) {
            openssl_finds(about, &theirs, asked);
        }
        if let Ok((this_update, next_update)) = taken {
            let status = about.expect("it was taken for what it says").status;
            assert!(site.was_signed(this_update, status), "nobody signed {status:?} of {}", this_update - now);
            assert_eq!(next_update, this_update + LIFETIME);
        }
        if site.take(octets, Some((&NONCE, Nonce::Require))).is_ok() {
            let answer = SIGNED.iter().find(|signed| signed.with_nonce).map(|signed| now - signed.before);
            assert_eq!(taken.as_ref().map(|times| times.0).ok(), answer, "an answer to another question is taken");
        }
        match site.judge(octets) {
            None => assert!(taken.is_err(), "what is kept of a fetch spoils the store"),
            Some(Ok(this_update)) => assert!(site.was_signed(this_update, CertStatus::Good)),
            Some(Err(SignerError::Revoked)) => {
                let about = about.expect("it revokes for what it says");
                assert!(site.was_signed(about.this_update, CertStatus::Revoked));
            }
            Some(Err(error)) => {
                assert_eq!(error, SignerError::RevocationStale);
                assert!(taken.is_err(), "what is kept of a fetch does not serve");
            }
        }
    });
}
