//! Callers that waste the listener's time, memory or understanding. While they do, another caller is served as ever, and
//! afterwards counters and ledger tell what happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use yanqian_harness::{Caller, File, Options, Protocol, REAL_NAME, Site, raise_open_files};

use crate::support::{assert_problem, assert_verdict, good, site, site_with};

/// Whoever is not at fault waits no longer than this, on a machine with two cores that the abuse shares.
const PROMPT: Duration = Duration::from_secs(3);

/// Patience of the daemon in these tests.
pub(crate) fn impatient(options: Options) -> Options {
    options
        .with(File::Daemon, "limits.head_ms", 1500)
        .with(File::Daemon, "limits.handshake_ms", 1500)
        .with(File::Daemon, "limits.body_ms", 1500)
        .with(File::Daemon, "limits.body_idle_ms", 600)
        .with(File::Daemon, "limits.idle_ms", 2000)
        .with(File::Daemon, "limits.reply_ms", 1000)
}

/// A caller who asks a check after the other, over both protocols in turn, while something else goes on.
pub(crate) struct Neighbour {
    enough: Arc<AtomicBool>,
    asking: JoinHandle<(u32, Duration)>,
}

impl Neighbour {
    pub(crate) fn of(site: &Site) -> Self {
        Self::asking(site, good("neighbour"))
    }

    /// One who asks this, and is told that it matches.
    pub(crate) fn asking(site: &Site, request: serde_json::Value) -> Self {
        let caller = site.caller("branch-kiosk").unwrap();
        let enough = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&enough);
        let asking = tokio::spawn(async move {
            let (mut served, mut slowest) = (0, Duration::ZERO);
            while served < 2 || !stop.load(Ordering::Relaxed) {
                let protocol = Protocol::BOTH[served as usize % 2];
                let began = Instant::now();
                assert_verdict(&caller.over(protocol).ask(&request).await.unwrap(), "match");
                slowest = slowest.max(began.elapsed());
                served += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (served, slowest)
        });
        Self { enough, asking }
    }

    /// Asserts that every check was answered, and promptly.
    pub(crate) async fn was_served(self) {
        self.enough.store(true, Ordering::Relaxed);
        let (served, slowest) = self.asking.await.expect("the neighbour is served");
        assert!(slowest < PROMPT, "the slowest of {served} checks took {slowest:?}");
    }
}

/// Asserts that metrics and, after a stop, the ledger's aggregates tell of at least so many turned away for a cause.
pub(crate) async fn assert_told(mut site: Site, causes: &[(&str, u64)]) {
    let counted = site.metrics().await.unwrap().by_label("yanqian_rejected_total", "cause");
    site.stop_daemon().expect("an orderly stop");
    let records = site.ledger_records().unwrap();
    for (cause, least) in causes {
        let count = counted.get(*cause).copied().unwrap_or_default();
        assert!(count >= *least, "{cause}: {count} of {least} in {counted:?}");
        let pointer = format!("/body/rejected/{cause}");
        let recorded: u64 =
            records.iter().filter_map(|record| record.0.pointer(&pointer).and_then(serde_json::Value::as_u64)).sum();
        assert!(recorded >= count, "{cause}: {recorded} recorded, {count} counted");
    }
}

async fn ends(stream: &mut (impl tokio::io::AsyncRead + Unpin), limit: Duration) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(limit, stream.read_to_end(&mut answer)).await.expect("ended in time");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_end_by_their_deadline() {
    let site = site_with(impatient).await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(caller.connect().await.unwrap());
                let began = Instant::now();
                let dripping = tokio::spawn(async move {
                    for octet in format!("POST {REAL_NAME} HTTP/1.1\r\nx-slow: {}", "y".repeat(1000)).into_bytes() {
                        if writer.write_all(&[octet]).await.is_err() || writer.flush().await.is_err() {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                });
                ends(&mut reader, Duration::from_secs(8)).await;
                dripping.abort();
                began.elapsed()
            })
        })
        .collect();
    for task in slow {
        let lasted = task.await.unwrap();
        assert!(lasted < Duration::from_secs(5), "{lasted:?}");
    }
    neighbour.was_served().await;
    assert_told(site, &[("head-timeout", 200)]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout)] // for the reader of a test that could do less than its name says
