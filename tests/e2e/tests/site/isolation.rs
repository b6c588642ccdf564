//! The process that faces the network holds neither the token's library nor its PIN.

use crate::support::{assert_verdict, good, site};

const MODULE: &str = "softtoken";

fn proc(pid: u32, entry: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/{pid}/{entry}")).unwrap_or_else(|error| panic!("/proc/{pid}/{entry}: {error}"))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Whether this test may look at the daemon at all: a process that is not dumpable shows itself to root only.
fn may_look(pid: u32) -> bool {
    let may = std::fs::read(format!("/proc/{pid}/maps")).is_ok_and(|maps| !maps.is_empty());
    if !may {
        eprintln!("not looked at: /proc/{pid} is closed to this user; run the suite as root");
    }
    may
}

/// None where the kernel forbids looking.
fn open_files(pid: u32) -> Option<Vec<String>> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    Some(files)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_maps_no_pkcs11_module_and_reaches_no_pin() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("r")).await.unwrap(), "match");
    let (daemon, worker) = (site.daemon_pid().unwrap(), site.worker_pid().unwrap());
    if !may_look(daemon) {
        return;
    }

    let maps = String::from_utf8(proc(daemon, "maps")).unwrap();
    assert!(!maps.contains(MODULE) && !maps.to_lowercase().contains("pkcs11"), "{maps}");
    // A worker that forbids looking is right to; root may look all the same.
    if let Ok(maps) = std::fs::read_to_string(format!("/proc/{worker}/maps")) {
        assert!(maps.contains(MODULE), "the worker does map it: {maps}");
    }

    let pin = std::fs::read(site.places().pin()).unwrap();
    let hsm = site.places().hsm().display().to_string();
    for entry in ["environ", "cmdline"] {
        let octets = proc(daemon, entry);
        assert!(!contains(&octets, &pin) && !contains(&octets, hsm.as_bytes()), "{entry}");
    }
    let files = open_files(daemon).expect("the daemon's list of files");
    assert!(!files.iter().any(|file| file.starts_with(&hsm)), "{files:?}");
    assert!(files.iter().any(|file| file.contains("ledger")), "the list is a real one: {files:?}");
}

/// Reads what a process has in memory that it can write to.
fn memory(pid: u32) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = String::from_utf8(proc(pid, "maps")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut region = vec![0; usize::try_from(to - from).ok()?];
        if memory.read_exact_at(&mut region, from).is_ok() {
            all.extend_from_slice(&region);
        }
    }
    Some(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pin_is_nowhere_in_the_daemons_memory() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("r")).await.unwrap(), "match");
    // Where the kernel forbids looking (Yama, without root), /proc/maps in the test above must do.
    let Some(memory) = memory(site.daemon_pid().unwrap()) else { return };
    assert!(contains(&memory, b"core-banking"), "the search finds what is there");
    let pin = std::fs::read(site.places().pin()).unwrap();
    assert!(!contains(&memory, &pin), "the PIN is in the daemon's memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn separate_users_cannot_read_each_others_secrets() {
    let site = site().await;
    if !site.options().users.are_separate() {
        // Without root everything runs under one user, and there is nothing to keep apart.
        return;
    }
    let places = site.places();
    let token = places.token().join("token.cbor");
    for secret in [places.pin(), places.so_pin(), token] {
        assert!(site.worker_may_read(&secret), "{}", secret.display());
        assert!(!site.daemon_may_read(&secret), "{}", secret.display());
    }
    for secret in [places.state().join("state.sqlite"), places.state_key(), places.etc().join("tls/server.key")] {
        assert!(site.daemon_may_read(&secret), "{}", secret.display());
        assert!(!site.worker_may_read(&secret), "{}", secret.display());
    }
    let platform = places.pki().platform("signing").key;
    assert!(!site.daemon_may_read(&platform) && !site.worker_may_read(&platform));
    // Real, effective, saved and file-system uid, and no group from the past.
    let status = |pid: u32| String::from_utf8(proc(pid, "status")).unwrap();
    for (pid, user) in
        [(site.daemon_pid(), site.options().users.daemon), (site.worker_pid(), site.options().users.worker)]
    {
        let (status, user) = (status(pid.unwrap()), user.unwrap());
        assert!(status.contains(&format!("Uid:\t{0}\t{0}\t{0}\t{0}\n", user.uid)), "{status}");
        assert!(status.contains("Groups:\t \n") || status.contains(&format!("Groups:\t{} \n", user.gid)), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_listens_on_its_socket_and_on_no_network() {
    let site = site().await;
    let worker = site.worker_pid().unwrap();
    // The worker lets nobody but root look into it, and is right to.
    let Some(files) = open_files(worker) else { return };
    let sockets: Vec<String> = files
        .into_iter()
        .filter_map(|file| file.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    assert!(!sockets.is_empty());
    for table in ["net/tcp", "net/tcp6", "net/udp", "net/udp6"] {
        let text = String::from_utf8(proc(worker, table)).unwrap_or_default();
        let inodes: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(9)).collect();
        assert!(!inodes.iter().any(|inode| sockets.iter().any(|socket| socket == inode)), "{table}");
    }
}
