use std::os::unix::fs::PermissionsExt;

use crate::support::{PIN, Site};

#[test]
fn a_wrong_pin_is_tried_once_however_often_the_worker_starts() {
    let site = Site::faulty();
    site.write_pin("wrong-pin");
    for round in 0..3 {
        let mut worker = site.spawn();
        assert_eq!(worker.ended().code(), Some(77), "round {round}: {}", worker.log());
        assert_eq!(site.calls("C_Login"), 1, "round {round}");
        let log = worker.log();
        assert!(log.contains("CKR_PIN_INCORRECT") && log.contains(site.path("pin").to_str().unwrap()), "{log}");
        assert!(!log.contains("wrong-pin"), "{log}");
    }
    // Another PIN may be tried, and the right one serves.
    site.write_pin(PIN);
    let _worker = site.start();
    assert_eq!(site.calls("C_Login"), 2);
}

#[test]
fn a_pin_that_crashes_the_module_at_its_first_login_is_not_tried_again() {
    let site = Site::faulty();
    site.order("C_Login abort");
    let mut worker = site.spawn();
    assert_eq!(worker.ended().code(), None, "aborted");
    for _ in 0..2 {
        let mut worker = site.spawn();
        assert_eq!(worker.ended().code(), Some(77), "{}", worker.log());
    }
    assert_eq!(site.calls("C_Login"), 1);
}

#[test]
fn a_pin_that_has_served_survives_a_crash_in_login() {
    let site = Site::faulty();
    drop(site.start());
    site.order("C_Login abort");
    let mut worker = site.spawn();
    assert_eq!(worker.ended().code(), None, "aborted");
    site.order("");
    let _worker = site.start();
}

#[test]
fn a_stop_during_the_first_login_waits_for_its_outcome() {
    let site = Site::faulty();
    site.order("C_Login sleep");
    let mut worker = site.spawn();
    while site.calls("C_Login") == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    worker.signal(rustix::process::Signal::TERM);
    assert_eq!(worker.ended().code(), Some(0), "{}", worker.log());
    let _worker = site.start();
}

#[test]
fn a_token_that_is_away_during_login_costs_no_try() {
    let site = Site::faulty();
    site.order("C_Login 0x32");
    let mut worker = site.spawn();
    assert_eq!(worker.ended().code(), Some(69), "{}", worker.log());
    site.order("");
    let _worker = site.start();
}

#[test]
fn already_logged_in_is_success() {
    let site = Site::faulty();
    site.order("C_Login 0x100");
    let _worker = site.start();
}

#[test]
fn a_pin_file_that_others_can_read_is_refused_before_the_module_is_loaded() {
    let site = Site::faulty();
    std::fs::set_permissions(site.path("pin"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut worker = site.spawn();
    assert_eq!(worker.ended().code(), Some(77));
    assert!(worker.log().contains("chmod 600"), "{}", worker.log());
    assert_eq!(site.calls("C_OpenSession"), 0);
}

#[test]
fn an_initialised_token_is_initialised_again_by_force_only() {
    let site = Site::new();
    let output = site.init_token(&[]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("already-initialised"));
    drop(site.start());
    site.write_pin("new-pin-1");
    assert!(site.init_token(&["force"]).status.success());
    drop(site.start());
}

#[tokio::test]
async fn a_token_that_a_worker_uses_is_not_initialised_under_it() {
    let site = Site::new();
    let worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let output = site.init_token(&["force"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("in-use") && said.contains("stop it first"), "{said}");
    assert_eq!(client.list_keys().await.unwrap().len(), 1);
    drop(worker);
    assert!(site.init_token(&["force"]).status.success());
}

#[test]
fn a_wrong_pin_of_the_security_officer_is_tried_once() {
    let site = Site::faulty();
    let said = |rest: &[&str]| {
        let output = site.init_token(rest);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    site.write_secret("so-pin", "wrong-so-pin");
    for round in 0..3 {
        let (done, said) = said(&["force"]);
        assert!(!done && said.contains("CKR_PIN_INCORRECT") && said.contains("not tried again"), "{said}");
        assert!(said.contains("so-pin") && !said.contains("wrong-so-pin"), "{said}");
        assert_eq!(site.calls("C_InitToken"), 1, "round {round}");
    }
    // The user's PIN has its own latch: the worker serves.
    drop(site.start());
    site.write_secret("so-pin", crate::support::SO_PIN);
    let (done, said) = said(&["force"]);
    assert!(done, "{said}");
    assert_eq!(site.calls("C_InitToken"), 2);
    drop(site.start());
}

#[test]
fn a_pin_of_the_security_officer_that_has_served_survives_a_crash() {
    let site = Site::faulty();
    site.order("C_InitToken abort");
    assert!(!site.init_token(&["force"]).status.success());
    site.order("");
    let output = site.init_token(&["force"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_pin_of_the_security_officer_that_never_served_gets_no_second_chance_after_a_crash() {
    let site = Site::faulty();
    site.write_secret("so-pin", "another-so-pin");
    site.order("C_InitToken abort");
    assert!(!site.init_token(&["force"]).status.success());
    site.order("");
    let output = site.init_token(&["force"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("credentials") && said.contains("under way"), "{said}");
    assert_eq!(site.calls("C_InitToken"), 1);
}

#[test]
fn a_pin_file_of_the_security_officer_that_others_can_read_is_refused() {
    let site = Site::faulty();
    site.write_secret("so-pin", crate::support::SO_PIN);
    std::fs::set_permissions(site.path("so-pin"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = site.init_token(&["force"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("chmod 600"));
    assert_eq!(site.calls("C_InitToken"), 0);
}
