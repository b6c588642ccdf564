//! Each shipped profile over the soft token that speaks the family's dialect: the profile and the dialect are written down
//! apart, and keys, requests, certificates and signatures show whether they mean the same.

use time::OffsetDateTime;
use yanqian_devpki::Options;
use yanqian_hsm::protocol::codes;
use yanqian_hsm::{WorkerClient, WorkerError};
use yanqian_sm::PublicKey;

use crate::encryption::{Enrolled, der, key_of, sealed};
use crate::support::{Site, dialect, digest, verifies};

/// Profiles with SM2 signatures, and the dialect that each is for.
const FAMILIES: [(&str, &str); 13] = [
    ("softtoken", "softtoken"),
    ("softhsm-sm2", "softhsm-sm2"),
    ("sansec-e-raw", "sansec"),
    ("sansec-e-der", "sansec"),
    ("sansec-message", "sansec"),
    ("tass", "tass"),
    ("koal", "koal"),
    ("ibm-ep11", "ibm-ep11"),
    ("ibm-ep11-message", "ibm-ep11"),
    ("westone-2018", "westone-2018"),
    ("westone-card", "westone-card"),
    ("wosign-key", "wosign-key"),
    ("template", "softtoken"),
];
/// Profiles without, and one whose keys are only kept (`sealed`).
const WITHOUT_SM2: [&str; 3] = ["luna", "softhsm", "softhsm-sealed"];

/// keygen → csr → import-cert → sign, eight at once, and a restart between.
async fn whole_life(site: &Site) {
    let pki = yanqian_devpki::generate(&site.path("pki"), &Options::default()).unwrap();
    let worker = site.start();
    let client = site.client();
    let made = client.generate_key("sign").await.unwrap();
    assert!(made.proven, "{made:?}");
    let request = client.csr("sign", "C=CN, O=Bank One, CN=Bank One Signing").await.unwrap();
    let certificate = yanqian_devpki::issue_entity_signing(&pki, &request, OffsetDateTime::now_utc(), 30).unwrap();
    let key = key_of(&certificate);
    client.import_certificate("sign", &der(&certificate)).await.unwrap();
    signs_many(&client, &key).await;
    drop(worker);

    let worker = site.start();
    let client = site.client();
    let listed = client.list_keys().await.unwrap();
    assert!(listed[0].proven && listed[0].certificate_hash.is_some(), "{listed:?}\n{}", worker.log());
    signs_many(&client, &key).await;
    let status = client.status().await.unwrap();
    assert_eq!(
        (status.sign_failures_total, status.defective_signatures_total, status.reinitialisations_total),
        (0, 0, 0)
    );
    assert!(matches!(
        client.sign("nobody", &digest(&key, b"m"), Some(b"m")).await,
        Err(WorkerError::Refused { code, .. }) if code == codes::UNKNOWN_KEY
    ));
}

async fn signs_many(client: &WorkerClient, key: &PublicKey) {
    let asked: Vec<_> = (0..24_u32)
        .map(|number| {
            let (client, key) = (client.clone(), *key);
            tokio::spawn(async move {
                let message = number.to_be_bytes();
                let e = digest(&key, &message);
                let signature = client.sign("sign", &e, Some(&message)).await.unwrap();
                assert!(verifies(&key, &e, &signature), "{number}");
            })
        })
        .collect();
    for task in asked {
        task.await.unwrap();
    }
}

fn site(profile: &str) -> Site {
    let (_, spoken) = FAMILIES.iter().find(|(name, _)| *name == profile).expect("a family of the table");
    let mut site = Site::new();
    site.use_profile(profile);
    site.speak(&dialect(spoken));
    site
}

macro_rules! families {
    ($($name:ident: $profile:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            whole_life(&site($profile)).await;
        }
    )*};
}

