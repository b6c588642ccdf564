//! What passive authentication takes, and what it refuses.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::OnceLock;

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::nid::Nid;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use proptest::prelude::*;
use support::*;
use yanqian_chip::{Anchors, ChipError, authenticate};
use yanqian_vocabulary::ChipFiles;

fn anchors(certificates: &[Vec<u8>]) -> Anchors {
    let directory = tempfile::tempdir().unwrap();
    for (number, der) in certificates.iter().enumerate() {
        std::fs::write(directory.path().join(format!("{number}.cer")), der).unwrap();
    }
    Anchors::read(directory.path()).unwrap()
}

/// ECDSA on P-256 with SHA-256: where the kind does not matter.
fn country() -> &'static Country {
    static COUNTRY: OnceLock<Country> = OnceLock::new();
    let party = || Party::new(Scheme::Ecdsa(Nid::X9_62_PRIME256V1), Hash::Sha256);
    COUNTRY.get_or_init(|| Country::new(party(), party()))
}

#[track_caller]
fn assert_refused(files: &ChipFiles, country: &Country, error: ChipError) {
    assert_eq!(authenticate(files, &anchors(&[country.root()]), now()), Err(error));
}

/// OpenSSL's reading of the same message: another implementation of CMS and of chains.
fn openssl_takes(message: &[u8], root: &[u8]) -> Option<Vec<u8>> {
    let mut store = X509StoreBuilder::new().ok()?;
    store.add_cert(X509::from_der(root).ok()?).ok()?;
    store.set_flags(openssl::x509::verify::X509VerifyFlags::NO_CHECK_TIME).ok()?;
    let mut cms = CmsContentInfo::from_der(message).ok()?;
    let mut content = Vec::new();
    cms.verify(None, Some(&store.build()), None, Some(&mut content), CMSOptions::BINARY).ok()?;
    Some(content)
}

#[test]
fn a_file_that_is_not_the_one_signed_is_named() {
    let message = country().message();
    let refused = |files: &ChipFiles, error| assert_refused(files, country(), error);
    refused(&with(COM, b"\x61\x05ZONEZ", DG2, &message), ChipError::Dg1);
    refused(&with(COM, DG1, b"\x75\x08PORTRAYT", &message), ChipError::Dg2);
    refused(&with(&[0x60, 0x05, 0x5c, 0x03, 0x61, 0x75, 0x6f], DG1, DG2, &message), ChipError::Groups);
    // A group that was signed and is kept back.
    let mut object = country().object(country().described().signed_by(&country().authority));
    object.groups.push((15, vec![7; 32]));
    refused(&files(&object.message(&country().signer)), ChipError::Groups);
    let all = with(&[0x60, 0x05, 0x5c, 0x03, 0x61, 0x75, 0x6f], DG1, DG2, &object.message(&country().signer));
    assert!(authenticate(&all, &anchors(&[country().root()]), now()).is_ok());
    // The right digests, and two of one group.
    object.groups.push((1, Hash::Sha256.of(b"another")));
    refused(&files(&object.message(&country().signer)), ChipError::SecurityObject);
}

#[test]
fn a_signature_that_is_not_the_signers_over_this_content_is_refused() {
    let refused = |message: &[u8], error| assert_refused(&files(message), country(), error);
    let certificate = country().described().signed_by(&country().authority);
    let other = Party::new(Scheme::Ecdsa(Nid::X9_62_PRIME256V1), Hash::Sha256);
    refused(&country().object(certificate.clone()).message(&other), ChipError::Signature);
    // Signed by the signer, as something else.
    let mut object = country().object(certificate.clone());
    object.content_type = "1.2.840.113549.1.7.1";
    refused(&object.message(&country().signer), ChipError::Signature);
    // The content of one document, and the attributes signed for another.
    let mut forged = country().message();
    let digest = Hash::Sha256.of(DG1);
    let place = forged.windows(32).position(|window| window == digest).unwrap();
    forged[place..place + 32].copy_from_slice(&Hash::Sha256.of(b"\x61\x05ZONEZ"));
    assert_refused(&with(COM, b"\x61\x05ZONEZ", DG2, &forged), country(), ChipError::Signature);
    // The name of a certificate that is not there.
    let mut object = country().object(certificate);
    object.serial = 8;
    refused(&object.message(&country().signer), ChipError::SignerMissing);
}

