//! Revocation lists as an authority, or somebody on the way, may leave them in the trust store. The daemon follows the store;
//! each list is put in place of the good one, seen to stop every answer, and taken away again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::CrlNumber;
use openssl::x509::{X509, X509CrlBuilder, X509Extension, X509RevokedBuilder};
use time::OffsetDateTime;
use yanqian_harness::{HarnessError, Reply};
use yanqian_platform::StepName;
use yanqian_vocabulary::Reason;

use crate::drill::{Drill, Trial};
use crate::rows::{Check, Row, Subject};

/// How long the daemon may take to see a change.
const SOON: Duration = Duration::from_secs(20);
const HOUR: i64 = 3600;

/// A certificate with its key.
struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// What lists are made of.
struct Bench {
    root: Authority,
    issuing: Authority,
    other: Authority,
    signer: BigNum,
}

/// A list before it is signed.
struct List<'a> {
    /// In whose name.
    issuer: &'a Authority,
    /// Whose key signs.
    by: &'a Authority,
    revoked: Vec<BigNum>,
    /// Seconds from now.
    last: i64,
    next: i64,
    delta: bool,
}

impl<'a> List<'a> {
    fn of(issuer: &'a Authority) -> Self {
        Self { issuer, by: issuer, revoked: Vec::new(), last: -60, next: 24 * HOUR, delta: false }
    }

    fn pem(self) -> Result<Vec<u8>, ErrorStack> {
        let at = |seconds| Asn1Time::from_unix(OffsetDateTime::now_utc().unix_timestamp() + seconds);
        let mut builder = X509CrlBuilder::new()?;
        builder.set_issuer_name(self.issuer.certificate.subject_name())?;
        let last = at(self.last)?;
        builder.set_last_update(&last)?;
        builder.set_next_update(&*at(self.next)?)?;
        for serial in &self.revoked {
            let mut revoked = X509RevokedBuilder::new()?;
            revoked.set_serial_number(&*Asn1Integer::from_bn(serial)?)?;
            revoked.set_revocation_date(&last)?;
            builder.add_revoked(revoked.build())?;
        }
        if !self.revoked.is_empty() {
            builder.sort()?;
        }
        let id = self.issuer.certificate.subject_key_id().map(|id| id.as_slice().to_vec()).unwrap_or_default();
        let length = u8::try_from(id.len()).unwrap_or(0);
        let der = [&[0x30, length + 2, 0x80, length][..], &id].concat();
        let (oid, value) = (Asn1Object::from_str("2.5.29.35")?, Asn1OctetString::new_from_bytes(&der)?);
        builder.append_extension(X509Extension::new_from_der(&oid, false, &value)?)?;
        builder.append_extension(CrlNumber::new(BigNum::from_u32(2)?)?.build()?)?;
        if self.delta {
            // RFC 5280 §5.2.4: base number 1.
            let (oid, base) = (Asn1Object::from_str("2.5.29.27")?, Asn1OctetString::new_from_bytes(&[2, 1, 1])?);
            builder.append_extension(X509Extension::new_from_der(&oid, true, &base)?)?;
        }
        builder.sign(&self.by.key, MessageDigest::sm3())?;
        builder.build()?.to_pem()
    }
}

/// Which list is replaced.
#[derive(Clone, Copy)]
enum Of {
    Root,
    Issuing,
}

/// None: the list is missing.
type Content = Option<Vec<u8>>;

struct Case {
    name: &'static str,
    of: Of,
    stopped: Option<(Check, Reason)>,
    make: fn(&Bench) -> Result<Content, ErrorStack>,
}

const fn case(name: &'static str, of: Of, reason: Reason, make: fn(&Bench) -> Result<Content, ErrorStack>) -> Case {
    let check = match reason {
        Reason::PlatformTrustUnusable => Check::Store,
        _ => Check::Step(StepName::Revocation),
    };
    Case { name, of, stopped: Some((check, reason)), make }
}

