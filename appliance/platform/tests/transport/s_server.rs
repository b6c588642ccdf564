//! RFC 8998 with servers that are not ours: OpenSSL's own `s_server` (tests/openssl-cli), and Tongsuo's where it was built
//! (tests/tongsuo). What was agreed on is read from what they print.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use yanqian_platform::{ConnectStage, Security, SendError};

use crate::support::World;

/// How long a line may take; test machines are busy.
const LIMIT: Duration = Duration::from_secs(30);

/// The program that a script of tests/ builds below target/; none, with a notice, where it did not.
fn program(script: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        |target| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(target),
    );
    let program = target.join(script).join("openssl");
    if program.exists() {
        return Some(program);
    }
    eprintln!("SKIPPED: {} is not there; tests/{script}/build makes it", program.display());
    None
}

struct Server {
    process: Child,
    lines: Receiver<String>,
    said: String,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// With the platform's TLS certificate; a client must show one of the using entities' authority.
    fn start(program: &Path, world: &World, agree: &[&str]) -> Self {
        let pair = world.layout.platform("tls");
        let mut process = Command::new(program)
            .args(["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-Verify", "2", "-verify_return_error"])
            .arg("-cert")
            .arg(&pair.certificate)
            .arg("-key")
            .arg(&pair.key)
            .arg("-cert_chain")
            .arg(world.layout.platform("issuing").certificate)
            .arg("-CAfile")
            .arg(world.layout.entity("ca").certificate)
            .args(agree)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|octets| octets > 0) {
                if sender.send(String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut server = Self { process, lines, said: String::new(), address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let line = server.until("ACCEPT");
        server.address = line.trim().trim_start_matches("ACCEPT ").parse().unwrap();
        server
    }

    fn until(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(LIMIT) else { panic!("no {text:?} in\n{}", self.said) };
            self.said.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// What is written to it goes to the client.
    fn answer(&mut self, octets: &[u8]) {
        let input = self.process.stdin.as_mut().unwrap();
        input.write_all(octets).unwrap();
        input.flush().unwrap();
    }
}

const RFC8998: [&str; 6] = ["-ciphersuites", "TLS_SM4_GCM_SM3", "-groups", "curveSM2", "-sigalgs", "sm2sig_sm3"];

async fn they_and_we_agree(program: &Path) -> String {
    let world = World::new();
    let mut server = Server::start(program, &world, &RFC8998);
    let security = |settings: &mut yanqian_platform::LinkSettings| {
        settings.security = Security::rfc8998(world.client_key()).unwrap();
    };
    let client = world.client(security, &[server.address]);
    let request = world.request();
    let told = tokio::task::spawn_blocking(move || {
        server.until("POST ");
        // The body has no line of its own: it stands before whatever the server prints next.
        server.until("accept: application/json");
        server.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}");
        server
    });
    let answer = client.send(&request, &world.trust).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    told.await.unwrap().said.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn openssls_own_server_and_we_agree_on_rfc8998() {
    let Some(program) = program("openssl-cli") else { return };
    let said = they_and_we_agree(&program).await;
    for fact in [
        "CIPHER is TLS_SM4_GCM_SM3",
        "Shared Signature Algorithms: sm2sig_sm3",
        "Peer signature type: sm2sig_sm3",
        "Shared groups: curveSM2",
        "Example Bank TLS",
    ] {
        assert!(said.contains(fact), "{fact} is not in\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tongsuos_own_server_and_we_agree_on_rfc8998() {
    let Some(program) = program("tongsuo") else { return };
    let said = they_and_we_agree(&program).await;
    for fact in ["CIPHER is TLS_SM4_GCM_SM3", "Example Bank TLS"] {
        assert!(said.contains(fact), "{fact} is not in\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssls_own_server_with_another_suite_group_or_scheme_gets_nothing() {
    let Some(program) = program("openssl-cli") else { return };
    let world = World::new();
    for other in [
        ["-ciphersuites", "TLS_AES_128_GCM_SHA256", "-groups", "curveSM2"],
        ["-ciphersuites", "TLS_SM4_GCM_SM3", "-groups", "X25519:P-256"],
        ["-ciphersuites", "TLS_SM4_CCM_SM3", "-groups", "curveSM2"],
    ] {
        let server = Server::start(&program, &world, &other);
        let security = |settings: &mut yanqian_platform::LinkSettings| {
            settings.security = Security::rfc8998(world.client_key()).unwrap();
        };
        let client = world.client(security, &[server.address]);
        assert_eq!(client.send(&world.request(), &world.trust).await.err(), Some(SendError::NotSent), "{other:?}");
        assert_eq!(client.stats().endpoints[0].failed_connections[ConnectStage::Tls as usize], 1, "{other:?}");
    }
}
