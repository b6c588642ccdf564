use yanqian_evidence::{Context, ToBeSigned};
use yanqian_messages::{Certificate, SignedAttributes};
use yanqian_sm::{DistinguishingId, E, Signature, verify};
use yanqian_vocabulary::{KeyId, Timestamp};

use crate::case::Part;
use crate::evidence::Evidence;
use crate::report::Held;
use crate::trust::Trust;
use crate::x509::{allows_below, check_itself, is_issued_by};

/// Finds the certificates that the context names, and that the signing one holds the key that it names.
pub(crate) fn certificate(context: &Context, evidence: &Evidence<'_>) -> Result<(Certificate, String), String> {
    let ours = evidence.certificate(context.certificate, "the entity's signing certificate")?;
    if KeyId::new(ours.key_id()) != context.key {
        return Err("the entity's certificate holds another key than the one that the records name".to_owned());
    }
    let may_sign = ours.key_usage().is_some_and(|usage| usage.digital_signature || usage.non_repudiation);
    if !may_sign || ours.is_ca() {
        return Err("the entity's certificate may not sign".to_owned());
    }
    if let Some(hash) = context.encryption_certificate {
        let encryption = evidence.certificate(hash, "the entity's encryption certificate")?;
        if context.encryption_key.is_some_and(|key| key != KeyId::new(encryption.key_id())) {
            return Err("the encryption certificate holds another key than the one that the records name".to_owned());
        }
    }
    let says = format!("the entity's certificate and key are those that the records name ({})", ours.subject());
    Ok((ours, says))
}

/// Our signature over what the record before it said would be signed.
pub(crate) fn signature(part: &Part<'_>, ours: &Certificate) -> Held {
    let recorded = part.signature.ok_or("the record holds no signature, and one was needed")?;
    let key = ours.public_key().ok_or("the entity's key is not an SM2 key, which this verifier does not support")?;
    let signature = Signature::from_der(recorded.signature.as_bytes())
        .map_err(|error| format!("the request's signature: {error}"))?;
    let (e, what) = match (part.to_be_signed, &recorded.attributes) {
        (ToBeSigned::Attributes { der }, Some(sent)) if der == sent => {
            let attributes = SignedAttributes::from_der(der.as_bytes())
                .map_err(|error| format!("the request's signed attributes: {error}"))?;
            if attributes.message_digest() != part.request.as_bytes() {
                return Err("the signed attributes name another request than the intent".to_owned());
            }
            let e = E::of_message(key, &DistinguishingId::default(), &[der.as_bytes()]);
            (e, "over the attributes that name the request's digest")
        }
        (ToBeSigned::Content { e }, None) => {
            (E::from_digest(*e.as_bytes()), "over the digest e of the request that the intent announced")
        }
        _ => return Err("what was signed is not what the intent announced".to_owned()),
    };
    verify(key, &e, &signature).map_err(|_| "the entity's signature over the request does not verify".to_owned())?;
    Ok(format!("the entity's signature {what} verifies with its certificate's key"))
}

/// The entity's certificate, up to an anchor of `entity-anchors/`.
pub(crate) fn chain(ours: &Certificate, evidence: &Evidence<'_>, trust: &Trust, at: Timestamp) -> Held {
    if trust.entity_anchors.is_empty() {
        return Err("the trust directory holds no entity-anchors/, so nobody vouches for the entity".to_owned());
    }
    check_itself(ours, at).map_err(|error| format!("the entity's certificate: {error}"))?;
    let problem = |authority: &Certificate, error| format!("{}: {error}", authority.subject());
    let mut anchored = None;
    let path = std::iter::once(ours).chain(&evidence.above_entity);
    for (below, current) in path.enumerate() {
        if below > 0 {
            check_itself(current, at).map_err(|error| problem(current, error))?;
            allows_below(current, below - 1).map_err(|error| problem(current, error))?;
        }
        anchored = trust.entity_anchors.iter().find(|anchor| is_issued_by(current, anchor).is_ok());
        if let Some(anchor) = anchored {
            check_itself(anchor, at).map_err(|error| problem(anchor, error))?;
            allows_below(anchor, below).map_err(|error| problem(anchor, error))?;
            break;
        }
    }
    let anchor = anchored.ok_or("the entity's certificate does not chain to an anchor of entity-anchors/")?;
    Ok(format!("the entity's certificate chains to the anchor {} and was valid at {at}", anchor.subject()))
}
