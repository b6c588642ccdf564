//! Writes the seeds that real encoders make, and the fixtures that targets judge them by; run by hand when a form changes:
//!     cargo test -p yanqian-fuzzing --test seeds -- --ignored
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::x509::{X509, X509Crl, X509NameBuilder, X509ReqBuilder};
use yanqian_devpki::{
    OcspResponder, OcspSingle, OcspStatus, Options, cert_id, generate, issue_entity_signing, ocsp_error,
};
use yanqian_evidence::{Receipt, Record};
use yanqian_fuzzing::party::{CONTENTS, certificate, fixture, repository, sign};
use yanqian_fuzzing::{APPLIED, EXCHANGES, FIELDS, Forgetful, LIFETIME, NONCE, SIGNED};
use yanqian_messages::ocsp::CertStatus;
use yanqian_messages::{
    SignedAttributes, SignedData, certificates_from_pem_or_der, encode_attached, encode_detached, seal, seal_signed,
};
use yanqian_platform::{AnswerChecker, Applied, Expected, PlatformClient, Profile, RequestContext};
use yanqian_platform_sim::form::Form;
use yanqian_platform_sim::numbers::NumberForm;
use yanqian_platform_sim::registry::{first_with, seeded};
use yanqian_platform_sim::{Config, DEFAULT_SEED, Simulator};
use yanqian_sm::{Signature, sm3};
use yanqian_trust::{TrustStore, Verifier, VerifierSettings};
use yanqian_vocabulary::{
    BirthDate, CivilDate, Claim, DocumentClaim, DocumentNumber, DocumentType, Mode, Nonce, PersonalName, Timestamp,
};

fn write(target: &str, name: &str, octets: &[u8]) {
    let folder = repository().join("fuzz/seeds").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), octets).unwrap();
}

