use std::time::{Duration, Instant};

use yanqian_hsm::binding::{Remedy, return_codes};
use yanqian_hsm::protocol::codes;
use yanqian_hsm::{WorkerClient, WorkerError};
use yanqian_sm::{E, PublicKey};

use crate::support::{Site, Worker, digest, verifies};

struct Scene {
    site: Site,
    worker: Worker,
    client: WorkerClient,
    key: PublicKey,
    e: E,
}

impl Scene {
    async fn new(extra: &str) -> Self {
        let mut site = Site::faulty();
        site.extra = extra.into();
        Self::over(site).await
    }

    async fn over(site: Site) -> Self {
        let worker = site.start();
        let client = site.client();
        client.generate_key("signing").await.unwrap();
        let key = client.public_key("signing").await.unwrap();
        Self { e: digest(&key, b"m"), site, worker, client, key }
    }

    /// The worker ends with this status; another one takes its place.
    fn starts_again_after(&mut self, status: Option<i32>) {
        assert_eq!(self.worker.ended().code(), status, "{}", self.worker.log());
        self.site.order("");
        self.worker = self.site.start();
    }

    async fn until_it_signs(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.client.sign("signing", &self.e, None).await.is_err() {
            assert!(Instant::now() < deadline, "{}", self.worker.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn signs(&self) {
        let signature = self.client.sign("signing", &self.e, None).await.unwrap();
        assert!(verifies(&self.key, &self.e, &signature));
    }
}

#[tokio::test]
async fn an_invalid_session_costs_one_retry_and_no_check() {
    let scene = Scene::new("").await;
    for code in ["0xB3", "0xB0", "0x90", "0x60", "0x82", "0x05"] {
        scene.site.order(&format!("C_Sign {code} 1"));
        scene.signs().await;
    }
    let status = scene.client.status().await.unwrap();
    assert_eq!((status.sign_failures_total, status.sessions_reopened_total), (6, 6));
    assert_eq!(status.logins_total, 1);
}

#[tokio::test]
async fn each_code_of_the_table_gets_its_remedy_and_codes_of_vendors_that_of_a_lost_device() {
    let mut scene = Scene::new("").await;
    let vendors = [0x777, 0x8000_0384].map(|code| (code, "a vendor's", Remedy::Reinitialise));
    for (code, name, remedy) in return_codes().chain(vendors) {
        scene.site.order(&format!("C_Sign {code:#x} 1"));
        let signed = scene.client.sign("signing", &scene.e, None).await;
        match (remedy, signed) {
            (Remedy::NewSession | Remedy::FindKey | Remedy::LogIn | Remedy::Reinitialise, Ok(signature)) => {
                assert!(verifies(&scene.key, &scene.e, &signature), "{name}");
            }
            (Remedy::NextToken, Err(WorkerError::Busy)) => {}
            (Remedy::Respawn, Err(WorkerError::Unavailable(_))) => scene.starts_again_after(Some(69)),
            (Remedy::Profile, Err(WorkerError::Refused { code, .. })) if code == codes::PROFILE => {}
            (Remedy::Fail, Err(WorkerError::Refused { code, .. })) if code == codes::TOKEN => {}
            (Remedy::NeverRetry, Err(WorkerError::Refused { code, .. })) if code == codes::CREDENTIALS => {
                scene.starts_again_after(Some(77));
            }
            (remedy, signed) => panic!("{name} should have been {remedy:?}: {signed:?}"),
        }
        assert_eq!(scene.client.status().await.unwrap().reinitialisations_total, 0, "{name}: a new session was enough");
        scene.site.order("");
        scene.signs().await;
    }
}

#[tokio::test]
async fn a_profile_changes_lines_of_the_table() {
    let site = Site::faulty();
    site.change_profile(
        "[session]",
        "[errors]\nCKR_FUNCTION_FAILED = \"next-token\"\n\"0x80000384\" = \"fail\"\n\n[session]",
    );
    let scene = Scene::over(site).await;
    scene.site.order("C_Sign 0x6 1");
    assert_eq!(scene.client.sign("signing", &scene.e, None).await.unwrap_err(), WorkerError::Busy);
    scene.site.order("C_Sign 0x80000384 1");
    let refused = scene.client.sign("signing", &scene.e, None).await.unwrap_err();
    assert!(matches!(&refused, WorkerError::Refused { code, .. } if code == codes::TOKEN), "{refused}");
    scene.signs().await;
}

#[tokio::test]
async fn losing_every_session_and_the_login_costs_one_login_and_no_check() {
    let scene = Scene::new("threads = 3").await;
    for _ in 0..6 {
        scene.signs().await;
    }
    scene.site.order("C_Sign close-all 1");
    for _ in 0..12 {
        scene.signs().await;
    }
    scene.client.generate_key("another").await.unwrap();
    assert_eq!(scene.client.status().await.unwrap().logins_total, 2);
    assert_eq!(scene.site.calls("C_Login"), 2);
}

#[tokio::test]
async fn a_token_that_was_away_is_served_again_by_the_same_worker() {
    let scene = Scene::new("").await;
    let before = scene.client.status().await.unwrap();
    scene.site.order("C_Sign 0x32\nC_OpenSession 0xE0");
    let error = scene.client.sign("signing", &scene.e, None).await.unwrap_err();
    assert!(matches!(&error, WorkerError::Unavailable(why) if why.contains("CKR_TOKEN_NOT_PRESENT")), "{error}");
    // A long absence is told at once, and the state can be read.
    let error = scene.client.sign("signing", &scene.e, None).await.unwrap_err();
    assert!(matches!(&error, WorkerError::Unavailable(why) if why.contains("away")), "{error}");
    assert!(scene.client.status().await.unwrap().away.is_some());
    scene.site.order("");
    scene.until_it_signs().await;
    let after = scene.client.status().await.unwrap();
    assert_eq!((after.pid, after.reinitialisations_total, after.away), (before.pid, 1, None));
    assert_eq!(after.logins_total, before.logins_total + 1);
    assert_eq!(after.self_proofs_total, before.self_proofs_total + 1, "proven before it serves");
    assert!(after.return_codes.iter().any(|code| code.name == "CKR_DEVICE_REMOVED" && code.total > 0));
    assert!(after.last_success_ms > before.last_success_ms);
}

#[tokio::test]
async fn a_short_absence_costs_a_wait_and_no_check() {
    let scene = Scene::new("threads = 3").await;
    // Two tries of the request, and the first attempt to bring the token back.
    scene.site.order("C_Sign 0x30 3\nC_OpenSession 0x30 2");
    scene.signs().await;
    let status = scene.client.status().await.unwrap();
    assert!(status.reinitialisations_total >= 1, "{status:?}");
    for _ in 0..6 {
        scene.signs().await;
    }
}

#[tokio::test]
async fn a_token_that_is_away_at_start_ends_the_worker_to_be_started_again_and_costs_no_login() {
    let scene = Scene::new("").await;
    drop(scene.worker);
    scene.site.order("C_OpenSession 0xE0");
    let logins = scene.site.calls("C_Login");
    let mut worker = scene.site.spawn();
    assert_eq!(worker.ended().code(), Some(69), "{}", worker.log());
    assert_eq!(scene.site.calls("C_Login"), logins);
    scene.site.order("");
    let worker = scene.site.start();
    Scene { worker, ..scene }.signs().await;
}

#[tokio::test]
async fn a_family_that_does_not_survive_finalising_gets_a_new_process_at_once() {
    let site = Site::faulty();
    site.change_profile("[session]", "[session]\nrecovery = \"respawn\"");
    let mut scene = Scene::over(site).await;
    scene.site.order("C_Sign 0x32\nC_OpenSession 0xE0");
    let error = scene.client.sign("signing", &scene.e, None).await.unwrap_err();
    assert!(matches!(error, WorkerError::Unavailable(_)), "{error}");
    assert_eq!(scene.worker.ended().code(), Some(69), "{}", scene.worker.log());
    scene.site.order("");
    let _worker = scene.site.start();
    scene.signs().await;
}

#[tokio::test]
async fn a_call_that_hangs_ends_the_worker_within_its_limit() {
    let mut scene = Scene::new("call_timeout_ms = 3000").await;
    scene.site.order("C_Sign hang");
    let asked = Instant::now();
    let error = scene.client.sign("signing", &scene.e, None).await.unwrap_err();
    assert!(matches!(error, WorkerError::Unavailable(_)), "{error}");
    assert_eq!(scene.worker.ended().code(), Some(75), "{}", scene.worker.log());
    assert!(asked.elapsed() > Duration::from_secs(3), "not before its limit");
    scene.site.order("");
    let _worker = scene.site.start();
    scene.signs().await;
}

#[tokio::test]
async fn a_module_without_room_is_busy_and_not_lost() {
    let scene = Scene::new("").await;
    scene.site.order("C_Sign 0x31 1");
    assert_eq!(scene.client.sign("signing", &scene.e, None).await.unwrap_err(), WorkerError::Busy);
    scene.signs().await;
}

#[tokio::test]
async fn a_short_signature_is_asked_for_again() {
    let scene = Scene::new("").await;
    scene.site.order("C_Sign shorten 1");
    scene.signs().await;
    scene.site.order("C_Sign shorten");
    let error = scene.client.sign("signing", &scene.e, None).await.unwrap_err();
    assert!(matches!(error, WorkerError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_key_whose_proof_fails_at_start_does_not_serve() {
    let scene = Scene::new("").await;
    drop(scene.worker);
    scene.site.order("C_Sign corrupt");
    let worker = scene.site.start();
    let error = scene.client.sign("signing", &scene.e, None).await.unwrap_err();
    assert!(matches!(&error, WorkerError::Refused { code, .. } if code == codes::SELF_PROOF), "{error}");
    let listed = scene.client.list_keys().await.unwrap();
    assert!(!listed[0].proven && listed[0].problem.is_some());
    assert!(worker.log().contains("self-proof"));
}

#[tokio::test]
async fn fewer_sessions_than_threads_still_serve() {
    let site = Site::faulty();
    site.change_profile("[session]", "[session]\nmax = 1");
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    let e = digest(&key, b"m");
    assert!(verifies(&key, &e, &client.sign("signing", &e, None).await.unwrap()));
    assert_eq!(site.calls("C_OpenSession"), 1);
    assert_eq!(client.status().await.unwrap().threads, 1);
}

#[tokio::test]
async fn a_profile_that_signs_messages_needs_the_message() {
    let site = Site::new();
    site.change_profile("mechanism = 0x80008105\ninput = \"e\"", "mechanism = 0x80008102\ninput = \"message-with-z\"");
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    assert!(client.status().await.unwrap().needs_message);
    let e = digest(&key, b"m");
    let error = client.sign("signing", &e, None).await.unwrap_err();
    assert!(matches!(&error, WorkerError::Refused { code, .. } if code == codes::TBS_REQUIRED), "{error}");
    assert!(verifies(&key, &e, &client.sign("signing", &e, Some(b"m")).await.unwrap()));
    client.csr("signing", "CN=x").await.unwrap();
}

#[tokio::test]
async fn wrong_profiles_are_refused_by_the_field_to_change() {
    for (from, to, field) in [
        ("mechanism = 0x80008105", "mechanism = 0x80008102", "sign.input should be \"message-with-z\""),
        ("mechanism = 0x80008105", "mechanism = 0x8000ABCD", "sign.mechanism = 0x8000abcd"),
        ("encoding = \"raw\"", "encoding = \"der\"", "sign.encoding"),
        ("keygen_mechanism = 0x80008001", "keygen_mechanism = 0x8000ABCD", "key.keygen_mechanism = 0x8000abcd"),
        ("input = \"e\"", "input = \"message-with-z\"", "sign.input"),
    ] {
        let site = Site::new();
        site.change_profile(from, to);
        let _worker = site.start();
        let error = site.client().generate_key("signing").await.unwrap_err().to_string();
        assert!(error.contains(field) && error.contains("profile.toml"), "{to}: {error}");
    }
}

#[tokio::test]
async fn a_profile_of_another_token_ends_the_worker_for_good() {
    let site = Site::new();
    site.change_profile("model = \"SOFT development\"", "model = \"HARD\"");
    let mut worker = site.spawn();
    assert_eq!(worker.ended().code(), Some(78), "{}", worker.log());
    assert!(worker.log().contains("match.model"));
}
