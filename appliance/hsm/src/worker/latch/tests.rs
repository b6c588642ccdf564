#![allow(clippy::unwrap_used)]

use super::*;

struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A new process looks at the same directory.
    fn latch(&self) -> Latch {
        Latch::new(self.directory.path(), "token", "01", "/etc/pin".into())
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.latch().path).unwrap()
    }
}

const QUIET: TokenTries = TokenTries { wrong_before: false, final_try: false, locked: false };

fn right() -> Pin {
    Pin::from_octets(b"123456")
}

fn other() -> Pin {
    Pin::from_octets(b"654321")
}

#[test]
fn a_refused_pin_is_not_tried_again_until_it_changes() {
    let scene = Scene::new();
    let refused = scene.latch().set(&right(), QUIET).unwrap().refused("CKR_PIN_INCORRECT".into());
    assert!(matches!(refused, LatchError::Refused { .. }));
    for _ in 0..3 {
        let again = scene.latch().set(&right(), QUIET).unwrap_err();
        assert!(matches!(&again, LatchError::Refused { code, .. } if code == "CKR_PIN_INCORRECT"), "{again}");
        assert!(again.to_string().contains("/etc/pin"), "{again}");
    }
    scene.latch().set(&other(), QUIET).unwrap().clear().unwrap();
    scene.latch().set(&right(), QUIET).unwrap().clear().unwrap();
}

#[test]
fn a_pin_that_never_succeeded_gets_no_second_chance_after_a_crash() {
    let scene = Scene::new();
    let _ = scene.latch().set(&right(), QUIET).unwrap();
    assert!(matches!(scene.latch().set(&right(), QUIET), Err(LatchError::Undecided { .. })));
}

#[test]
fn a_pin_that_succeeded_survives_a_few_crashes_and_no_more() {
    let scene = Scene::new();
    scene.latch().set(&right(), QUIET).unwrap().clear().unwrap();
    for _ in 0..UNDECIDED_LIMIT {
        let _ = scene.latch().set(&right(), QUIET).unwrap();
    }
    assert!(matches!(scene.latch().set(&right(), QUIET), Err(LatchError::Undecided { .. })));
}

#[test]
fn after_a_crash_a_token_that_counts_a_wrong_try_is_believed() {
    let scene = Scene::new();
    scene.latch().set(&right(), QUIET).unwrap().clear().unwrap();
    let _ = scene.latch().set(&right(), QUIET).unwrap();
    let counted = TokenTries { wrong_before: true, ..QUIET };
    assert!(matches!(scene.latch().set(&right(), counted), Err(LatchError::Undecided { .. })));
}

#[test]
fn a_changed_pin_inherits_no_trust_from_the_one_before() {
    let scene = Scene::new();
    scene.latch().set(&right(), QUIET).unwrap().clear().unwrap();
    let _ = scene.latch().set(&right(), QUIET).unwrap();
    let _ = scene.latch().set(&other(), QUIET).unwrap();
    assert!(matches!(scene.latch().set(&other(), QUIET), Err(LatchError::Undecided { .. })));
}

#[test]
fn a_pin_put_in_after_a_success_of_another_gets_one_try() {
    let scene = Scene::new();
    scene.latch().set(&right(), QUIET).unwrap().clear().unwrap();
    let _ = scene.latch().set(&other(), QUIET).unwrap();
    assert!(matches!(scene.latch().set(&other(), QUIET), Err(LatchError::Undecided { .. })));
}

#[test]
fn a_latch_without_a_tag_trusts_no_pin() {
    let scene = Scene::new();
    let text = "format_version = 1\ntoken = \"token 01\"\nstate = \"clear\"\nproven = true\nundecided = 0\n";
    std::fs::write(&scene.latch().path, text).unwrap();
    let _ = scene.latch().set(&right(), QUIET).unwrap();
    assert!(matches!(scene.latch().set(&right(), QUIET), Err(LatchError::Undecided { .. })));
}

#[test]
fn a_latch_that_is_set_but_lost_its_tag_refuses() {
    for state in ["pending", "refused"] {
        let scene = Scene::new();
        let text = format!("format_version = 1\ntoken = \"t\"\nstate = \"{state}\"\nproven = true\nundecided = 1\n");
        std::fs::write(&scene.latch().path, text).unwrap();
        assert!(matches!(scene.latch().set(&right(), QUIET), Err(LatchError::File { .. })));
    }
}

#[test]
fn the_last_try_of_a_token_is_left_to_people() {
    let scene = Scene::new();
    for tries in [TokenTries { locked: true, ..QUIET }, TokenTries { final_try: true, ..QUIET }] {
        assert!(matches!(scene.latch().set(&right(), tries), Err(LatchError::Token(_))));
    }
}

#[test]
fn a_damaged_latch_refuses() {
    let scene = Scene::new();
    std::fs::write(&scene.latch().path, "state = \"clear\"").unwrap();
    assert!(matches!(scene.latch().set(&right(), QUIET), Err(LatchError::File { .. })));
}

#[test]
fn the_pin_is_on_disk_as_a_salted_tag_only_and_every_login_takes_a_new_salt() {
    let scene = Scene::new();
    let texts = [0, 1].map(|_| {
        scene.latch().set(&right(), QUIET).unwrap().clear().unwrap();
        scene.text()
    });
    assert_ne!(texts[0], texts[1]);
    for text in texts {
        assert!(!text.contains("123456") && !text.contains(&hex::encode(right().as_bytes())), "{text}");
    }
}

#[test]
fn a_try_that_never_reached_the_token_leaves_no_trace() {
    let scene = Scene::new();
    scene.latch().set(&right(), QUIET).unwrap().not_tried().unwrap();
    assert!(!scene.latch().path.exists());
    scene.latch().set(&right(), QUIET).unwrap().clear().unwrap();
    scene.latch().set(&right(), QUIET).unwrap().not_tried().unwrap();
    assert!(scene.text().contains("clear"));
}

#[test]
fn tokens_do_not_share_a_latch() {
    let scene = Scene::new();
    let _ = scene.latch().set(&right(), QUIET).unwrap().refused("CKR_PIN_INCORRECT".into());
    let sister = Latch::new(scene.directory.path(), "token", "02", "/etc/pin".into());
    sister.set(&right(), QUIET).unwrap().clear().unwrap();
}
