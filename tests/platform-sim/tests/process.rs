//! The binary: ready file, control listener, signals.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::exchange;
use serde_json::{Value, json};
use yanqian_devpki::Options;

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(directory: &Path) -> (Child, SocketAddr, SocketAddr) {
    let ready = directory.join("ready.json");
    let child = Command::new(env!("CARGO_BIN_EXE_yanqian-platform-sim"))
        .arg("--pki")
        .arg(directory)
        .arg("--ready-file")
        .arg(&ready)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = wait_for("the ready file", || std::fs::read(&ready).ok());
    let ready: Value = serde_json::from_slice(&text).unwrap();
    let address = |name: &str| ready[name].as_str().unwrap().parse().unwrap();
    (child, address("https"), address("control"))
}

fn control(to: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(to).unwrap();
    let got = exchange(&mut stream, method, path, "application/json", body).unwrap();
    (got.status, serde_json::from_slice(&got.body).unwrap())
}

#[test]
fn it_says_where_it_listens_takes_orders_and_ends_on_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    yanqian_devpki::generate(directory.path(), &Options::default()).unwrap();
    for signal in ["TERM", "INT"] {
        let (mut child, _https, to) = start(directory.path());
        let (status, state) = control(to, "POST", "/control", r#"{"misbehave":"huge-body","times":3,"delay_ms":5}"#);
        let none = json!({"answers":0,"connections":0});
        assert_eq!((status, state), (200, json!({"misbehave":"huge-body","times":3,"delay_ms":5,"waiting":none})));
        let (status, state) = control(to, "POST", "/control", r#"{"queue":["nonce/empty",null,"tls/silent"]}"#);
        assert_eq!((status, &state["waiting"]), (200, &json!({"answers":2,"connections":1})));
        let (status, error) = control(to, "POST", "/control", r#"{"misbehave":"politeness"}"#);
        assert!(status == 400 && error["error"].as_str().unwrap().contains("broken-signature"), "{error}");
        assert_eq!(control(to, "POST", "/control", "{").0, 400);
        assert_eq!(control(to, "POST", "/control", r#"{"misbehave":null}"#).1["misbehave"], Value::Null);
        assert_eq!(control(to, "GET", "/stats", "").1, json!({"requests":0,"nonces":0,"duplicates":0,"refused":0}));
        assert_eq!(control(to, "GET", "/seen", "").1, json!([]));
        assert_eq!(control(to, "POST", "/reset", "").1["delay_ms"], 0);
        assert_eq!(control(to, "GET", "/", "").0, 404);

        assert!(Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status().unwrap().success());
        let status = wait_for("the end", || child.try_wait().unwrap());
        assert!(status.success());
        std::fs::remove_file(directory.path().join("ready.json")).unwrap();
    }
}

#[test]
fn without_a_pki_it_says_which_file_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_yanqian-platform-sim")).arg("--pki").arg(directory.path()).output();
    let output = output.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("platform/signing.pem"));
}
