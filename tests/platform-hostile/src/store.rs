//! Revocation lists and responses as an authority, or somebody on the way, may leave them in the trust store. The daemon follows
//! the store; each is put in place of the good one, seen to stop every answer, and taken away again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use openssl::x509::X509Crl;
use yanqian_devpki::{DevPkiError, OcspSingle, OcspStatus, ocsp_error};
use yanqian_harness::{HarnessError, Reply};
use yanqian_platform::StepName;
use yanqian_vocabulary::Reason;

use crate::authority::{AUTHORITIES_ONLY, Bench, DELTA, HOUR, INDIRECT, List, SOME_REASONS, failed, moment, thousands};
use crate::drill::{Drill, Trial};
use crate::rows::{Check, Row, Subject};

/// How long the daemon may take to see a change.
const SOON: Duration = Duration::from_secs(20);

/// What is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Root,
    Issuing,
    /// What the responder said of the signer.
    Response,
}

/// None: it is missing.
type Content = Result<Option<Vec<u8>>, DevPkiError>;

struct Case {
    name: &'static str,
    of: Of,
    stopped: Option<(Check, Reason)>,
    make: fn(&Bench) -> Content,
}

const fn case(name: &'static str, of: Of, reason: Reason, make: fn(&Bench) -> Content) -> Case {
    let check = match reason {
        Reason::PlatformTrustUnusable => Check::Store,
        _ => Check::Step(StepName::Revocation),
    };
    Case { name, of, stopped: Some((check, reason)), make }
}

fn pem(list: List<'_>) -> Content {
    Ok(Some(list.pem()?))
}

/// The issuing authority's own word, in its own name.
fn said(bench: &Bench, singles: &[OcspSingle]) -> Result<Vec<u8>, DevPkiError> {
    bench.issuing.responder().answer(singles, None, moment())
}

use Reason::{PlatformRevocationStale as Stale, PlatformSignerRevoked as Revoked, PlatformTrustUnusable as Unusable};

#[rustfmt::skip]
const LISTS: &[Case] = &[
    case("list/missing", Of::Issuing, Stale, |_| Ok(None)),
    case("list/of-the-root-missing", Of::Root, Stale, |_| Ok(None)),
    case("list/expired", Of::Issuing, Stale, |b| pem(List::of(&b.issuing).expired())),
    case("list/of-the-root-expired", Of::Root, Stale, |b| pem(List::of(&b.root).expired())),
    case("list/from-the-future", Of::Issuing, Stale, |b| pem(List { last: HOUR, ..List::of(&b.issuing) })),
    case("list/of-another-issuer", Of::Issuing, Stale, |b| pem(List::of(&b.other))),
    case("list/of-the-issuers-issuer", Of::Issuing, Stale, |b| pem(List::of(&b.root))),
    case("list/signed-by-another-key", Of::Issuing, Stale, |b| pem(List { by: &b.other, ..List::of(&b.issuing) })),
    case("list/signed-by-another-of-the-same-name", Of::Issuing, Stale, |b| pem(List::of(&b.namesake))),
    case("list/signed-by-the-root", Of::Issuing, Stale, |b| pem(List { by: &b.root, ..List::of(&b.issuing) })),
    case("list/signature-altered", Of::Issuing, Stale, |b| { let mut der = X509Crl::from_pem(&List::of(&b.issuing).pem()?)?.to_der()?; if let Some(last) = der.last_mut() { *last ^= 1; } Ok(Some(der)) }),
    case("list/delta-only", Of::Issuing, Unusable, |b| pem(List { critical: DELTA, ..List::of(&b.issuing) })),
    case("list/indirect", Of::Issuing, Unusable, |b| pem(List { critical: INDIRECT, ..List::of(&b.issuing) })),
    case("list/of-some-reasons-only", Of::Issuing, Unusable, |b| pem(List { critical: SOME_REASONS, ..List::of(&b.issuing) })),
    case("list/of-authorities-only", Of::Issuing, Unusable, |b| pem(List { critical: AUTHORITIES_ONLY, ..List::of(&b.issuing) })),
    case("list/garbage", Of::Issuing, Unusable, |_| Ok(Some(b"0\x82\xff\xffnot a list".to_vec()))),
    case("list/empty-file", Of::Issuing, Unusable, |_| Ok(Some(Vec::new()))),
    case("list/larger-than-a-file-may-be", Of::Issuing, Unusable, |_| Ok(Some(vec![b' '; (16 << 20) + 1]))),
    case("list/with-the-signer", Of::Issuing, Revoked, |b| pem(List { revoked: vec![b.serial()?], ..List::of(&b.issuing) })),
    case("list/with-the-signer-and-expired", Of::Issuing, Revoked, |b| pem(List { revoked: vec![b.serial()?], ..List::of(&b.issuing).expired() })),
    case("list/with-the-signer-among-thousands", Of::Issuing, Revoked, |b| { let mut revoked = thousands()?; revoked.push(b.serial()?); pem(List { revoked, ..List::of(&b.issuing) }) }),
    case("list/with-the-intermediate", Of::Root, Revoked, |b| { let serial = b.issuing.certificate.serial_number().to_bn()?; pem(List { revoked: vec![serial], ..List::of(&b.root) }) }),
    Case { name: "honest/list-of-thousands-of-others", of: Of::Issuing, stopped: None, make: |b| pem(List { revoked: thousands()?, ..List::of(&b.issuing) }) },
];