families! {
    softtoken_is_served: "softtoken";
    softhsm_with_sm2_is_served: "softhsm-sm2";
    sansec_over_digests_raw_is_served: "sansec-e-raw";
    sansec_over_digests_in_der_is_served: "sansec-e-der";
    sansec_over_messages_is_served: "sansec-message";
    tass_is_served: "tass";
    koal_is_served: "koal";
    ibm_ep11_is_served: "ibm-ep11";
    ibm_ep11_over_messages_is_served: "ibm-ep11-message";
    westones_product_of_2018_is_served: "westone-2018";
    westones_card_is_served: "westone-card";
    wosigns_key_below_the_vendor_range_is_served: "wosign-key";
    the_template_is_served_where_its_numbers_are_right: "template";
}

#[test]
fn every_shipped_profile_is_tried_over_a_dialect_and_has_the_drop_in_of_its_device() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hsm-profiles");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let profile = yanqian_hsm::profile::Profile::load(&path).unwrap();
        assert!(profile.name == name || name == "template", "{name}");
        assert_eq!(profile.sign.is_none(), WITHOUT_SM2.contains(&name.as_str()), "{name}");
        let drop_in = match profile.device {
            yanqian_hsm::profile::Device::Software => None,
            yanqian_hsm::profile::Device::Network => Some("network"),
            yanqian_hsm::profile::Device::Usb => Some("usb"),
            yanqian_hsm::profile::Device::Pci => Some("pci"),
        };
        if let Some(drop_in) = drop_in {
            assert!(directory.join(format!("systemd/{drop_in}.conf")).exists(), "{name}");
        }
        names.push(name);
    }
    names.sort();
    let mut tried: Vec<_> = FAMILIES.iter().map(|(name, _)| *name).chain(WITHOUT_SM2).collect();
    tried.sort_unstable();
    assert_eq!(names, tried);
}

#[tokio::test]
async fn sansec_opens_what_is_sealed_to_a_pair_that_its_own_tool_imported() {
    let site = Site::new();
    let worker = site.start();
    let client = site.client();
    let mut enrolled = Enrolled::new(site, &client).await;
    let issued = enrolled.issue();
    // The family has no [import]: the own dialect stands for the vendor's tool.
    client.import_encryption_key("open", "sign", &issued.enveloped_key, &der(&issued.certificate)).await.unwrap();
    drop(worker);
    enrolled.site.use_profile("sansec-e-raw");
    enrolled.site.speak(&dialect("sansec"));
    let worker = enrolled.site.start();
    let client = enrolled.site.client();
    let opened = client.unseal("open", &sealed(&key_of(&issued.certificate), &[7; 16])).await.unwrap();
    assert_eq!(opened.expose(), [7; 16], "{}", worker.log());
}

#[tokio::test]
async fn ciphertexts_go_in_the_form_that_the_profile_says() {
    let site = Site::new();
    let worker = site.start();
    let client = site.client();
    let mut enrolled = Enrolled::new(site, &client).await;
    let issued = enrolled.issue();
    client.import_encryption_key("open", "sign", &issued.enveloped_key, &der(&issued.certificate)).await.unwrap();
    drop(worker);
    for form in ["c1c3c2", "c1c2c3"] {
        enrolled.site.use_profile("softtoken");
        enrolled.site.change_profile("ciphertext = \"der\"", &format!("ciphertext = {form:?}"));
        enrolled.site.speak(&dialect("softtoken").replace("form = \"der\"", &format!("form = {form:?}")));
        let _worker = enrolled.site.start();
        let opened =
            enrolled.site.client().unseal("open", &sealed(&key_of(&issued.certificate), &[7; 16])).await.unwrap();
        assert_eq!(opened.expose(), [7; 16], "{form}");
    }
}

