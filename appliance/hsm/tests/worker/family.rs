//! What a profile says of module, library and keys, beside the dialect.

use yanqian_hsm::WorkerError;
use yanqian_hsm::protocol::codes;

use crate::support::{Site, digest, verifies};

#[tokio::test]
async fn a_module_is_initialised_with_what_its_profile_says() {
    let mut site = Site::faulty();
    site.environment.push(("FAULTY_INIT", site.path("init").to_str().unwrap().to_owned()));
    let noted = |site: &Site| std::fs::read_to_string(site.path("init")).unwrap();
    drop(site.start());
    assert_eq!(noted(&site), "None 2", "CKF_OS_LOCKING_OK");
    site.change_profile("[key]", "[module]\ninit_args = \"configdir=/etc/token\"\nos_locking = false\n\n[key]");
    site.change_profile("threads = \"parallel\"", "threads = \"serialise\"");
    let _worker = site.start();
    assert_eq!(noted(&site), "Some(\"configdir=/etc/token\") 0");
    site.client().generate_key("signing").await.unwrap();
}

#[test]
fn a_library_or_firmware_of_another_version_is_refused_by_the_profiles_key() {
    for (line, key) in [
        ("library_min = \"200.0\"", "match.library_min"),
        ("library_max = \"0.0\"", "match.library_max"),
        ("firmware_min = \"200.0\"", "match.firmware_min"),
    ] {
        let site = Site::new();
        site.change_profile("[match]", &format!("[match]\n{line}"));
        let mut worker = site.spawn();
        assert_eq!(worker.ended().code(), Some(78), "{}", worker.log());
        assert!(worker.log().contains(key), "{}", worker.log());
    }
    let site = Site::new();
    site.change_profile("[match]", "[match]\nlibrary_min = \"0.0\"\nlibrary_max = \"255.255\"\nfirmware_min = \"0.0\"");
    drop(site.start());
}

#[tokio::test]
async fn a_key_is_found_by_its_id_where_labels_mean_nothing() {
    // Made under a label of its own, as by a vendor's tool.
    let mut site = Site::new();
    let worker = site.start();
    let client = site.client();
    for label in ["Container 1", "Container 2"] {
        client.generate_key(label).await.unwrap();
    }
    let made = client.list_keys().await.unwrap();
    let key = client.public_key("Container 2").await.unwrap();
    drop(worker);
    site.change_profile("[key]", "[key]\nlocator = \"id\"");
    site.extra = format!("[[keys]]\nlabel = \"signing\"\nid = \"{}\"\n", hex::encode(&made[1].id));
    site.extra += "[[keys]]\nlabel = \"new\"\nid = \"0102\"\n";
    let _worker = site.start();
    assert_eq!(client.public_key("signing").await.unwrap(), key);
    let e = digest(&key, b"m");
    assert!(verifies(&key, &e, &client.sign("signing", &e, None).await.unwrap()));
    let listed = client.list_keys().await.unwrap();
    let names: Vec<_> = listed.iter().map(|key| (key.label.as_str(), key.proven, key.problem.is_none())).collect();
    assert_eq!(names, [("Container 1", false, false), ("signing", true, true)]);
    match client.sign("Container 1", &e, None).await.unwrap_err() {
        WorkerError::Refused { code, message } => {
            assert!(code == codes::UNKNOWN_KEY && message.contains("key.locator"), "{message}");
        }
        other => panic!("{other}"),
    }
    assert_eq!(client.generate_key("new").await.unwrap().id, [1, 2]);
    let error = client.generate_key("new").await.unwrap_err();
    assert!(matches!(&error, WorkerError::Refused { code, .. } if code == codes::LABEL_IN_USE), "{error}");
    let key = client.public_key("new").await.unwrap();
    client.destroy_key("new", key.key_id()).await.unwrap();
}

#[tokio::test]
async fn one_of_two_keys_with_the_same_label_is_found_by_its_id_as_well() {
    let mut site = Site::new();
    site.change_profile("[key]", "[key]\nlocator = \"label-and-id\"");
    let client = site.client();
    let mut keys = Vec::new();
    for id in ["0a", "0b"] {
        site.extra = format!("[[keys]]\nlabel = \"signing\"\nid = \"{id}\"\n");
        let _worker = site.start();
        client.generate_key("signing").await.unwrap();
        keys.push(client.public_key("signing").await.unwrap());
    }
    assert_ne!(keys[0], keys[1]);
    let _worker = site.start();
    let e = digest(&keys[1], b"m");
    assert!(verifies(&keys[1], &e, &client.sign("signing", &e, None).await.unwrap()));
    let listed = client.list_keys().await.unwrap();
    assert_eq!(listed.iter().filter(|key| key.proven).count(), 1, "{listed:?}");
}
