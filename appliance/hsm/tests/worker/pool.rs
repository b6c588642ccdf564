//! Two tokens with one key: what one of them does wrong costs no signature, and it comes back by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use yanqian_hsm::pool::{
    BreakerState, CallResult, KeyTrouble, PoolKey, PoolMember, Proofs, Standing, StartError, TokenPool, TokenView,
};
use yanqian_hsm::protocol::KeyUsage;
use yanqian_hsm::{ClientConfig, WorkerError};
use yanqian_messages::PlainVerifier;
use yanqian_sm::PublicKey;

use crate::encryption::{Enrolled, der, key_of, sealed};
use crate::support::{Site, Worker, digest};

const LABEL: &str = "signing";

/// A key with what it is called in the second token.
fn key(public: PublicKey, usage: KeyUsage, [label, in_second]: [&str; 2]) -> (PoolKey, String) {
    (PoolKey { public, usage, label: label.to_owned() }, in_second.to_owned())
}

fn pool_of(sites: &[&Site], keys: Vec<(PoolKey, String)>) -> TokenPool {
    let differing = keys.iter().filter(|(key, in_second)| key.label != *in_second);
    let labels: BTreeMap<_, _> = differing.map(|(key, in_second)| (key.label.clone(), in_second.clone())).collect();
    let members = sites.iter().zip([("a", BTreeMap::new()), ("b", labels)]).map(|(site, (name, labels))| PoolMember {
        name: name.to_owned(),
        client: ClientConfig::new(site.path("worker.sock")),
        labels,
    });
    TokenPool::new(members.collect(), keys.into_iter().map(|(key, _)| key).collect(), Arc::new(PlainVerifier))
}

/// The self-proofs of the one signing key.
fn taken(pool: &TokenPool) -> Proofs {
    pool.take_proofs().first().map(|(_, proofs)| *proofs).unwrap_or_default()
}

/// Waits until it holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A token with a signing key, its replica, and the pool over both.
struct Pair {
    a: Site,
    b: Site,
    at_a: Option<Worker>,
    at_b: Option<Worker>,
    key: PublicKey,
    pool: TokenPool,
    tending: tokio::task::JoinHandle<()>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.tending.abort();
    }
}

impl Pair {
    async fn new() -> Self {
        let pair = Self::unseen().await;
        pair.pool.reach().await.unwrap();
        until("both serve", async || {
            let _ = pair.pool.admit(&pair.pool.kept()).await;
            pair.view(0).serves(0) && pair.view(1).serves(0)
        })
        .await;
        pair
    }

    /// Nobody has looked at the tokens yet.
    async fn unseen() -> Self {
        let mut a = Site::faulty();
        a.extra = "call_timeout_ms = 3000".into();
        let at_a = a.start();
        a.client().generate_key(LABEL).await.unwrap();
        let public = a.client().public_key(LABEL).await.unwrap();
        let mut b = a.twin();
        b.extra = "call_timeout_ms = 3000".into();
        let at_b = b.start();
        let pool = pool_of(&[&a, &b], vec![key(public, KeyUsage::Sign, [LABEL; 2])]);
        let tended = pool.clone();
        let tending = tokio::spawn(async move {
            // As in the daemon: looked after once they were found.
            while !tended.serves(&tended.kept()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tended.tend().await;
        });
        Self { a, b, at_a: Some(at_a), at_b: Some(at_b), key: public, pool, tending }
    }

    fn view(&self, index: usize) -> TokenView {
        self.pool.view().swap_remove(index)
    }

    fn results(&self, index: usize, result: CallResult) -> u64 {
        self.view(index).results[result as usize]
    }

    async fn signs(&self) {
        let e = digest(&self.key, b"m");
        let signature = self.pool.sign(&self.key, &e, b"m").await.unwrap();
        yanqian_sm::verify(&self.key, &e, &signature).unwrap();
    }

    /// Signs, several at once, until it holds; no call may fail.
    async fn signs_until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.pool.view());
            tokio::join!(self.signs(), self.signs(), self.signs(), self.signs());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn a_is_left_out_and_comes_back(&mut self, end: impl AsyncFnOnce(&mut Self)) {
        self.signs_until("a is left out", || self.view(0).breaker != BreakerState::Closed).await;
        for _ in 0..50 {
            self.signs().await;
        }
        end(self).await;
        self.signs_until("a comes back", || self.view(0).serves(0)).await;
        let before = self.results(0, CallResult::Ok);
        self.signs_until("a is asked again", || self.results(0, CallResult::Ok) > before).await;
    }
}