use Reason::{PlatformRevocationStale as Stale, PlatformSignerRevoked as Revoked, PlatformTrustUnusable as Unusable};

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("list/missing", Of::Issuing, Stale, |_| Ok(None)),
    case("list/of-the-root-missing", Of::Root, Stale, |_| Ok(None)),
    case("list/expired", Of::Issuing, Stale, |b| List { last: -2 * HOUR, next: -HOUR, ..List::of(&b.issuing) }.pem().map(Some)),
    case("list/of-the-root-expired", Of::Root, Stale, |b| List { last: -2 * HOUR, next: -HOUR, ..List::of(&b.root) }.pem().map(Some)),
    case("list/from-the-future", Of::Issuing, Stale, |b| List { last: HOUR, ..List::of(&b.issuing) }.pem().map(Some)),
    case("list/of-another-issuer", Of::Issuing, Stale, |b| List::of(&b.other).pem().map(Some)),
    case("list/of-the-issuers-issuer", Of::Issuing, Stale, |b| List::of(&b.root).pem().map(Some)),
    case("list/signed-by-another-key", Of::Issuing, Stale, |b| List { by: &b.other, ..List::of(&b.issuing) }.pem().map(Some)),
    case("list/signed-by-the-root", Of::Issuing, Stale, |b| List { by: &b.root, ..List::of(&b.issuing) }.pem().map(Some)),
    case("list/signature-altered", Of::Issuing, Stale, |b| { let mut der = openssl::x509::X509Crl::from_pem(&List::of(&b.issuing).pem()?)?.to_der()?; if let Some(last) = der.last_mut() { *last ^= 1; } Ok(Some(der)) }),
    case("list/delta-only", Of::Issuing, Unusable, |b| List { delta: true, ..List::of(&b.issuing) }.pem().map(Some)),
    case("list/garbage", Of::Issuing, Unusable, |_| Ok(Some(b"0\x82\xff\xffnot a list".to_vec()))),
    case("list/empty-file", Of::Issuing, Unusable, |_| Ok(Some(Vec::new()))),
    case("list/larger-than-a-file-may-be", Of::Issuing, Unusable, |_| Ok(Some(vec![b' '; (16 << 20) + 1]))),
    case("list/with-the-signer", Of::Issuing, Revoked, |b| List { revoked: vec![b.signer.to_owned()?], ..List::of(&b.issuing) }.pem().map(Some)),
    case("list/with-the-signer-and-expired", Of::Issuing, Revoked, |b| List { revoked: vec![b.signer.to_owned()?], last: -2 * HOUR, next: -HOUR, ..List::of(&b.issuing) }.pem().map(Some)),
    case("list/with-the-signer-among-thousands", Of::Issuing, Revoked, |b| { let mut revoked = thousands()?; revoked.push(b.signer.to_owned()?); List { revoked, ..List::of(&b.issuing) }.pem().map(Some) }),
    case("list/with-the-intermediate", Of::Root, Revoked, |b| { let serial = b.issuing.certificate.serial_number().to_bn()?; List { revoked: vec![serial], ..List::of(&b.root) }.pem().map(Some) }),
    Case { name: "honest/list-of-thousands-of-others", of: Of::Issuing, stopped: None, make: |b| List { revoked: thousands()?, ..List::of(&b.issuing) }.pem().map(Some) },
];

fn thousands() -> Result<Vec<BigNum>, ErrorStack> {
    (1..=20_000).map(BigNum::from_u32).collect()
}

/// Each list in turn; the store is whole between two, so that it is known which of them stops an answer.
pub(crate) async fn run(drill: &Drill) -> Result<Vec<Trial>, HarnessError> {
    let bench = bench(drill)?;
    let mut trials = Vec::new();
    for case in CASES {
        let content = (case.make)(&bench).map_err(|error| failed(case.name, &error))?;
        let place = Place::of(drill, case.of)?;
        let good = drill.lists(&drill.ask(Subject::Fields).await?)?;
        place.put(content)?;
        let row = Row { name: case.name, stopped: case.stopped, subject: Subject::Fields, patient: false };
        let reply = changed(drill, |reply| Ok(reply.code() != "match" || drill.lists(reply)? != good)).await?;
        trials.push(Trial { row, how: "alone", problem: drill.judge_alone(row, &reply)? });
        place.put(Some(place.good.clone()))?;
        changed(drill, |reply| Ok(reply.code() == "match")).await?;
    }
    Ok(trials)
}

/// The first reply after the daemon saw a change, or the last when it never did.
async fn changed(drill: &Drill, is: impl Fn(&Reply) -> Result<bool, HarnessError>) -> Result<Reply, HarnessError> {
    let began = Instant::now();
    loop {
        let reply = drill.ask(Subject::Fields).await?;
        if is(&reply)? || began.elapsed() > SOON {
            return Ok(reply);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A list in the daemon's trust store.
struct Place {
    file: PathBuf,
    good: Vec<u8>,
}

impl Place {
    fn of(drill: &Drill, of: Of) -> Result<Self, HarnessError> {
        let name = match of {
            Of::Root => "root",
            Of::Issuing => "issuing",
        };
        let file = drill.site.places().trust().join(format!("crls/{name}.pem"));
        let good = std::fs::read(&file).map_err(|error| failed(name, &error))?;
        Ok(Self { file, good })
    }

    fn put(&self, content: Content) -> Result<(), HarnessError> {
        let done = match content {
            None => std::fs::remove_file(&self.file),
            Some(content) => {
                let new = self.file.with_file_name(".new");
                std::fs::write(&new, content).and_then(|()| std::fs::rename(new, &self.file))
            }
        };
        done.map_err(|error| failed(&self.file.display().to_string(), &error))
    }
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> HarnessError {
    HarnessError::Unexpected(format!("{what}: {error}"))
}

fn bench(drill: &Drill) -> Result<Bench, HarnessError> {
    let pki = drill.site.places().pki();
    let read =
        |file: &std::path::Path| std::fs::read(file).map_err(|error| failed(&file.display().to_string(), &error));
    let authority = |name: &str| {
        let pair = pki.platform(name);
        let (certificate, key) = (read(&pair.certificate)?, read(&pair.key)?);
        let made = || Ok::<_, ErrorStack>((X509::from_pem(&certificate)?, PKey::private_key_from_pem(&key)?));
        let (certificate, key) = made().map_err(|error| failed(name, &error))?;
        Ok::<_, HarnessError>(Authority { certificate, key })
    };
    let signer = authority("signing")?.certificate.serial_number().to_bn().map_err(|error| failed("serial", &error))?;
    Ok(Bench { root: authority("root")?, issuing: authority("issuing")?, other: authority("other-ca")?, signer })
}