async fn ten_thousand_silent_connections_are_carried_and_then_ended() {
    // The connections stand twice: here and in the daemon, which has this process' limit and a few files of its own.
    let files = raise_open_files(12_000);
    let count = usize::try_from(files).unwrap().saturating_sub(1000).min(10_000);
    if count < 10_000 {
        println!("only {count} connections: the limit of open files is {files}");
    }
    let site = site_with(|options| {
        options.with(File::Daemon, "limits.max_handshakes", 11_000).with(File::Daemon, "limits.handshake_ms", 8000)
    })
    .await;
    let address = site.caller("core-banking").unwrap().address();
    let neighbour = Neighbour::of(&site);
    let mut silent = Vec::with_capacity(count);
    while silent.len() < count {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let open = site.metrics().await.unwrap().sum("yanqian_connections");
    assert!(usize::try_from(open).unwrap() >= count * 9 / 10, "{open} of {count} are held at once");
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("in the crowd")).await.unwrap(), "match");
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.daemon_pid().unwrap())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let resident: usize = resident.unwrap().trim().parse().unwrap();
    assert!(resident < 300_000, "{resident} kB for {count} connections");
    for stream in &mut silent {
        ends(stream, Duration::from_secs(12)).await;
    }
    neighbour.was_served().await;
    assert_told(site, &[("tls-handshake", count as u64)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_beyond_the_places_make_room_for_newcomers() {
    let site = site_with(|options| options.with(File::Daemon, "limits.max_handshakes", 64)).await;
    let address = site.caller("core-banking").unwrap().address();
    let neighbour = Neighbour::of(&site);
    let mut silent = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        silent.push(TcpStream::connect(address).await.unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    neighbour.was_served().await;
    assert!(silent.len() > 150, "{}", silent.len());
    assert_told(site, &[("connection-limit", 100)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_of_one_caller_stop_at_its_share() {
    raise_open_files(12_000);
    let site = site_with(|options| {
        options.with(File::Daemon, "limits.max_connections", 1500).with(
            File::Daemon,
            "limits.max_connections_per_caller",
            1000,
        )
    })
    .await;
    let greedy = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let lanes: Vec<_> = (0..4)
        .map(|lane| {
            let caller = greedy.over(Protocol::BOTH[lane % 2]);
            tokio::spawn(async move {
                let mut open = Vec::new();
                for _ in 0..500 {
                    // Beyond the share the daemon hangs up, in the midst of the handshake's last words or after them.
                    open.extend(caller.connect().await.ok());
                }
                open
            })
        })
        .collect();
    let mut open = Vec::new();
    for lane in lanes {
        open.extend(lane.await.unwrap());
    }
    assert!(open.len() >= 1000, "{}", open.len());
    neighbour.was_served().await;
    assert_told(site, &[("caller-connection-limit", 900)]).await;
}

/// A request in which one reader may see an end where another sees none, and what an attacker hopes to be read as a second.
fn shapes() -> Vec<(&'static str, String)> {
    let smuggled = "GET /v1/verifications/01890000-0000-7000-8000-000000000000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let post = |fields: &str, body: &str| format!("POST /v1/nothing HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n{body}");
    let chunked = "transfer-encoding: chunked\r\n";
    vec![
        ("CL.TE", post(&format!("content-length: 6\r\n{chunked}"), &format!("0\r\n\r\n{smuggled}"))),
        ("TE.CL", post(&format!("{chunked}content-length: 4\r\n"), &format!("5c\r\n{smuggled}0\r\n\r\n"))),
        ("TE.TE", post(&format!("{chunked}transfer-encoding: x\r\n"), &format!("0\r\n\r\n{smuggled}"))),
        ("TE in disguise", post("transfer-encoding : chunked\r\n", &format!("0\r\n\r\n{smuggled}"))),
        ("TE not chunked", post("transfer-encoding: gzip, x\r\n", &format!("0\r\n\r\n{smuggled}"))),
        ("two lengths", post("content-length: 0\r\ncontent-length: 92\r\n", smuggled)),
        ("one length twice", post("content-length: 0\r\ncontent-length: 0\r\n", smuggled)),
        ("a list of lengths", post("content-length: 0, 92\r\n", smuggled)),
        ("a signed length", post("content-length: +0\r\n", smuggled)),
        ("a hexadecimal length", post("content-length: 0x0\r\n", smuggled)),
        ("obs-fold", post("x: y\r\n z\r\n", smuggled)),
        ("obs-fold of a length", post("content-length:\r\n 0\r\n", smuggled)),
        ("bare LF after a field", post("x: y\ncontent-length: 0\r\n", smuggled)),
        ("bare LF in the request line", format!("GET /v1/nothing HTTP/1.1\nhost: localhost\r\n\r\n{smuggled}")),
        ("bare LF at the end", format!("GET /v1/nothing HTTP/1.1\r\nhost: localhost\r\n\n{smuggled}")),
        ("bare CR", post("x: y\rcontent-length: 0\r\n", smuggled)),
        ("NUL", post("x: y\0z\r\n", smuggled)),
        ("no host", format!("GET /v1/nothing HTTP/1.1\r\n\r\n{smuggled}")),
        ("two hosts", format!("GET /v1/nothing HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n{smuggled}")),
        ("a chunk size that is none", post(chunked, &format!("-1\r\n\r\n{smuggled}"))),
        ("a chunk size too large", post(chunked, &format!("fffffffffffffffff\r\n\r\n{smuggled}"))),
        ("a chunk that is longer than it says", post(chunked, &format!("2\r\nabcdef\r\n0\r\n\r\n{smuggled}"))),
        ("a chunk with bare LF", post(chunked, &format!("0\n\n{smuggled}"))),
        ("a chunked body and more", post(chunked, &format!("0\r\n\r\n{smuggled}"))),
        ("HTTP/0.9", format!("GET /v1/nothing\r\n{smuggled}")),
        ("no version", format!("GET /v1/nothing \r\n\r\n{smuggled}")),
        ("spaces in the target", format!("GET /v1/no thing HTTP/1.1\r\nhost: localhost\r\n\r\n{smuggled}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_read_in_two_ways_is_read_in_none() {
    let site = site_with(impatient).await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    for (name, octets) in shapes() {
        let answer = caller.write_raw(octets.as_bytes(), Duration::from_secs(6)).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        let answers = text.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{name}: the second request was answered: {text}");
        // A chunked body is the resource's matter, and the last thing that is read on its connection.
        let status = if name.starts_with("a chunk") { "404" } else { "400" };
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {text}");
        assert!(text.contains("connection: close"), "{name}: {text}");
        assert!(!text.contains("01890000"), "{name}: nothing is echoed: {text}");
    }
    neighbour.was_served().await;
    assert_told(site, &[("http-malformed", 22)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_requests_that_are_clear_are_answered_once_each() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let body = good("r").to_string();
    let fields = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let ask = async |target: &str, more: &str| {
        let octets =
            format!("POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}{more}\r\n{body}");
        let answer = caller.write_raw(octets.as_bytes(), Duration::from_secs(5)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    // Absolute form (RFC 9112 3.2.2): the authority is not looked at, the certificate says who asks.
    let text = ask(&format!("https://localhost{REAL_NAME}"), "").await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.matches("HTTP/1.1 ").count() == 1, "{text}");
    let text = ask(REAL_NAME, "expect: 100-continue\r\n").await;
    assert!(text.starts_with("HTTP/1.1 100 ") && text.contains("HTTP/1.1 200 "), "{text}");
    // An expectation that nobody knows is no reason to wait.
    let text = ask(REAL_NAME, "expect: the-unexpected\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.matches("HTTP/1.1 ").count() == 1, "{text}");
    for method in ["TRACE", "CONNECT", "OPTIONS", "PATCH", "UNLINK"] {
        let octets = format!("{method} {REAL_NAME} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = caller.write_raw(octets.as_bytes(), Duration::from_secs(5)).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 4") && text.matches("HTTP/1.1 ").count() == 1, "{method}: {text}");
    }
}

fn gzip_of_spaces(count: usize) -> Vec<u8> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut gzip = Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(&vec![b' '; count]).unwrap();
    gzip.wait_with_output().unwrap().stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_refused_and_never_inflated() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let bomb = gzip_of_spaces(10 << 20);
    assert!(bomb.len() < 16 * 1024, "small enough to be read");
    for protocol in Protocol::BOTH {
        for encoding in ["gzip", "deflate", "br", "zstd", "identity, gzip"] {
            let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
            let caller = caller.over(protocol);
            let reply = caller.send("POST".parse().unwrap(), REAL_NAME, &headers, bomb.clone()).await.unwrap();
            assert_problem(&reply, 415, "content-encoding-unsupported");
        }
    }
    neighbour.was_served().await;
    let refused = site.metrics().await.unwrap().by_label("yanqian_refusals_total", "reason");
    assert_eq!(refused.get("content-encoding-unsupported"), Some(&10), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_out_of_date_or_absent_open_nothing() {
    let site = site().await;
    let pki = site.places().pki();
    let now = OffsetDateTime::now_utc();
    let day = time::Duration::DAY;
    let mut callers: Vec<Caller> = vec![site.nobody().unwrap()];
    for (name, validity) in [("expired", (now - 30 * day, now - day)), ("early", (now + day, now + 30 * day))] {
        let pair = yanqian_devpki::issue_caller(&pki, name, "core-banking", validity).unwrap();
        callers.push(site.caller_with(name, Some(&pair)).unwrap());
    }
    let current = yanqian_devpki::issue_caller(&pki, "current", "core-banking", (now - day, now + day)).unwrap();
    let neighbour = Neighbour::of(&site);
    for caller in &callers {
        for protocol in Protocol::BOTH {
            assert!(caller.over(protocol).ask(&good("r")).await.is_err(), "{}", caller.name());
        }
    }
    let current = site.caller_with("current", Some(&current)).unwrap();
    assert_verdict(&current.ask(&good("r")).await.unwrap(), "match");
    neighbour.was_served().await;
    assert_told(site, &[("tls-handshake", 6)]).await;
}