#[tokio::test]
async fn both_tokens_are_asked_and_every_signature_verifies() {
    let pair = Pair::new().await;
    pair.signs_until("both have signed", || [0, 1].iter().all(|token| pair.results(*token, CallResult::Ok) > 20)).await;
    for token in pair.pool.view() {
        assert_eq!(token.keys, [Standing::Serves]);
        assert_eq!(token.results.iter().sum::<u64>(), token.results[CallResult::Ok as usize], "{token:?}");
        assert_eq!((token.switch_overs, token.in_flight), (0, 0));
    }
    let proofs = taken(&pair.pool);
    assert_eq!((proofs.good, proofs.refused), (2, 0), "one for each token");
    assert_eq!(taken(&pair.pool).good, 0);
}

#[tokio::test]
async fn a_worker_that_is_killed_costs_no_signature_and_is_used_again_when_another_takes_its_place() {
    let mut pair = Pair::new().await;
    pair.at_a = None;
    pair.a_is_left_out_and_comes_back(async |pair| pair.at_a = Some(pair.a.start())).await;
    assert!(pair.results(0, CallResult::Unavailable) > 0);
    assert_eq!(pair.at_b.as_mut().map(|worker| worker.child.try_wait().unwrap()), Some(None));
}

#[tokio::test]
async fn a_hanging_worker_costs_time_but_no_signature() {
    let mut pair = Pair::new().await;
    pair.at_a.as_ref().unwrap().signal(Signal::STOP);
    pair.a_is_left_out_and_comes_back(async |pair| pair.at_a.as_ref().unwrap().signal(Signal::CONT)).await;
    assert!(pair.results(0, CallResult::Slow) > 0 && pair.view(0).switch_overs > 0);
}

#[tokio::test]
async fn a_call_that_hangs_in_the_module_ends_one_worker_and_costs_no_signature() {
    let mut pair = Pair::new().await;
    pair.a.order("C_Sign hang");
    pair.a_is_left_out_and_comes_back(async |pair| {
        assert_eq!(pair.at_a.as_mut().unwrap().ended().code(), Some(75));
        pair.a.order("");
        pair.at_a = Some(pair.a.start());
    })
    .await;
}

#[tokio::test]
async fn a_token_that_signs_wrongly_is_left_out_and_its_signatures_go_nowhere() {
    let mut pair = Pair::new().await;
    pair.a.order("C_Sign corrupt");
    pair.a_is_left_out_and_comes_back(async |pair| pair.a.order("")).await;
}

#[tokio::test]
async fn a_lost_device_is_left_out_while_the_other_serves() {
    let mut pair = Pair::new().await;
    pair.a.order("C_Sign 0x32");
    pair.a_is_left_out_and_comes_back(async |pair| pair.a.order("")).await;
}

#[tokio::test]
async fn a_full_token_sends_the_call_on_at_once_and_is_not_left_out_for_it() {
    let pair = Pair::new().await;
    // CKR_SESSION_COUNT: "next token" in the table of outcomes.
    pair.a.order("C_Sign 0xB1");
    pair.signs_until("a was full", || pair.results(0, CallResult::Busy) > 20).await;
    assert_eq!(pair.view(0).breaker, BreakerState::Closed);
    assert!(pair.view(0).switch_overs > 20);
    pair.b.order("C_Sign 0xB1");
    let e = digest(&pair.key, b"m");
    assert_eq!(pair.pool.sign(&pair.key, &e, b"m").await, Err(WorkerError::Busy), "both are full");
}

#[tokio::test]
async fn the_last_token_is_asked_whatever_its_breaker_says() {
    let mut pair = Pair::new().await;
    pair.at_b = None;
    pair.signs_until("b is left out", || pair.view(1).breaker != BreakerState::Closed).await;
    let e = digest(&pair.key, b"m");
    pair.a.order("C_Sign 0x54");
    for _ in 0..10 {
        let refused = pair.pool.sign(&pair.key, &e, b"m").await.unwrap_err();
        assert!(!matches!(refused, WorkerError::Timeout(_)), "{refused}");
    }
    assert_ne!(pair.view(0).breaker, BreakerState::Closed);
    pair.a.order("");
    // The very next call: it waits for no probe.
    pair.signs().await;
}

