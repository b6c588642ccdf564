//! Hostile input to everything that parses: files, ciphertexts, envelopes, templates. Nothing may panic, and nothing
//! that was changed may be taken for valid.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use cryptoki_sys::{
    CKA_CERTIFICATE_TYPE, CKA_CLASS, CKA_DECRYPT, CKA_EC_PARAMS, CKA_EC_POINT, CKA_EXTRACTABLE, CKA_ID, CKA_KEY_TYPE,
    CKA_LABEL, CKA_MODIFIABLE, CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN, CKA_START_DATE, CKA_TOKEN, CKA_VALUE,
    CKO_CERTIFICATE, CKO_DATA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKR_GENERAL_ERROR,
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::attribute::Template;
use crate::dialect::{Dialect, STORED_KEY_TYPE as CKK_SM2};
use crate::format::{Content, ObjectFile, RetryFile, TokenFile};
use crate::key::{PrivateKey, PublicKey, plaintext_length};
use crate::making::{self, Origin};
use crate::object::Object;
use crate::seal::{MasterKey, close_public, open_public};
use crate::{abi, envelope};

fn template(list: &[(u64, &[u8])]) -> Template {
    Template::new(list.iter().map(|(kind, value)| (*kind, Zeroizing::new(value.to_vec()))).collect()).unwrap()
}

fn on_token() -> Template {
    template(&[(CKA_TOKEN, &[1])])
}

fn own() -> Dialect {
    Dialect::load(None).unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::from_scalar(&[0x55; 32]).unwrap()
}

fn private() -> Object {
    making::private_key(&own(), on_token(), key(), Origin::Imported).unwrap()
}

fn public() -> Object {
    making::public_key(&own(), on_token(), key().public(), Origin::Imported).unwrap()
}

proptest! {
    #[test]
    fn arbitrary_octets_are_no_file_and_no_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = minicbor::decode::<TokenFile>(&octets);
        let _ = minicbor::decode::<RetryFile>(&octets);
        let _ = minicbor::decode::<Content>(&octets);
        if let Ok(file) = minicbor::decode::<ObjectFile>(&octets) {
            prop_assert!(open_public(&file).is_none());
        }
        let _ = plaintext_length(&octets);
        prop_assert!(envelope::open(&key(), &octets).is_none());
        prop_assert!(key().decrypt(&octets).is_err());
        let _ = PublicKey::from_point(&octets);
    }

    #[test]
    fn a_changed_object_file_never_opens(index in any::<proptest::sample::Index>(), bit in 0..8_u8) {
        let (token, id) = ([1; 16], [2; 16]);
        let master = MasterKey::generate().unwrap();
        for (file, sealed) in [
            (master.close(&token, &id, &private()).unwrap(), true),
            (close_public(&token, &id, &public()).unwrap(), false),
        ] {
            let open = |file: &ObjectFile| if sealed { master.open(file) } else { open_public(file) };
            prop_assert!(open(&file).is_some());
            let mut octets = minicbor::to_vec(&file).unwrap();
            let place = index.index(octets.len());
            octets[place] ^= 1 << bit;
            if let Ok(changed) = minicbor::decode::<ObjectFile>(&octets)
                && changed != file
                && changed.format == file.format
            {
                prop_assert!(open(&changed).is_none(), "octet {place}");
            }
        }
    }

    /// A valid template with some values replaced and some attributes added.
    #[test]
    fn a_template_of_anything_makes_a_guarded_object_or_an_error(
        class in prop_oneof![Just(CKO_PRIVATE_KEY), Just(CKO_PUBLIC_KEY), Just(CKO_CERTIFICATE), Just(CKO_DATA)],
        changes in proptest::collection::btree_map(
            prop_oneof![proptest::sample::select(KINDS.as_slice()), 0..0x0210_u64],
            prop_oneof![Just(vec![0]), Just(vec![1]), proptest::collection::vec(any::<u8>(), 0..70)],
            0..6,
        ),
    ) {
        let point = key().public().point().to_vec();
        let mut list = BTreeMap::from([(CKA_CLASS, class.to_ne_bytes().to_vec()), (CKA_TOKEN, vec![1])]);
        match class {
            CKO_PRIVATE_KEY => list.extend([(CKA_KEY_TYPE, CKK_SM2.to_ne_bytes().to_vec()), (CKA_VALUE, vec![0x55; 32])]),
            CKO_PUBLIC_KEY => list.extend([(CKA_KEY_TYPE, CKK_SM2.to_ne_bytes().to_vec()), (CKA_EC_POINT, point)]),
            _ => list.extend([(CKA_CERTIFICATE_TYPE, vec![0; 8]), (CKA_VALUE, vec![0x30, 0])]),
        }
        let unchanged = changes.is_empty();
        list.extend(changes);
        let list = list.into_iter().map(|(kind, value)| (kind, Zeroizing::new(value))).collect();
        let made = making::create(&own(), Template::new(list).unwrap());
        prop_assert!(!unchanged || made.is_ok() == (class != CKO_DATA));
        if let Ok(object) = made {
            let guarded = object.private() && object.is(CKA_SENSITIVE) && !object.is(CKA_EXTRACTABLE);
            let key = object.secret().is_some();
            prop_assert!(!key || (guarded && object.read(&own(), CKA_VALUE).is_err()));
            if object.on_token() {
                let master = MasterKey::generate().unwrap();
                let file = master.close(&[1; 16], &[2; 16], &object).unwrap();
                prop_assert_eq!(master.open(&file).is_some(), object.private());
            }
        }
    }
}

/// Attributes worth changing.
const KINDS: [u64; 16] = [
    CKA_CLASS,
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_LABEL,
    CKA_VALUE,
    CKA_KEY_TYPE,
    CKA_ID,
    CKA_SENSITIVE,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_EXTRACTABLE,
    CKA_MODIFIABLE,
    CKA_EC_PARAMS,
    CKA_EC_POINT,
    CKA_START_DATE,
    CKA_CERTIFICATE_TYPE,
];

#[test]
fn a_panic_inside_is_a_general_error_outside() {
    assert_eq!(abi::entry(|| panic!("on purpose")), CKR_GENERAL_ERROR);
}

#[test]
fn a_secret_in_a_public_body_is_refused() {
    let (token, id) = ([1; 16], [2; 16]);
    // A forger can write the digest of a public body, but must not smuggle a private key in as one.
    assert!(open_public(&close_public(&token, &id, &private()).unwrap()).is_none());
}
