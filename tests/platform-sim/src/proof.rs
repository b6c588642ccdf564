//! Proving an answer: the signature, and the message around it.

use time::OffsetDateTime;

use crate::der::{self, SET};
use crate::fault::{Cast, Change, Desk, Order, Pen};
use crate::form::Proof;
use crate::misbehave::Misbehaviour as M;
use crate::pki::{Pki, issuer_and_serial};
use crate::signed_data::{Message, attributes};
use crate::{Form, SimError, sm};

/// An answer on its way to being signed.
#[derive(Debug)]
pub(crate) struct Signing<'a> {
    pub(crate) form: Form,
    pub(crate) pki: &'a Pki,
    /// What is signed as content.
    pub(crate) signed: &'a [u8],
    /// The package as it goes out.
    pub(crate) sent: &'a [u8],
    pub(crate) at: OffsetDateTime,
    /// What was signed in the answer before.
    pub(crate) previous: Option<&'a [u8]>,
    /// Serial number of the signer's certificate, hexadecimal.
    pub(crate) serial: &'a str,
}

impl<'a> Signing<'a> {
    pub(crate) fn desk(&self, set: Option<&'a [u8]>) -> Desk<'a> {
        Desk { pki: self.pki, content: self.signed, set }
    }

    pub(crate) fn prove(&self, cast: &Cast, order: Option<Order>) -> Result<Proof, SimError> {
        let (form, change) = (self.form, order.and_then(Order::change));
        if !form.has_messages() {
            let mut signature = self.signature(cast, self.signed, change)?;
            spoil(&mut signature, form, order);
            return Ok(Proof::Bare { signature, serial: Some(self.serial.to_owned()) });
        }
        let with = form.attributes() != (order.and_then(Order::misbehaviour) == Some(M::AttributesMissing));
        let mut list = if with { Some(attributes(self.signed, self.at)?) } else { None };
        if let (Some(Change::Attributes(change)), Some(list)) = (change, &mut list) {
            change(list);
        }
        let set = list.map(|list| der::tlv(SET, &list.concat()));
        loop {
            let signature = self.signature(cast, set.as_deref().unwrap_or(self.signed), change)?;
            // What is no certificate names nobody; then the message names whom it should.
            let names =
                issuer_and_serial(&cast.certificates[0]).or_else(|_| issuer_and_serial(&self.pki.signing.der))?;
            let mut message = Message::new(names, set.as_deref(), &signature);
            message.certificates.clone_from(&cast.certificates);
            message.content = (form == Form::Attached).then(|| self.sent.to_vec());
            if let Some(Change::Message(change)) = change {
                let desk = Desk { pki: self.pki, content: self.signed, set: set.as_deref() };
                change(&mut message, &desk)?;
            }
            let mut der = message.to_der();
            if let Some(Change::Octets(change)) = change {
                change(&mut der);
            }
            spoil(&mut der, form, order);
            // Some faults of base64 are about its padding, so there is to be some.
            if !matches!(change, Some(Change::Envelope(_))) || !der.len().is_multiple_of(3) {
                return Ok(Proof::Message(der));
            }
        }
    }

    fn signature(&self, cast: &Cast, message: &[u8], change: Option<Change>) -> Result<Vec<u8>, SimError> {
        match change {
            Some(Change::Signature(change)) => {
                change(&Pen { key: &cast.key, message, content: self.signed, previous: self.previous })
            }
            _ => sm::sign(&cast.key, message),
        }
    }
}

/// Misbehaviours of the octets.
fn spoil(der: &mut Vec<u8>, form: Form, order: Option<Order>) {
    match order.and_then(Order::misbehaviour) {
        // Both end with the value s: still DER, another number.
        Some(M::BrokenSignature) => {
            if let Some(last) = der.last_mut() {
                *last ^= 1;
            }
        }
        // The content stands in the message as it was signed; a letter of it becomes another.
        Some(M::AlteredAfterSigning) if form == Form::Attached => {
            let at = der.windows(4).position(|window| window == b"\"SIM");
            if let Some(octet) = at.and_then(|at| der.get_mut(at + 1)) {
                *octet = b'T';
            }
        }
        // Too short for any form, also without its DER.
        Some(M::TruncatedDer) => der.truncate(der.len() / 2),
        Some(M::DerTrailingGarbage) => der.extend_from_slice(b"more"),
        _ => {}
    }
}
