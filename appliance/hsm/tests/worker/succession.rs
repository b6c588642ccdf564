use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::task::JoinHandle;
use yanqian_hsm::{Status, WorkerClient};
use yanqian_sm::{E, PublicKey};

use crate::support::{PIN, Site, Worker, digest, verifies};

/// Whoever serves a site, however often it is replaced; ended with this value.
struct Reign {
    site: Site,
    first: Worker,
    client: WorkerClient,
    key: PublicKey,
    e: E,
}

impl Reign {
    async fn begin(site: Site) -> Self {
        let first = site.start();
        let client = site.client();
        client.generate_key("signing").await.unwrap();
        let key = client.public_key("signing").await.unwrap();
        Self { e: digest(&key, b"m"), site, first, client, key }
    }

    async fn status(&self) -> Status {
        self.client.status().await.unwrap()
    }

    async fn pid(&self) -> u32 {
        self.status().await.pid
    }

    async fn signs(&self) {
        let signature = self.client.sign("signing", &self.e, None).await.unwrap();
        assert!(verifies(&self.key, &self.e, &signature));
    }

    async fn hang_up(&self) -> Status {
        let before = self.status().await;
        kill_process(process(before.pid), Signal::HUP).unwrap();
        before
    }

    /// Asks for a replacement and waits for it.
    async fn replace(&self) -> Status {
        let before = self.hang_up().await;
        self.until(|now| now.pid != before.pid).await
    }

    /// Asks for a replacement that must not succeed, and gives the reason.
    async fn does_not_replace(&self) -> String {
        let before = self.hang_up().await;
        let now = self.until(|now| now.replacement_failures_total > before.replacement_failures_total).await;
        assert_eq!(now.pid, before.pid, "{}", self.first.log());
        now.replacement_problem.unwrap()
    }

    async fn until(&self, holds: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let status = self.status().await;
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{}", self.first.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Signs without a pause until it is told to stop. Gives the number of signatures; one that fails is an error.
    fn load(&self, own_connection: bool, stop: &Arc<AtomicBool>) -> JoinHandle<Result<usize, String>> {
        let client = if own_connection { self.site.client() } else { self.client.clone() };
        let (key, e, stop) = (self.key, self.e, Arc::clone(stop));
        tokio::spawn(async move {
            let mut signatures = 0;
            while !stop.load(Ordering::Relaxed) {
                let signature = client.sign("signing", &e, None).await.map_err(|error| error.to_string())?;
                if !verifies(&key, &e, &signature) {
                    return Err("a signature that does not verify".into());
                }
                signatures += 1;
            }
            Ok(signatures)
        })
    }
}

impl Drop for Reign {
    /// Successors are nobody's children here.
    fn drop(&mut self) {
        for pid in successors(&self.first.log()) {
            let _ = kill_process(process(pid), Signal::KILL);
        }
    }
}

/// Every successor that was started, by the log.
fn successors(log: &str) -> Vec<u32> {
    let lines = log.lines().filter(|line| line.contains("a successor starts"));
    lines.filter_map(|line| line.split_once("pid=")?.1.split_whitespace().next()?.parse().ok()).collect()
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[tokio::test]
async fn a_worker_is_replaced_under_load_and_no_request_fails() {
    let mut site = Site::new();
    site.extra = "threads = 2".into();
    let mut reign = Reign::begin(site).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..6).map(|number| reign.load(number % 2 == 0, &stop)).collect();
    let socket = std::fs::metadata(reign.site.path("worker.sock")).unwrap().ino();
    let mut seen = vec![reign.pid().await];
    for _ in 0..4 {
        seen.push(reign.replace().await.pid);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut signatures = 0;
    for signing in load {
        signatures += signing.await.unwrap().unwrap_or_else(|error| panic!("{error}\n{}", reign.first.log()));
    }
    assert!(signatures > 4, "there was load");
    seen.dedup();
    assert_eq!(seen.len(), 5);
    assert_eq!(reign.first.ended().code(), Some(0), "{}", reign.first.log());
    assert_eq!(std::fs::metadata(reign.site.path("worker.sock")).unwrap().ino(), socket);
    assert!(!reign.first.log().contains("without an answer"), "{}", reign.first.log());
}

#[tokio::test]
async fn what_is_on_disk_when_it_is_asked_for_is_what_serves_afterwards() {
    let mut site = Site::new();
    site.environment.push(("FOR_THE_FIRST_ONLY", "1".into()));
    let mut reign = Reign::begin(site).await;
    reign.site.environment.clear();
    reign.site.extra = "threads = 3".into();
    reign.site.write_config();
    reign.site.change_profile("name = \"softtoken\"", "name = \"renamed\"");
    let status = reign.replace().await;
    assert_eq!((status.threads, status.profile.as_str()), (3, "renamed"));
    let environment = std::fs::read(format!("/proc/{}/environ", status.pid)).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&environment).contains("FOR_THE_FIRST_ONLY"));
    reign.signs().await;
}

