//! The private key of an encryption pair as an authority hands it, in whichever of its two forms.

use std::path::Path;

use clap::ValueEnum;
use yanqian_messages::{MessageError, Sm2EnvelopedKey, enveloped_key_from_blob, is_enveloped_key_blob};

/// How the wrapped key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Whichever the first octets say
    Auto,
    /// DER `SM2EnvelopedKey` (GB/T 35276-2017 §7.4)
    Sm2EnvelopedKey,
    /// `ENVELOPEDKEYBLOB` of smart keys (GM/T 0016-2012 §6.4.10)
    EnvelopedKeyBlob,
}

/// DER `SM2EnvelopedKey`, whatever the file holds; else what is wrong with it.
pub(super) fn to_der(form: Form, octets: Vec<u8>, file: &Path) -> Result<Vec<u8>, String> {
    let fail = |problem: &dyn std::fmt::Display| format!("{}: {problem}", file.display());
    let is_blob = match form {
        Form::Auto => is_enveloped_key_blob(&octets),
        Form::Sm2EnvelopedKey => false,
        Form::EnvelopedKeyBlob => true,
    };
    if is_blob {
        return enveloped_key_from_blob(&octets).map(|key| key.to_der()).map_err(|error| fail(&error));
    }
    match Sm2EnvelopedKey::from_der(&octets) {
        // Handed on as it came: some tokens take no other writing of the same, and may know a cipher that is not published.
        Ok(_) | Err(MessageError::Algorithm(_)) => Ok(octets),
        Err(error) => Err(fail(&format_args!("neither ENVELOPEDKEYBLOB nor SM2EnvelopedKey: {error}"))),
    }
}