#[test]
fn a_signer_for_whom_no_configured_authority_vouches_is_refused() {
    let country = country();
    let message = |certificate: Vec<u8>| country.object(certificate).message(&country.signer);
    let refused = |certificate: Vec<u8>, error| assert_refused(&files(&message(certificate)), country, error);
    let described = || country.described();
    // Another authority by the same name.
    let impostor = Party::new(Scheme::Ecdsa(Nid::X9_62_PRIME256V1), Hash::Sha256);
    refused(described().signed_by(&impostor), ChipError::AuthorityUnknown);
    let signed = |described: Described<'_>| described.signed_by(&country.authority);
    refused(
        signed(Described { validity: ("20250101000000Z", "20260101000000Z"), ..described() }),
        ChipError::SignerValidity,
    );
    refused(
        signed(Described { validity: ("20270101000000Z", "20360101000000Z"), ..described() }),
        ChipError::SignerValidity,
    );
    // For encipherment; an authority's; with a critical extension that nobody knows.
    refused(signed(Described { extensions: key_usage(0x20, 5), ..described() }), ChipError::SignerUsage);
    refused(signed(Described { extensions: of_authority(), ..described() }), ChipError::SignerUsage);
    let unknown = [of_signer(), extension("1.2.3.4", true, &[5, 0])].concat();
    refused(signed(Described { extensions: unknown, ..described() }), ChipError::SignerUsage);
    // An authority that has ended.
    let root = Described {
        subject: "CSCA",
        issuer: "CSCA",
        serial: 1,
        spki: &country.authority.spki,
        validity: ("20200101000000Z", "20260101000000Z"),
        extensions: of_authority(),
    };
    let ended = root.signed_by(&country.authority);
    let genuine = files(&country.message());
    assert_eq!(
        authenticate(&genuine, &anchors(std::slice::from_ref(&ended)), now()),
        Err(ChipError::AuthorityValidity)
    );
    // Its next key, and its next certificate for the same key.
    let next = authority(&impostor, "CSCA");
    assert_eq!(
        authenticate(&genuine, &anchors(&[next.clone(), ended.clone()]), now()),
        Err(ChipError::AuthorityValidity)
    );
    assert!(authenticate(&genuine, &anchors(&[next, ended, country.root()]), now()).is_ok());
}

#[test]
fn weak_and_unknown_algorithms_do_not_count() {
    let good = || Party::new(Scheme::Ecdsa(Nid::X9_62_PRIME256V1), Hash::Sha256);
    for signer in [
        Party::new(Scheme::Ecdsa(Nid::X9_62_PRIME256V1), Hash::Sha1),
        Party::new(Scheme::Pkcs1(2048), Hash::Sha1),
        Party::new(Scheme::Pkcs1(1024), Hash::Sha256),
        Party::new(Scheme::Ecdsa(Nid::X9_62_PRIME192V1), Hash::Sha256),
    ] {
        let country = Country::new(good(), signer);
        assert_refused(&files(&country.message()), &country, ChipError::Algorithm);
    }
    let country = Country::new(Party::new(Scheme::Ecdsa(Nid::X9_62_PRIME256V1), Hash::Sha1), good());
    assert_refused(&files(&country.message()), &country, ChipError::Algorithm);
}