#[tokio::test]
async fn a_successor_with_a_wrong_configuration_leaves_the_worker_serving() {
    let mut site = Site::new();
    site.extra = "threads = 2".into();
    let mut reign = Reign::begin(site).await;
    reign.site.extra = "threads = 0".into();
    reign.site.write_config();
    let why = reign.does_not_replace().await;
    assert!(why.contains("configuration"), "{why}");
    reign.signs().await;

    reign.site.extra = "threads = 2".into();
    reign.site.write_config();
    let profile = std::fs::read_to_string(reign.site.path("profile.toml")).unwrap();
    std::fs::write(reign.site.path("profile.toml"), profile.replace("grade", "colour")).unwrap();
    let why = reign.does_not_replace().await;
    assert!(why.contains("profile.toml"), "{why}");
    std::fs::write(reign.site.path("profile.toml"), profile).unwrap();

    let config = std::fs::read_to_string(reign.site.path("worker.toml")).unwrap();
    std::fs::write(reign.site.path("worker.toml"), config.replace("worker.sock", "moved.sock")).unwrap();
    let why = reign.does_not_replace().await;
    assert!(why.contains("socket: ") && why.contains("restart instead"), "{why}");
    reign.signs().await;

    reign.site.write_config();
    assert_eq!(reign.replace().await.replacement_failures_total, 0);
}

#[tokio::test]
async fn a_successor_tries_a_wrong_pin_once_and_the_worker_keeps_its_login() {
    let reign = Reign::begin(Site::faulty()).await;
    assert_eq!(reign.site.calls("C_Login"), 1);
    reign.site.write_pin("wrong-pin");
    let why = reign.does_not_replace().await;
    assert!(why.contains("CKR_PIN_INCORRECT") && !why.contains("wrong-pin"), "{why}");
    assert_eq!(reign.site.calls("C_Login"), 2);
    let why = reign.does_not_replace().await;
    assert!(why.contains("not tried again"), "{why}");
    assert_eq!(reign.site.calls("C_Login"), 2, "the latch remembers");
    reign.signs().await;

    reign.site.write_pin(PIN);
    reign.replace().await;
    assert_eq!(reign.site.calls("C_Login"), 3);
    reign.signs().await;
}

#[tokio::test]
async fn a_successor_that_crashes_or_hangs_half_way_changes_nothing() {
    let mut site = Site::faulty();
    site.extra = "call_timeout_ms = 2000".into();
    let reign = Reign::begin(site).await;
    for (order, words) in [("C_Login abort", "signal: 6"), ("C_OpenSession hang", "hung")] {
        reign.site.order(order);
        let why = reign.does_not_replace().await;
        assert!(why.contains(words), "{order}: {why}");
        reign.site.order("");
        reign.signs().await;
    }
    reign.replace().await;
    reign.signs().await;
}