/// Where the responder decides. What travels to it, and whose word counts, is tried over HTTP.
#[rustfmt::skip]
const RESPONSES: &[Case] = &[
    case("response/missing", Of::Response, Stale, |_| Ok(None)),
    case("response/expired", Of::Response, Stale, |b| said(b, &[b.says(OcspStatus::Good, -2 * HOUR, -HOUR)?]).map(Some)),
    case("response/from-the-future", Of::Response, Stale, |b| said(b, &[b.says(OcspStatus::Good, HOUR, 2 * HOUR)?]).map(Some)),
    case("response/unknown", Of::Response, Stale, |b| said(b, &[b.says(OcspStatus::Unknown, -60, HOUR)?]).map(Some)),
    case("response/good-and-revoked", Of::Response, Stale, |b| said(b, &[b.good()?, b.says(OcspStatus::Revoked, -60, HOUR)?]).map(Some)),
    case("response/signed-by-another-key", Of::Response, Stale, |b| b.namesake.responder().answer(&[b.good()?], None, moment()).map(Some)),
    case("response/signature-altered", Of::Response, Stale, |b| { let mut der = said(b, &[b.good()?])?; if let Some(last) = der.last_mut() { *last ^= 1; } Ok(Some(der)) }),
    case("response/an-error", Of::Response, Unusable, |_| Ok(Some(ocsp_error(3)))),
    case("response/garbage", Of::Response, Unusable, |_| Ok(Some(b"not a response".to_vec()))),
    case("response/revoked", Of::Response, Revoked, |b| said(b, &[b.says(OcspStatus::Revoked, -60, HOUR)?]).map(Some)),
    case("response/revoked-and-expired", Of::Response, Revoked, |b| said(b, &[b.says(OcspStatus::Revoked, -2 * HOUR, -HOUR)?]).map(Some)),
];

/// Names of these rows.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    LISTS.iter().chain(RESPONSES).map(|case| case.name)
}

/// Each list, and each response, in turn; the store is whole between two, so that it is known which of them stops an answer.
pub(crate) async fn run(drill: &mut Drill, bench: &Bench) -> Result<Vec<Trial>, HarnessError> {
    let mut trials = replace_each(drill, bench, LISTS).await?;
    let folder = drill.site.places().trust().join("ocsp");
    let response = said(bench, &[bench.good().map_err(|error| failed("response", &error))?]);
    let response = response.map_err(|error| failed("response", &error))?;
    std::fs::create_dir(&folder).map_err(|error| failed("ocsp/", &error))?;
    std::fs::write(folder.join("signer.der"), response).map_err(|error| failed("ocsp/", &error))?;
    drill.restart_with(&[("signer", "ocsp".into())]).await?;
    trials.extend(replace_each(drill, bench, RESPONSES).await?);
    std::fs::remove_dir_all(&folder).map_err(|error| failed("ocsp/", &error))?;
    Ok(trials)
}

async fn replace_each(drill: &Drill, bench: &Bench, cases: &[Case]) -> Result<Vec<Trial>, HarnessError> {
    let mut trials = Vec::new();
    for case in cases {
        let content = (case.make)(bench).map_err(|error| failed(case.name, &error))?;
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
pub(crate) async fn changed(
    drill: &Drill,
    is: impl Fn(&Reply) -> Result<bool, HarnessError>,
) -> Result<Reply, HarnessError> {
    let began = Instant::now();
    loop {
        let reply = drill.ask(Subject::Fields).await?;
        // The store could no longer be used when the answer to this very check came; the next one tells.
        let between = reply.code() == Reason::PlatformUnproven.code();
        if (!between && is(&reply)?) || began.elapsed() > SOON {
            return Ok(reply);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A list or response in the daemon's trust store.
struct Place {
    file: PathBuf,
    good: Vec<u8>,
}

impl Place {
    fn of(drill: &Drill, of: Of) -> Result<Self, HarnessError> {
        let name = match of {
            Of::Root => "crls/root.pem",
            Of::Issuing => "crls/issuing.pem",
            Of::Response => "ocsp/signer.der",
        };
        let file = drill.site.places().trust().join(name);
        let good = std::fs::read(&file).map_err(|error| failed(name, &error))?;
        Ok(Self { file, good })
    }

    fn put(&self, content: Option<Vec<u8>>) -> Result<(), HarnessError> {
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
