use yanqian_evidence::{Revocation, RevocationKind};
use yanqian_messages::{Certificate, PinRole};
use yanqian_vocabulary::{CertificateHash, Timestamp};

use crate::answer::{SignedAnswer, open};
use crate::case::Part;
use crate::evidence::Evidence;
use crate::ocsp::Ocsp;
use crate::report::{Held, Report};
use crate::trust::Trust;
use crate::x509::{Coverage, Crl, Disbelief, allows_below, check_itself, is_issued_by};

/// What all of these steps look at.
pub(crate) struct Sight<'a> {
    pub(crate) evidence: &'a Evidence<'a>,
    pub(crate) trust: &'a Trust,
    pub(crate) at: Timestamp,
}

/// Proves one answer as far as the record says that it was accepted. Gives the signed answer where its signature holds.
pub(crate) fn prove<'a>(report: &mut Report, part: &Part<'a>, sight: &Sight<'_>) -> Option<SignedAnswer<'a>> {
    let name = part.name;
    if !part.claims("signer") && part.signer.is_none() {
        let says = if part.answer.is_some() { "nothing of what came back was accepted" } else { "no answer came" };
        report.skip("answer", name, says);
        return None;
    }
    let signer = match signer(part) {
        Ok(signer) => signer,
        Err(says) => {
            report.note("platform-signer", name, Err(says));
            return None;
        }
    };
    // The signature first: everything after it is about words that are somebody's.
    let opened = answer_signature(report, part, &signer);
    if let Some(opened) = &opened {
        report.note("answer-binding", name, binding(part, opened));
    }
    if part.claims("signer") {
        report.note("platform-signer", name, pinned(&signer, sight.trust, part.claims("key-usage")));
    } else {
        report.skip("platform-signer", name, "the record says that the signer was refused");
    }
    if !part.claims("chain") {
        report.skip("platform-chain", name, "the record says that no chain was accepted");
        return opened;
    }
    match chain(part, &signer, sight) {
        Err(says) => {
            report.note("platform-chain", name, Err(says));
        }
        Ok((chain, says)) => {
            report.note("platform-chain", name, Ok(says));
            if part.claims("revocation") {
                report.note("revocation", name, revocation(part, &signer, &chain, sight));
            } else {
                report.skip("revocation", name, "the record says that the signer was refused for its revocation data");
            }
        }
    }
    opened
}

fn answer_signature<'a>(report: &mut Report, part: &Part<'a>, signer: &Certificate) -> Option<SignedAnswer<'a>> {
    const STEP: &str = "answer-signature";
    if !part.claims("signature") {
        report.skip(STEP, part.name, "the answer was refused before its signature was accepted");
        return None;
    }
    let answer = part.answer.ok_or_else(|| "the record holds no answer, and one was needed".to_owned());
    match answer.and_then(|answer| open(answer, signer)) {
        Ok(opened) => {
            let says = "the platform's signature covers the answer's object exactly as it was received";
            report.note(STEP, part.name, Ok(says.to_owned()));
            Some(opened)
        }
        Err(says) => {
            report.note(STEP, part.name, Err(says));
            None
        }
    }
}

fn signer(part: &Part<'_>) -> Result<Certificate, String> {
    let recorded = part.signer.ok_or("the record names no signer of the answer, and one was needed")?;
    let signer = Certificate::from_der(recorded.certificate.as_bytes())
        .map_err(|error| format!("the platform signer's certificate: {error}"))?;
    if CertificateHash::new(signer.hash()) != recorded.hash {
        return Err("the record names another certificate than the one it holds for the platform's signer".to_owned());
    }
    Ok(signer)
}

fn pinned(signer: &Certificate, trust: &Trust, usage: bool) -> Held {
    if !trust.pins.allow(PinRole::Signing, signer) {
        return Err(format!("{} is not pinned in signers.toml", signer.subject()));
    }
    let may_sign = signer.key_usage().is_some_and(|usage| usage.digital_signature || usage.non_repudiation);
    if usage && (!may_sign || signer.is_ca()) {
        return Err(format!("the certificate of {} may not sign answers", signer.subject()));
    }
    Ok(format!("the signer is pinned and may sign ({})", signer.subject()))
}

