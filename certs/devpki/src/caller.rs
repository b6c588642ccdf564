//! A client certificate of an internal system with a validity of one's own choice, for tests of what is out of date.

use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::X509;
use time::OffsetDateTime;

use crate::profile::{Identity, Purpose, Validity, create, name};
use crate::{DevPkiError, INTERNAL, Layout, Pair, files, save};

/// Issues a certificate for `{caller}.callers.example` from the internal CA, valid from `from` to `to`, with a new key, and
/// saves both as the pair of `file`.
pub fn issue_caller(
    layout: &Layout,
    file: &str,
    caller: &str,
    (from, to): (OffsetDateTime, OffsetDateTime),
) -> Result<Pair, DevPkiError> {
    let authority = layout.internal("ca");
    let issuer = Identity {
        certificate: X509::from_pem(&files::read(&authority.certificate)?)?,
        key: PKey::private_key_from_pem(&files::read(&authority.key)?)?,
    };
    let full = format!("{caller}.callers.example");
    let validity = Validity { not_before: from, not_after: to };
    let purpose = Purpose::Client { name: &full };
    let identity = create(Nid::X9_62_PRIME256V1, &*name(INTERNAL, &full)?, &purpose, validity, Some(&issuer))?;
    let pair = layout.caller(file);
    save(&pair, &identity)?;
    Ok(pair)
}
