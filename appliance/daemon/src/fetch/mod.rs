//! Revocation data, fetched ahead of need: lists from configured places, responses about every signer that is known or was met.
//! No check waits for any of this. What was taken lies in the state directory, where the trust store reads it as it reads its own
//! files; what cannot be fetched runs out with its grace, and then answers are refused (I6).

mod http;
mod metrics;
mod schedule;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use yanqian_messages::ocsp::ocsp_request;
use yanqian_trust::{
    Asked, FetchError, Fetched, Nonce, RevocationKind, SharedTrust, SubjectsToken, TrustStore, Verifier,
};

use crate::config::{HttpUrl, Responder, Revocation};
use http::HttpError;
pub(crate) use metrics::FetchMetrics;
use metrics::source;

/// Between looks at what is due.
const LOOK: Duration = Duration::from_millis(500);
/// Validities begin and end without any change of the store.
const LIST_AGAIN: Duration = Duration::from_mins(1);
/// Octets of one list, and of one response, at most.
const MAX_LIST: usize = 16 * 1024 * 1024;
const MAX_RESPONSE: usize = 64 * 1024;
/// Fetches at once.
const MAX_AT_ONCE: usize = 8;
/// Fetched files of a kind that are kept at most, those not asked for any more included.
const MAX_FILES: usize = 128;

/// Something to fetch.
#[derive(Debug, Clone)]
enum Job {
    List(HttpUrl),
    Response(Responder, Box<Asked>),
}

impl Job {
    const fn kind(&self) -> RevocationKind {
        match self {
            Self::List(_) => RevocationKind::Crl,
            Self::Response(..) => RevocationKind::Ocsp,
        }
    }

    const fn url(&self) -> &HttpUrl {
        match self {
            Self::List(url) => url,
            Self::Response(responder, _) => &responder.url,
        }
    }

    /// Below the directory of fetched data: named by what it is about, so that it takes its predecessor's place.
    fn file(&self) -> PathBuf {
        match self {
            Self::List(url) => name("crls", &[url.to_string().as_bytes()]),
            Self::Response(responder, asked) => {
                name("ocsp", &[&asked.subject.hash(), responder.url.to_string().as_bytes()])
            }
        }
    }
}

fn name(folder: &str, parts: &[&[u8]]) -> PathBuf {
    Path::new(folder).join(format!("{}.der", hex::encode(yanqian_sm::sm3(parts))))
}

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Refused(#[from] FetchError),
    #[error("{0}")]
    Disk(#[from] std::io::Error),
}

impl Failure {
    const fn code(&self) -> &'static str {
        match self {
            Self::Http(error) => error.code(),
            Self::Refused(error) => error.code(),
            Self::Disk(_) => "disk",
        }
    }
}

/// When a job is due, and how often it failed in a row.
#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    failures: u32,
}

/// Jobs by the file that each ends in.
struct Listed {
    token: SubjectsToken,
    at: Instant,
    jobs: BTreeMap<PathBuf, Job>,
}

#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) settings: Revocation,
    /// Where it keeps what it fetched.
    pub(crate) directory: PathBuf,
    pub(crate) trust: Arc<SharedTrust>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) metrics: FetchMetrics,
}