/// The chain that the record names, link by link to an anchor of the trust directory.
fn chain(part: &Part<'_>, signer: &Certificate, sight: &Sight<'_>) -> Result<(Vec<Certificate>, String), String> {
    let chain = (part.chain.iter())
        .map(|hash| sight.evidence.certificate(*hash, "a certificate of the platform's chain"))
        .collect::<Result<Vec<_>, _>>()?;
    let anchor = chain.last().ok_or("the record names no chain, and one was needed")?;
    let known =
        |known: &&Certificate| known.subject_der() == anchor.subject_der() && known.spki_der() == anchor.spki_der();
    let anchor = sight.trust.anchors.iter().find(known);
    let anchor = anchor.ok_or("the chain does not end at an anchor of the trust directory")?;
    let problem =
        |certificate: &Certificate, error: crate::x509::Disbelief| format!("{}: {error}", certificate.subject());
    for (below, (certificate, issuer)) in std::iter::once(signer).chain(&chain).zip(&chain).enumerate() {
        is_issued_by(certificate, issuer).map_err(|error| problem(certificate, error))?;
        check_itself(certificate, sight.at).map_err(|error| problem(certificate, error))?;
        allows_below(issuer, below).map_err(|error| problem(issuer, error))?;
    }
    check_itself(anchor, sight.at).map_err(|error| problem(anchor, error))?;
    let says =
        format!("the signer's certificate chains to the anchor {} and was valid at {}", anchor.subject(), sight.at);
    Ok((chain, says))
}

/// The revocation data as used: for each certificate but the anchor those of its issuer, in the chain's order.
fn revocation(part: &Part<'_>, signer: &Certificate, chain: &[Certificate], sight: &Sight<'_>) -> Held {
    let mut recorded = Recorded { left: part.revocation, sight };
    for (place, (subject, issuer)) in std::iter::once(signer).chain(chain).zip(chain).enumerate() {
        let problem = |error: String| format!("the revocation data of {}: {error}", issuer.subject());
        recorded.clear(subject, &chain[place..]).map_err(problem)?;
    }
    if !recorded.left.is_empty() {
        return Err("the record names revocation data of nothing in the chain".to_owned());
    }
    Ok(format!("the revocation data that were used are signed, cover {}, and revoke nothing in the chain", sight.at))
}

/// Revocation data that the record names and nothing has used yet.
struct Recorded<'a> {
    left: &'a [Revocation],
    sight: &'a Sight<'a>,
}

impl<'a> Recorded<'a> {
    /// The next, if it is of this kind and about certificates of this issuer.
    fn take(&mut self, kind: RevocationKind, issuer: &Certificate) -> Option<&'a Revocation> {
        let (next, left) = self.left.split_first()?;
        let wanted = next.kind == kind && next.issuer.as_bytes() == issuer.subject_der();
        wanted.then(|| {
            self.left = left;
            next
        })
    }

    /// Takes a response, a list, or both, which must clear the certificate. The list clears a responder that needs one, too.
    fn clear(&mut self, subject: &Certificate, above: &[Certificate]) -> Result<(), String> {
        let issuer = above.first().ok_or("there is no issuer")?;
        let text = |error: Disbelief| error.to_string();
        let (at, grace) = (self.sight.at, self.sight.trust.grace_seconds);
        let (response, list) = (self.take(RevocationKind::Ocsp, issuer), self.take(RevocationKind::Crl, issuer));
        let mut to_clear = vec![subject.clone()];
        if let Some(recorded) = response {
            let response = Ocsp::read(self.sight.evidence.list(recorded.hash)?).map_err(text)?;
            quotes(recorded, response.coverage(subject, issuer).map_err(text)?)?;
            let responder = response.clears(subject, above, at, grace).map_err(text)?;
            if responder.is_some() && list.is_none() {
                return Err("the record names none that clears the responder".to_owned());
            }
            to_clear.extend(responder);
        } else if list.is_none() {
            return Err("the record names none".to_owned());
        }
        if let Some(recorded) = list {
            let list = Crl::read(self.sight.evidence.list(recorded.hash)?).map_err(text)?;
            quotes(recorded, list.coverage())?;
            for certificate in &to_clear {
                list.clears(certificate, issuer, at, grace).map_err(text)?;
            }
        }
        Ok(())
    }
}

/// Whether the record says of revocation data what they say themselves.
fn quotes(recorded: &Revocation, says: Coverage) -> Result<(), String> {
    let same = (recorded.this_update, recorded.next_update) == (says.this_update, says.next_update);
    if same { Ok(()) } else { Err("the record says other things of it than it does itself".to_owned()) }
}

/// Whether the answer names this request.
fn binding(part: &Part<'_>, signed: &SignedAnswer<'_>) -> Held {
    if part.claims("nonce") && !signed.names(part.nonce.as_bytes()) {
        return Err("the answer does not name the request's nonce".to_owned());
    }
    if part.claims("digest") && !signed.names(part.request.as_bytes()) {
        return Err("the answer does not name the request's digest".to_owned());
    }
    if part.serial.is_some_and(|serial| !signed.says(serial)) {
        return Err("the answer does not name the serial that the record holds".to_owned());
    }
    if part.claims("nonce") && part.claims("digest") {
        Ok("the answer names this request's digest and nonce".to_owned())
    } else {
        Ok("the answer was refused because it is not shown to be about this request".to_owned())
    }
}