/// CVE-2020-0601: whoever may choose the base point knows a private key of any public one.
#[test]
fn a_curve_spelt_out_with_another_base_point_is_no_curve() {
    let nid = Nid::X9_62_PRIME256V1;
    let party = Party::new(Scheme::Ecdsa(nid), Hash::Sha256);
    let point = party.spki[party.spki.len() - 65..].to_vec();
    let country = Country::new(party, Party::new(Scheme::Ecdsa(nid), Hash::Sha256));
    for (base, taken) in [(generator(nid), true), (point.clone(), false)] {
        let spki = spelt_out(&explicit(nid, &base), &point);
        let described = Described {
            subject: "CSCA",
            issuer: "CSCA",
            serial: 1,
            spki: &spki,
            validity: VALID,
            extensions: of_authority(),
        };
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("csca.cer"), described.signed_by(&country.authority)).unwrap();
        assert_eq!(Anchors::read(directory.path()).is_ok(), taken);
    }
}

#[test]
fn anchors_are_authorities_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, octets: &[u8]| std::fs::write(directory.path().join(name), octets).unwrap();
    let read = || Anchors::read(directory.path()).map_err(|error| error.to_string());
    assert!(read().unwrap_err().contains("holds no certificate"));
    let pem = |der: &[u8]| X509::from_der(der).unwrap().to_pem().unwrap();
    let both = [pem(&country().root()), pem(&authority(&country().signer, "Other"))].concat();
    put("both.pem", &both);
    put(".hidden", b"nothing");
    assert_eq!(read().unwrap().len(), 2);
    for (octets, problem) in [
        (country().described().signed_by(&country().authority), "no certificate of an authority"),
        (b"nothing".to_vec(), "bad.cer"),
        (authority(&Party::new(Scheme::Pkcs1(1024), Hash::Sha256), "Weak"), "too weak"),
    ] {
        put("bad.cer", &octets);
        let error = read().unwrap_err();
        assert!(error.contains(problem) && error.contains("bad.cer"), "{error}");
    }
    assert!(Anchors::read(&directory.path().join("absent")).is_err());
}

/// Signers in every way that counts, and what each is called.
fn ways() -> Vec<(&'static str, Country)> {
    use Scheme::{Ecdsa, Explicit, Pkcs1, Pss, Sm2};
    [
        ("pkcs1", (Pkcs1(3072), Hash::Sha512), (Pkcs1(2048), Hash::Sha256)),
        ("pss", (Pss, Hash::Sha256), (Pss, Hash::Sha256)),
        ("ecdsa", (Ecdsa(Nid::SECP384R1), Hash::Sha384), (Ecdsa(Nid::X9_62_PRIME256V1), Hash::Sha256)),
        ("ecdsa-224", (Ecdsa(Nid::SECP521R1), Hash::Sha512), (Ecdsa(Nid::SECP224R1), Hash::Sha224)),
        ("brainpool", (Ecdsa(Nid::BRAINPOOL_P384R1), Hash::Sha384), (Ecdsa(Nid::BRAINPOOL_P256R1), Hash::Sha256)),
        ("brainpool-320", (Ecdsa(Nid::BRAINPOOL_P512R1), Hash::Sha512), (Ecdsa(Nid::BRAINPOOL_P320R1), Hash::Sha256)),
        ("spelt-out", (Explicit(Nid::BRAINPOOL_P384R1), Hash::Sha384), (Explicit(Nid::X9_62_PRIME256V1), Hash::Sha256)),
        ("sm2", (Sm2, Hash::Sm3), (Sm2, Hash::Sm3)),
        ("sm2-below-rsa", (Pkcs1(2048), Hash::Sha384), (Sm2, Hash::Sm3)),
    ]
    .map(|(name, authority, signer)| {
        (name, Country::new(Party::new(authority.0, authority.1), Party::new(signer.0, signer.1)))
    })
    .into()
}