fn copy(target: &str, from: &str, names: &[&str]) {
    for name in names {
        let file = repository().join(from).join(name);
        let flat = name.replace('/', "-");
        write(target, &flat, &fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
}

const GOLDEN: &str = "appliance/messages/tests/golden";

#[test]
#[ignore = "writes the checked-in seeds"]
fn write_messages() {
    let signed = [
        "gmssl-signed-attributes.der",
        "gmssl-signed-plain-null.der",
        "gmssl-signed-501.der",
        "openssl-cms-signed.der",
        "bouncycastle/cms-detached.der",
        "bouncycastle/cms-attached.der",
        "bouncycastle/cms-attached.ber",
        "bouncycastle/gm-attached.der",
        "bouncycastle/gm-detached-plain.der",
    ];
    copy("signed_data", GOLDEN, &signed);
    copy(
        "enveloped_data",
        GOLDEN,
        &[
            "gmssl-enveloped.der",
            "gmssl-enveloped-ecb.der",
            "gmssl-enveloped-old-order.der",
            "bouncycastle/cms-enveloped.der",
            "bouncycastle/gm-enveloped.der",
        ],
    );
    copy("signed_and_enveloped_data", GOLDEN, &["gmssl-signed-enveloped.der", "bouncycastle/gm-signed-enveloped.der"]);
    copy(
        "certificates",
        GOLDEN,
        &["gmssl-certificate.der", "openssl-certificate.der", "bouncycastle/signer.der", "bouncycastle/recipient.der"],
    );
    for name in &signed[..4] {
        let message = SignedData::parse(&fs::read(repository().join(GOLDEN).join(name)).unwrap()).unwrap();
        if let Some(attributes) = message.signer().attributes() {
            write("attributes", name, attributes.as_der());
        }
    }
    write("enveloped_data", "to-seal", CONTENTS[0]);
    write("signed_and_enveloped_data", "to-seal", CONTENTS[0]);
    let rng = &mut getrandom::SysRng;
    for (at, content) in CONTENTS.into_iter().enumerate() {
        let attributes = SignedAttributes::new(sm3(&[content]), [1_700_000_000, 2_600_000_000, 0, 1][at]).unwrap();
        write("attributes", &format!("ours-{at}"), attributes.as_der());
        for (form, attributes) in [("plain", None), ("attributes", Some(&attributes))] {
            let signature = sign(attributes.map_or(content, SignedAttributes::as_der));
            let attached = encode_attached(certificate(), content, attributes, &signature).unwrap();
            write("signed_data", &format!("attached-{form}-{at}"), &attached);
            if at == 0 {
                let detached = encode_detached(certificate(), attributes, &signature).unwrap();
                write("signed_data", &format!("detached-{form}"), &detached);
            }
        }
        write("enveloped_data", &format!("ours-{at}"), &seal(certificate(), content, rng).unwrap());
        let both = seal_signed(certificate(), content, certificate(), &sign(content), rng).unwrap();
        write("signed_and_enveloped_data", &format!("ours-{at}"), &both);
    }
}

#[test]
#[ignore = "writes the checked-in seeds"]
fn write_texts_and_records() {
    copy("platform_profiles", "platform-profiles", &["reference.toml", "second.toml", "two-step.toml"]);
    copy(
        "token_profiles",
        "hsm-profiles",
        &["softtoken.toml", "template.toml", "sansec-message.toml", "ibm-ep11.toml", "luna.toml"],
    );
    copy("agreements", "samples", &["agreement.toml"]);
    let fixtures = repository().join("appliance/evidence/fixtures");
    for schema in ["records-1", "records-2"] {
        for entry in fs::read_dir(fixtures.join(schema)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            copy("records", "appliance/evidence/fixtures", &[&format!("{schema}/{name}")]);
        }
    }
    let der = |content: u8| vec![0x30, 1, content];
    let read = |name: &str| fs::read(fixtures.join(name)).unwrap();
    for (name, records) in [
        ("refusal", &["records-2/refusal.cbor"][..]),
        ("unknown", &["records-1/outcome-unknown.cbor"]),
        ("verdict", &["records-1/intent.cbor", "records-1/outcome-verdict.cbor"]),
    ] {
        let octets: Vec<_> = records.iter().map(|name| read(name)).collect();
        let records: Vec<Record> = octets.iter().map(|octets| Record::decode(octets).unwrap()).collect();
        let salt = (records.len() > 1).then_some([7; 32]);
        let receipt = Receipt::new(octets, vec![der(1), der(2)], vec![der(3)], salt).unwrap();
        write("receipts", name, receipt.to_json().as_bytes());
    }
}

/// A development PKI, and one honest exchange by each profile, made now; nothing of it is secret.
#[tokio::test]
#[ignore = "writes the checked-in seeds and fixtures"]
async fn write_answers_lists_and_their_fixtures() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default();
    let layout = generate(&directory.path().join("pki"), &options).unwrap();
    let trust_folder = fixture("trust");
    let _ = fs::remove_dir_all(&trust_folder);
    copy_folder(&layout.trust(), &trust_folder);
    fs::copy(layout.platform("signing").certificate, fixture("signing.pem")).unwrap();

    for authority in ["root", "issuing"] {
        let pem = fs::read(trust_folder.join(format!("crls/{authority}.pem"))).unwrap();
        write("lists", &format!("{authority}.pem"), &pem);
        write("lists", &format!("{authority}.der"), &X509Crl::from_pem(&pem).unwrap().to_der().unwrap());
    }
    for name in ["root", "issuing", "signing", "encryption", "tls"] {
        let pem = fs::read(layout.platform(name).certificate).unwrap();
        write("certificates", name, &X509::from_pem(&pem).unwrap().to_der().unwrap());
        if name == "issuing" {
            write("certificates", "issuing.pem", &pem);
        }
    }

    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "entity").unwrap();
    let mut request = X509ReqBuilder::new().unwrap();
    request.set_subject_name(&name.build()).unwrap();
    request.set_pubkey(&key).unwrap();
    request.sign(&key, MessageDigest::sm3()).unwrap();
    let pem = issue_entity_signing(&layout, &request.build().to_pem().unwrap(), options.now, 30).unwrap();
    let entity = certificates_from_pem_or_der(&pem).unwrap().remove(0);
    let registered = directory.path().join("entity.pem");
    fs::write(&registered, &pem).unwrap();
    let trust = TrustStore::load(&trust_folder, 0).unwrap();
    let registry = seeded(DEFAULT_SEED);
    let holder = first_with(&registry, NumberForm::ALL[0]).unwrap();
    let now = Timestamp::from_utc(time::OffsetDateTime::now_utc()).unwrap();
    fs::write(fixture("now"), format!("{}\n", now.unix_seconds())).unwrap();

    let verifier = Verifier::new(VerifierSettings { table_octets: 0, shadow_every: NonZeroU32::MIN });
    let mut applied: Option<Applied> = None;
    let mut simulators = BTreeMap::new();
    for (at, (name, application)) in EXCHANGES.into_iter().enumerate() {
        let form: Form = name.parse().unwrap();
        if !simulators.contains_key(name) {
            let config = Config { entity_signing: Some(registered.clone()), ..Config::new(layout.directory(), form) };
            simulators.insert(name, Simulator::start(config).await.unwrap());
        }
        let profile = Profile::load(&repository().join(format!("platform-profiles/{name}.toml"))).unwrap();
        let profile = std::sync::Arc::new(profile);
        let endpoint = format!("https://{}", simulators[name].https_addr);
        let client = PlatformClient::new(profile.clone(), &endpoint).unwrap();
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let context = RequestContext {
            customer: "YQ000001",
            application: "yanqian",
            purpose_code: "P001",
            mode: Mode::RealName,
            now,
            nonce: Nonce::new(nonce),
            applied: applied.as_ref().filter(|_| name == "two-step" && !application),
            certificate: &entity,
        };
        let claim = Claim::RealName(DocumentClaim {
            document_type: DocumentType::PrcPassport,
            number: DocumentNumber::new(holder.number.clone()),
            name: PersonalName::new(holder.name.clone()),
            birth_date: BirthDate(CivilDate::parse_iso(&holder.birth_date.to_string()).unwrap()),
            nationality: None,
            expiry: None,
        });
        assert_eq!(FIELDS.len(), 3, "what this claim asks about");
        let recipient = trust.encryption_certificate().into();
        let outbound = if application {
            profile.encode_application(&context).unwrap()
        } else {
            profile.encode(&context, &claim, recipient, &mut getrandom::SysRng).unwrap()
        };
        let mut signer = Signer::new(MessageDigest::sm3(), &key).unwrap();
        signer.update(outbound.to_be_signed()).unwrap();
        let signature = Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap();
        let request = outbound.finish(&profile, &signature, &entity).unwrap();
        let answer = client.send(&request, &trust).await.unwrap();
        if application {
            let checker = AnswerChecker { profile: &profile, trust: &trust, verifier: &verifier, replay: &Forgetful };
            let expected = Expected { nonce: context.nonce, digest: request.digest(), fields: FIELDS, recipients: &[] };
            applied = Some(checker.check_application(&answer, &expected, now).result.unwrap());
        }
        let name = format!("{name}{}", if application { APPLIED } else { "" });
        let mut seed = vec![u8::try_from(at).unwrap()];
        for (name, value) in &answer.headers {
            seed.extend([name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"].concat());
        }
        seed.extend([b"\n", &answer.body[..]].concat());
        write("answers", &name, &seed);
        let line = format!("{} {}\n", hex::encode(nonce), hex::encode(request.digest().as_bytes()));
        fs::write(fixture(&format!("{name}.request")), line).unwrap();
    }
}

/// What a responder says of a signing certificate, by every way in which a response is taken.
#[test]
#[ignore = "writes the checked-in seeds and fixtures"]
fn write_ocsp_responses() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default();
    let layout = generate(directory.path(), &options).unwrap();
    let trust_folder = fixture("ocsp/trust");
    let _ = fs::remove_dir_all(&trust_folder);
    copy_folder(&layout.trust(), &trust_folder);
    fs::copy(layout.platform("signing").certificate, fixture("ocsp/signing.pem")).unwrap();
    let now = options.now.unix_timestamp();
    fs::write(fixture("ocsp/now"), format!("{now}\n")).unwrap();

    let read = |name: &str| X509::from_pem(&fs::read(layout.platform(name).certificate).unwrap()).unwrap();
    let (subject, other, issuer) = (read("signing"), read("encryption"), read("issuing"));
    let key = PKey::private_key_from_pem(&fs::read(layout.platform("issuing").key).unwrap()).unwrap();
    let delegate = OcspResponder::of_platform(&layout).unwrap();
    let by_name = OcspResponder::of(&issuer, &key);
    let by_key = OcspResponder { by_name: false, null_parameters: true, ..by_name.clone() };
    for signed in SIGNED {
        let (responder, hash) = match signed.seed {
            "issuer-by-name" => (&by_name, MessageDigest::sha1()),
            "issuer-by-key" => (&by_key, MessageDigest::sha256()),
            _ => (&delegate, MessageDigest::sm3()),
        };
        let status = match signed.status {
            CertStatus::Good => OcspStatus::Good,
            CertStatus::Revoked => OcspStatus::Revoked,
            CertStatus::Unknown => OcspStatus::Unknown,
        };
        let this_update = now - signed.before;
        let next_update = Some(this_update + LIFETIME);
        let about = |certificate: &X509| {
            let cert_id = cert_id(hash, certificate, &issuer).unwrap();
            OcspSingle { cert_id, status, this_update, next_update }
        };
        let mut singles = vec![about(&subject)];
        if signed.seed == "two-certificates" {
            singles.insert(0, about(&other));
        }
        let nonce = signed.with_nonce.then_some(&NONCE[..]);
        write("ocsp_responses", signed.seed, &responder.answer(&singles, nonce, now).unwrap());
    }
    write("ocsp_responses", "try-later", &ocsp_error(3));
}

fn copy_folder(from: &Path, to: &PathBuf) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// The seeds of `security_objects` and the authorities behind them are made by appliance/chip/tests/authentication.rs.
#[test]
#[ignore = "writes the checked-in seeds"]
fn write_chips_and_portraits() {
    use yanqian_platform_sim::chip::{Issuers, Variant};
    let (issuers, register) = (Issuers::new().unwrap(), seeded(DEFAULT_SEED));
    for (form, kind, name) in [
        (NumberForm::PassportDigits, DocumentType::PrcPassport, "passport"),
        (NumberForm::TaiwanOld, DocumentType::TaiwanPermit, "taiwan-permit"),
        (NumberForm::ForeignResident2023, DocumentType::ForeignPermanentResidentCard, "foreign-resident"),
    ] {
        let holder = first_with(&register, form).unwrap();
        let chip = issuers.chip(holder, holder, Variant::Genuine).unwrap();
        let place = DocumentType::ALL.iter().position(|known| *known == kind).unwrap();
        let mut seed = vec![u8::try_from(place).unwrap()];
        for file in [&chip.com, &chip.dg1, &chip.dg2] {
            seed.extend(u16::try_from(file.len()).unwrap().to_be_bytes());
        }
        seed.extend([chip.com, chip.dg1, chip.dg2, chip.sod].concat());
        write("chips", name, &seed);
    }
    let holder = first_with(&register, NumberForm::PassportDigits).unwrap();
    write("portraits", "baseline.jpg", &yanqian_platform_sim::portrait::portrait(holder));
}