#[tokio::test]
async fn another_key_under_the_label_does_not_count_and_the_reason_names_both() {
    let pair = Pair::new().await;
    let other = Site::new();
    let _worker = other.start();
    other.client().generate_key(LABEL).await.unwrap();
    let foreign = other.client().public_key(LABEL).await.unwrap();
    let pool = pool_of(&[&pair.a, &other], vec![key(pair.key, KeyUsage::Sign, [LABEL; 2])]);
    pool.reach().await.unwrap();
    let reason = loop {
        let _ = pool.admit(&pool.kept()).await;
        let token = pool.view().swap_remove(1);
        if let [Standing::Unfit(why)] = token.keys.as_slice() {
            break why.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for id in [foreign, pair.key].map(|key| hex::encode(key.key_id())) {
        assert!(reason.contains(&id), "{reason}");
    }
    let e = digest(&pair.key, b"m");
    for _ in 0..30 {
        pool.sign(&pair.key, &e, b"m").await.unwrap();
    }
    assert_eq!(pool.view()[1].results, [0; CallResult::ALL.len()], "it is never asked");

    // Where no other token is left, the start fails for good and says why.
    let alone = pool_of(&[&other], vec![key(pair.key, KeyUsage::Sign, [LABEL; 2])]);
    alone.reach().await.unwrap();
    assert!(matches!(alone.admit(&alone.kept()).await, Err(StartError::Unfit(why)) if why == reason));
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_label_is_noticed_and_the_token_left_out() {
    let mut pair = Pair::new().await;
    pair.at_a = None;
    let other = Site::new();
    {
        let _worker = other.start();
        other.client().generate_key(LABEL).await.unwrap();
    }
    std::fs::rename(pair.a.path("token"), pair.a.path("token-before")).unwrap();
    std::fs::rename(other.path("token"), pair.a.path("token")).unwrap();
    std::fs::remove_dir_all(pair.a.path("state")).unwrap();
    pair.at_a = Some(pair.a.start());
    pair.signs_until("the other key is seen", || matches!(pair.view(0).keys[0], Standing::Unfit(_))).await;
    assert!(!pair.view(0).serves(0));
    pair.signs().await;
}

#[tokio::test]
async fn labels_and_forms_may_differ_from_token_to_token() {
    let a = Site::new();
    let _at_a = a.start();
    let client = a.client();
    let enrolled = Enrolled::new(a, &client).await;
    let issued = enrolled.issue();
    let opening = key_of(&issued.certificate);
    let certificate = der(&issued.certificate);
    client.import_encryption_key("open-here", "sign", &issued.enveloped_key, &certificate).await.unwrap();
    let signing = client.public_key("sign").await.unwrap();
    let b = enrolled.site.twin();
    b.change_profile("mechanism = 0x80008105\ninput = \"e\"", "mechanism = 0x80008102\ninput = \"message-with-z\"");
    let _at_b = b.start();
    assert!(b.client().status().await.unwrap().needs_message);
    let keys =
        vec![key(signing, KeyUsage::Sign, ["sign"; 2]), key(opening, KeyUsage::Encrypt, ["absent", "open-here"])];
    let pool = pool_of(&[&enrolled.site, &b], keys);
    pool.reach().await.unwrap();
    until("each key has a token", async || pool.admit(&pool.kept()).await.is_ok()).await;
    until("both sign", async || pool.view().iter().all(|token| token.serves(0))).await;
    assert!(matches!(&pool.view()[0].keys[1], Standing::Unfit(why) if why.contains("absent")));
    let e = digest(&signing, b"a message");
    until("both have signed", async || {
        let sign = async || pool.sign(&signing, &e, b"a message").await.unwrap();
        tokio::join!(sign(), sign(), sign(), sign());
        pool.view().iter().all(|token| token.results[CallResult::Ok as usize] > 5)
    })
    .await;
    let secret = [7; 16];
    assert_eq!(pool.unseal(&opening, &sealed(&opening, &secret)).await.unwrap().expose(), secret);
    let elsewhere = pool.unseal(&opening, &sealed(&signing, &secret)).await.unwrap_err();
    assert!(matches!(elsewhere, WorkerError::Refused { .. }), "{elsewhere}");
    assert!(pool.view().iter().all(|token| token.breaker == BreakerState::Closed), "nobody is to blame for that");
}

#[tokio::test]
async fn a_token_that_comes_later_joins() {
    let mut pair = Pair::unseen().await;
    pair.at_b = None;
    pair.pool.reach().await.unwrap();
    pair.pool.admit(&pair.pool.kept()).await.unwrap();
    pair.signs().await;
    assert!(pair.view(1).problem.is_some());
    pair.at_b = Some(pair.b.start());
    pair.signs_until("b joins", || pair.view(1).serves(0)).await;
}

#[tokio::test]
async fn a_token_of_another_grade_that_comes_later_never_joins() {
    // Stock SoftHSM, whose keys are sealed.
    let Some(other) = crate::sealed::site() else { return };
    let pair = Pair::unseen().await;
    let pool = pool_of(&[&pair.a, &other], vec![key(pair.key, KeyUsage::Sign, [LABEL; 2])]);
    pool.reach().await.unwrap();
    pool.admit(&pool.kept()).await.unwrap();
    let tended = pool.clone();
    let tending = tokio::spawn(async move { tended.tend().await });
    let _worker = other.start();
    until(
        "its grade is noticed",
        async || matches!(&pool.view()[1].keys[0], Standing::Unfit(why) if why.contains("grade")),
    )
    .await;
    pool.sign(&pair.key, &digest(&pair.key, b"m"), b"m").await.unwrap();
    assert_eq!(pool.view()[1].results, [0; CallResult::ALL.len()], "it is never asked");
    tending.abort();
}

#[tokio::test]
async fn without_any_worker_a_pool_waits_and_says_for_whom() {
    let (a, b) = (Site::new(), Site::bare());
    let any = {
        let _worker = a.start();
        a.client().generate_key(LABEL).await.unwrap();
        a.client().public_key(LABEL).await.unwrap()
    };
    let pool = pool_of(&[&a, &b], vec![key(any, KeyUsage::Sign, [LABEL; 2])]);
    let Err(StartError::Waiting(why)) = pool.reach().await else { panic!("nobody is there") };
    assert!(why.contains("token `a`") && why.contains("token `b`"), "{why}");
    assert!(matches!(pool.admit(&pool.kept()).await, Err(StartError::Waiting(_))));
    let error = pool.sign(&any, &digest(&any, b"m"), b"m").await.unwrap_err();
    assert!(matches!(error, WorkerError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn tokens_of_two_grades_are_refused_at_the_start_by_name() {
    let Some(other) = crate::sealed::site() else { return };
    let pair = Pair::unseen().await;
    let _worker = other.start();
    let pool = pool_of(&[&pair.a, &other], vec![key(pair.key, KeyUsage::Sign, [LABEL; 2])]);
    let Err(StartError::Unfit(why)) = pool.reach().await else { panic!("records tell one grade") };
    assert!(why.contains("`a` is of grade development") && why.contains("`b` of grade sealed"), "{why}");
}

#[tokio::test]
async fn a_key_listed_under_another_label_too_goes_on_serving_under_the_one_that_serves() {
    let pair = Pair::new().await;
    let [serving, absent] = [LABEL, "absent"].map(|label| key(pair.key, KeyUsage::Sign, [label; 2]).0);
    pair.pool.keep(vec![serving.clone(), absent.clone()]);
    // Nobody has looked again, and the very next call is served.
    pair.signs().await;
    let Err(KeyTrouble::Unfit(why)) = pair.pool.prove(&absent).await else {
        panic!("no token has a key under that label")
    };
    assert!(why.contains("absent"), "{why}");
    pair.signs().await;
    assert!(pair.pool.serves(&[(pair.key, KeyUsage::Sign)]), "{}", pair.pool.reasons(&pair.pool.kept()));
    // The list that named the other label is refused.
    pair.pool.keep(vec![serving.clone()]);
    pair.signs().await;
    assert_eq!(
        pair.results(0, CallResult::Refused) + pair.results(1, CallResult::Refused),
        0,
        "it was never asked for"
    );

    // Alone it counts, and what its former label showed is forgotten.
    pair.pool.keep(vec![absent]);
    assert!(pair.pool.sign(&pair.key, &digest(&pair.key, b"m"), b"m").await.is_err());
    pair.pool.keep(vec![serving.clone()]);
    assert!(!pair.pool.serves(&pair.pool.kept()), "it proves itself anew");
    pair.pool.prove(&serving).await.unwrap();
    pair.signs().await;
}