#[test]
fn chips_signed_in_every_way_of_doc_9303_and_by_sm2_are_authentic() {
    for (name, country) in ways() {
        let message = country.message();
        let found = authenticate(&files(&message), &anchors(&[country.root()]), now());
        let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.authority, yanqian_sm::sm3(&[&country.root()]));
        // OpenSSL takes no curve that is spelt out, and no SM2 in CMS.
        if !name.starts_with("sm2") && name != "spelt-out" {
            let content = country.object(Vec::new()).content(country.signer.hash);
            assert_eq!(openssl_takes(&message, &country.root()), Some(content), "{name}");
        }
    }
}

/// By hand, when a form changes: cargo test -p yanqian-chip -- --ignored
#[test]
#[ignore = "writes the checked-in seeds of the fuzz target"]
fn write_seeds() {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (seeds, authorities) =
        (repository.join("fuzz/seeds/security_objects"), repository.join("tests/fuzzing/fixtures/csca"));
    std::fs::create_dir_all(&seeds).unwrap();
    std::fs::create_dir_all(&authorities).unwrap();
    for (name, country) in ways() {
        std::fs::write(seeds.join(name), tlv(0x77, &country.message())).unwrap();
        std::fs::write(authorities.join(format!("{name}.cer")), country.root()).unwrap();
    }
}

/// The simulator's chips, which it makes and opens with OpenSSL and its own DER.
#[test]
fn the_chips_of_another_implementation_are_judged_as_it_does() {
    use yanqian_platform_sim::chip::{Issuers, Variant};
    use yanqian_platform_sim::registry::seeded;
    let (issuers, holders) = (Issuers::new().unwrap(), seeded(yanqian_platform_sim::DEFAULT_SEED));
    let anchors = anchors(&[issuers.authority_certificate().unwrap()]);
    let now = yanqian_vocabulary::Timestamp::from_utc(std::time::SystemTime::now().into()).unwrap();
    for (variant, expected) in [
        (Variant::Genuine, None),
        (Variant::AlteredZone, Some(ChipError::Dg1)),
        (Variant::ForeignSigner, Some(ChipError::AuthorityUnknown)),
        (Variant::OthersSecurityObject, Some(ChipError::Dg1)),
    ] {
        let chip = issuers.chip(&holders[0], &holders[1], variant).unwrap();
        let file = |octets: &[u8]| yanqian_vocabulary::ChipFile::new(octets.to_vec());
        let files =
            ChipFiles { com: file(&chip.com), dg1: file(&chip.dg1), dg2: file(&chip.dg2), sod: file(&chip.sod) };
        assert_eq!(authenticate(&files, &anchors, now).err(), expected, "{variant:?}");
    }
}

#[test]
fn every_refusal_has_a_reason_and_names_its_file() {
    for error in ChipError::ALL {
        assert!(error.field().starts_with("chip.") && error.reason().code().starts_with("chip-"), "{error}");
        assert!(error.to_string().contains(error.rule()) && error.rule().ends_with('.'), "{error}");
    }
}

proptest! {
    #[test]
    fn altered_security_objects_never_panic_and_vouch_for_no_other_file(
        place: prop::sample::Index, bit in 0u8..8, cut: prop::sample::Index,
    ) {
        let anchors = anchors(&[country().root()]);
        let mut message = country().message();
        let place = place.index(message.len());
        message[place] ^= 1 << bit;
        // Some octets are nobody's business, such as the version or the list of digests ahead of the content.
        prop_assert!(authenticate(&with(COM, b"\x61\x05ZONEZ", DG2, &message), &anchors, now()).is_err());
        if authenticate(&files(&message), &anchors, now()).is_ok() {
            let content = country().object(Vec::new()).content(Hash::Sha256);
            prop_assert!(message.windows(content.len()).any(|window| window == content));
        }
        message.truncate(cut.index(message.len()));
        prop_assert!(authenticate(&files(&message), &anchors, now()).is_err());
    }

    #[test]
    fn arbitrary_octets_are_no_security_object(octets: Vec<u8>) {
        prop_assert!(authenticate(&files(&octets), &anchors(&[country().root()]), now()).is_err());
    }
}