#[tokio::test]
async fn two_requests_at_once_end_with_one_worker_that_serves() {
    let reign = Reign::begin(Site::new()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = reign.load(true, &stop);
    let first = reign.hang_up().await.pid;
    // The first is taken up before the second comes.
    let deadline = Instant::now() + Duration::from_mins(1);
    while successors(&reign.first.log()).is_empty() {
        assert!(Instant::now() < deadline, "{}", reign.first.log());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    kill_process(process(first), Signal::HUP).unwrap();
    // The second is passed on, so that what changed in between is read.
    let second = reign.until(|now| now.pid != first).await.pid;
    let third =
        reign.until(|now| ![first, second].contains(&now.pid) || successors(&reign.first.log()).len() > 1).await;
    assert!(third.pid != first);
    reign.until(|now| now.pid == successors(&reign.first.log())[1]).await;
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap().unwrap();
    assert_eq!(successors(&reign.first.log()).len(), 2, "{}", reign.first.log());
}

#[tokio::test]
async fn a_token_without_room_for_both_keeps_its_worker() {
    let mut site = Site::faulty();
    site.extra = "threads = 2".into();
    let reign = Reign::begin(site).await;
    reign.site.order("C_OpenSession 0xB1");
    let why = reign.does_not_replace().await;
    assert!(why.contains("session"), "{why}");
    reign.site.order("");
    reign.site.change_profile("[session]", "[session]\nmax = 4");
    let logins = reign.site.calls("C_Login");
    let why = reign.does_not_replace().await;
    assert!(why.contains("session.max is 4") && why.contains("holds 3") && why.contains("restart instead"), "{why}");
    assert_eq!(reign.site.calls("C_Login"), logins, "nothing was asked of the token");
    reign.site.change_profile("max = 4", "max = 6");
    reign.replace().await;
    reign.signs().await;
}

#[tokio::test]
async fn a_replacement_in_the_middle_of_a_recovery_fails_or_is_the_recovery() {
    let reign = Reign::begin(Site::faulty()).await;
    // The token is away for both.
    reign.site.order("C_Sign 0x32\nC_OpenSession 0x32");
    let signing = tokio::spawn({
        let (client, e) = (reign.client.clone(), reign.e);
        async move { client.sign("signing", &e, None).await }
    });
    reign.until(|now| now.away.is_some()).await;
    reign.does_not_replace().await;
    reign.site.order("");
    let _ = signing.await.unwrap();
    reign.until(|now| now.away.is_none()).await;
    reign.signs().await;
    reign.replace().await;
    reign.signs().await;
}

#[tokio::test]
async fn the_service_manager_is_told_who_serves() {
    let directory = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let hear = || {
        let mut message = [0; 512];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let mut site = Site::new();
    site.process_environment.push(("NOTIFY_SOCKET", directory.path().join("notify").into_os_string()));
    let reign = Reign::begin(site).await;
    assert_eq!(hear(), "READY=1\n");
    reign.site.write_pin("another");
    reign.does_not_replace().await;
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(hear().starts_with("READY=1\nSTATUS="));
    reign.site.write_pin(PIN);
    let pid = reign.replace().await.pid;
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear(), format!("MAINPID={pid}\nREADY=1\n"));
}

#[tokio::test]
async fn a_name_left_over_in_the_environment_makes_no_successor() {
    let mut site = Site::new();
    site.process_environment.push(("YANQIAN_HSM_PREDECESSOR", "1".into()));
    let reign = Reign::begin(site).await;
    reign.signs().await;
    assert!(test_kill_process(process(reign.pid().await)).is_ok());
}

#[tokio::test]
async fn what_a_module_has_open_is_not_left_to_a_successor() {
    let site = Site::new();
    let open = std::fs::File::create(site.path("left-open")).unwrap();
    // Inherited by the first worker, as a descriptor that a module opens without saying that children must not have it.
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let reign = Reign::begin(site).await;
    let has_it = |pid: u32| {
        let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok()).any(|to| to.ends_with("left-open"))
    };
    assert!(has_it(reign.pid().await), "the test shows nothing");
    assert!(!has_it(reign.replace().await.pid));
}