/// A family that nobody has thought of: every number another, every habit a bad one.
const STRANGE_DIALECT: &str = r#"
format_version = 1
[key]
type = 0xABCD0001
keygen = 0x7
ec_params = "absent"
ec_point = "coordinates"
x_attribute = 0x80001234
y_attribute = 0x99
refuses = ["CKA_EXTRACTABLE", "CKA_SENSITIVE", "CKA_SUBJECT", "CKA_ISSUER", "CKA_SERIAL_NUMBER", "CKA_VERIFY"]
[[sign]]
mechanism = 0x12345
input = "message-without-z"
encoding = "der-lax"
[behaviour]
length_query = false
max_input = 8192
max_sessions = 2
hides_login = true
serial_only = true
"#;

const STRANGE_PROFILE: &str = r#"
format_version = 1
name = "strange"
grade = "development"
evidence = "proven"
device = "software"
source = "a test"
[key]
type = 0xABCD0001
keygen_mechanism = 0x7
ec_params = "absent"
ec_point = "coordinates"
x_attribute = 0x80001234
y_attribute = 0x99
never_send = ["CKA_EXTRACTABLE", "CKA_SENSITIVE", "CKA_SUBJECT", "CKA_ISSUER", "CKA_SERIAL_NUMBER", "CKA_VERIFY"]
[sign]
mechanism = 0x12345
input = "message-without-z"
encoding = "der-lax"
length_query = "never"
max_input = 8192
[session]
max = 2
call_timeout_ms = 20000
threads = "serialise"
"#;

#[tokio::test]
async fn a_new_family_needs_two_files_and_no_code() {
    let mut site = Site::new();
    std::fs::write(site.path("profile.toml"), STRANGE_PROFILE).unwrap();
    site.speak(STRANGE_DIALECT);
    whole_life(&site).await;

    // Z goes before the message into the module's frame.
    let _worker = site.start();
    let client = site.client();
    let key = client.public_key("sign").await.unwrap();
    let longest = vec![7; 8192 - 32];
    let e = digest(&key, &longest);
    assert!(verifies(&key, &e, &client.sign("sign", &e, Some(&longest)).await.unwrap()));
    let longer = vec![7; 8192];
    let refused = client.sign("sign", &digest(&key, &longer), Some(&longer)).await.unwrap_err();
    assert!(refused.to_string().contains("sign.max_input"), "{refused}");
}

#[tokio::test]
async fn overlapping_calls_show_that_a_module_needs_them_one_by_one() {
    let mut site = site("koal");
    site.extra = "threads = 4".into();
    site.change_profile("threads = \"serialise\"", "threads = \"parallel\"");
    let _worker = site.start();
    let client = site.client();
    // Some calls fail, and recovery carries the rest: the codes tell.
    let mut failed = client.generate_key("sign").await.is_err();
    if let Ok(key) = client.public_key("sign").await {
        for _ in 0..50 {
            let asked: Vec<_> = (0..4)
                .map(|_| {
                    let client = client.clone();
                    tokio::spawn(async move { client.sign("sign", &digest(&key, b"m"), None).await })
                })
                .collect();
            for task in asked {
                failed |= task.await.unwrap().is_err();
            }
            failed |= !client.status().await.unwrap().return_codes.is_empty();
            if failed {
                break;
            }
        }
    }
    assert!(failed, "calls never overlapped");
}

#[test]
fn a_profile_of_grade_hsm_does_not_serve_over_software() {
    let site = Site::new();
    let profile = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hsm-profiles/sansec-e-raw.toml");
    std::fs::copy(profile, site.path("profile.toml")).unwrap();
    let mut worker = site.spawn();
    assert_eq!(worker.ended().code(), Some(78), "{}", worker.log());
    assert!(worker.log().contains("grade is \"hsm\""), "{}", worker.log());
}

#[tokio::test]
async fn a_family_without_sm2_says_so_and_does_the_rest() {
    let site = Site::new();
    site.use_profile("softhsm");
    let _worker = site.start();
    let client = site.client();
    assert_eq!(client.random(16).await.unwrap().len(), 16);
    let refused = client.generate_key("sign").await.unwrap_err();
    assert!(matches!(&refused, WorkerError::Refused { code, .. } if code == codes::PROFILE), "{refused}");
}