impl Fetcher {
    /// Runs until its task is aborted.
    pub(crate) async fn run(self) {
        let mut due = BTreeMap::<PathBuf, Due>::new();
        let mut under_way = JoinSet::<(RevocationKind, Result<Fetched, Failure>)>::new();
        let mut busy = BTreeMap::new();
        let mut listed = None;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(ended) = under_way.join_next_with_id(), if !under_way.is_empty() => {
                    let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                    let Some(file) = busy.remove(&id) else { continue };
                    let Ok((_, (kind, result))) = ended else { continue };
                    let failures = due.get(&file).map_or(0, |due| due.failures);
                    due.insert(file, self.account(kind, &result, failures));
                }
                _ = look.tick() => {
                    let Some(Listed { jobs, .. }) = self.list(&mut listed).await else { continue };
                    // What is no longer asked for and comes back is asked for at once.
                    due.retain(|file, _| jobs.contains_key(file));
                    for (file, job) in jobs {
                        let is_due = due.get(file).is_none_or(|due| due.at <= Instant::now());
                        let is_busy = busy.len() >= MAX_AT_ONCE || busy.values().any(|busy| busy == file);
                        if is_due && !is_busy {
                            let task = under_way.spawn(self.clone().attempt(job.clone(), file.clone()));
                            busy.insert(task.id(), file.clone());
                        }
                    }
                }
            }
        }
    }

    async fn attempt(self, job: Job, file: PathBuf) -> (RevocationKind, Result<Fetched, Failure>) {
        let result = self.fetch(&job, &file).await;
        if let Err(problem) = &result {
            tracing::warn!(url = %job.url(), reason = problem.code(), %problem, "revocation data not taken");
        }
        (job.kind(), result)
    }

    /// Everything that there is to fetch, listed anew where it may be another. None while there is no store.
    async fn list<'a>(&self, listed: &'a mut Option<Listed>) -> Option<&'a Listed> {
        let store = self.trust.current().ok()?;
        let token = store.subjects_token();
        if listed.as_ref().is_none_or(|listed| listed.token != token || listed.at.elapsed() > LIST_AGAIN) {
            let fetcher = self.clone();
            let jobs = tokio::task::spawn_blocking(move || fetcher.list_jobs(&store)).await.ok()?;
            let jobs = jobs.into_iter().map(|job| (job.file(), job)).collect();
            *listed = Some(Listed { token, at: Instant::now(), jobs });
        }
        listed.as_ref()
    }

    fn list_jobs(&self, store: &TrustStore) -> Vec<Job> {
        let settings = &self.settings;
        let named = store.distribution_points();
        let allowed =
            |url: &HttpUrl| settings.distribution_hosts.iter().any(|host| host.eq_ignore_ascii_case(url.host()));
        let named = named.iter().filter_map(|text| HttpUrl::parse(text).ok()).filter(allowed);
        let mut jobs: Vec<_> = settings.lists.iter().cloned().chain(named).map(Job::List).collect();
        if !settings.responders.is_empty() {
            for asked in store.subjects(unix_now(), &self.verifier) {
                let issuer = asked.above.first().map(yanqian_messages::Certificate::key_id);
                let answers = |responder: &&Responder| responder.authority.is_none() || responder.authority == issuer;
                let responders = settings.responders.iter().filter(answers);
                jobs.extend(responders.map(|responder| Job::Response(responder.clone(), Box::new(asked.clone()))));
            }
        }
        jobs
    }

    fn account(&self, kind: RevocationKind, result: &Result<Fetched, Failure>, failures: u32) -> Due {
        let mut chance = [0; 4];
        // Without chance, nodes ask together, and that is all.
        let _ = getrandom::fill(&mut chance);
        let chance = u32::from_ne_bytes(chance);
        let (pause, failures) = match result {
            Ok(fetched) => {
                self.metrics.count(kind, "ok");
                let now = unix_now();
                tracing::debug!(source = source(kind), this_update = fetched.this_update, "revocation data taken");
                (schedule::after_success(fetched.next_update, now, self.settings.refresh, chance), 0)
            }
            Err(problem) => {
                self.metrics.count(kind, problem.code());
                let failures = failures.saturating_add(1);
                (schedule::after_failure(failures, chance), failures)
            }
        };
        Due { at: Instant::now() + pause, failures }
    }

    async fn fetch(&self, job: &Job, file: &Path) -> Result<Fetched, Failure> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(std::io::Error::other)?;
        let (request, longest) = match job {
            Job::List(_) => (None, MAX_LIST),
            Job::Response(responder, asked) => {
                let nonce: &[u8] = if responder.nonce == Nonce::Omit { &[] } else { &nonce };
                let issuer = asked.above.first().ok_or(FetchError::NotAbout)?;
                let request = ocsp_request(responder.hash, &asked.subject, issuer, nonce);
                (Some(request.ok_or(FetchError::NotAbout)?), MAX_RESPONSE)
            }
        };
        let exchange = http::fetch(job.url(), self.settings.proxy.as_ref(), request, longest);
        let octets = timeout(self.settings.limit, exchange).await.map_err(|_| HttpError::Deadline)??;
        let (this, job, file) = (self.clone(), job.clone(), self.directory.join(file));
        let taken = tokio::task::spawn_blocking(move || {
            let fetched = this.take(&job, &octets, &nonce)?;
            keep(&file, &fetched.der)?;
            Ok(fetched)
        });
        taken.await.map_err(std::io::Error::other)?
    }

    fn take(&self, job: &Job, octets: &[u8], nonce: &[u8]) -> Result<Fetched, Failure> {
        let store = self.trust.current().map_err(std::io::Error::other)?;
        let now = unix_now();
        let taken = match job {
            Job::List(_) => store.take_list(octets, now, &self.verifier),
            Job::Response(responder, asked) => {
                let nonce = (responder.nonce != Nonce::Omit).then_some((nonce, responder.nonce));
                store.take_response(octets, asked, nonce, now, &self.verifier)
            }
        };
        Ok(taken?)
    }
}

fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Puts a file in the place of its predecessor, durable before it is seen.
fn keep(file: &Path, octets: &[u8]) -> std::io::Result<()> {
    // Several places may tell of one certificate, and what they told goes by the same names.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    make_room(folder, file)?;
    let new = file.with_extension("new");
    let mut written = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    written.write_all(octets)?;
    written.sync_all()?;
    std::fs::rename(&new, file)?;
    std::fs::File::open(folder)?.sync_all()
}

/// Removes the oldest file where a new one would be one too many.
fn make_room(folder: &Path, file: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    if files.len() >= MAX_FILES
        && !file.exists()
        && let Some((_, oldest)) = files.iter().min()
    {
        std::fs::remove_file(oldest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_takes_its_predecessors_place_and_a_new_one_the_oldests() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("crls");
        let file = |number: usize| folder.join(format!("{number}.der"));
        for number in 0..MAX_FILES {
            keep(&file(number), b"old").unwrap();
            let modified = std::time::UNIX_EPOCH + Duration::from_secs(number as u64 + 1);
            std::fs::File::open(file(number)).unwrap().set_modified(modified).unwrap();
        }
        keep(&file(3), b"new").unwrap();
        assert_eq!(std::fs::read(file(3)).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), MAX_FILES);
        keep(&file(MAX_FILES), b"one more").unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), MAX_FILES);
        assert!(!file(0).exists() && file(1).exists());
    }
}
