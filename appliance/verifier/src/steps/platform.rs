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
        let problem = |error: &dyn std::fmt::Display| format!("the revocation data of {}: {error}", issuer.subject());
        let mut responded = recorded.clear(subject, &chain[place..]).map_err(|error| problem(&error))?;
        // Where list and responder both had to speak, both have to hold.
        while responded && recorded.next_is_by(issuer) {
            responded = recorded.clear(subject, &chain[place..]).map_err(|error| problem(&error))?;
        }
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

impl Recorded<'_> {
    fn next_is_by(&self, issuer: &Certificate) -> bool {
        self.left.first().is_some_and(|next| next.issuer.as_bytes() == issuer.subject_der())
    }

    /// Takes the next, which must clear the certificate; a responder that needs a list takes that too. True when it was a
    /// response, beside which a list may stand.
    fn clear(&mut self, subject: &Certificate, above: &[Certificate]) -> Result<bool, String> {
        let (Some((next, left)), Some(issuer)) = (self.left.split_first(), above.first()) else {
            return Err("the record names none".to_owned());
        };
        self.left = left;
        let octets = self.sight.evidence.list(next.hash)?;
        let text = |error: Disbelief| error.to_string();
        let (at, grace) = (self.sight.at, self.sight.trust.grace_seconds);
        let quoted = |says: Coverage| {
            let same = next.issuer.as_bytes() == issuer.subject_der()
                && (next.this_update, next.next_update) == (says.this_update, says.next_update);
            if same { Ok(()) } else { Err("the record says other things of it than it does itself".to_owned()) }
        };
        if next.kind == RevocationKind::Crl {
            let list = Crl::read(octets).map_err(text)?;
            quoted(list.coverage())?;
            list.clears(subject, issuer, at, grace).map_err(text)?;
            return Ok(false);
        }
        let response = Ocsp::read(octets).map_err(text)?;
        quoted(response.coverage(subject, issuer).map_err(text)?)?;
        if let Some(responder) = response.clears(subject, above, at, grace).map_err(text)? {
            self.clear(&responder, above).map_err(|error| format!("the responder's own: {error}"))?;
        }
        Ok(true)
    }
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
