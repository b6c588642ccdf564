use std::fs;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use yanqian_platform::{AnswerChecker, Expected, PlatformVerdict, Profile, RawAnswer, ReplayError, ReplayGuard};
use yanqian_trust::{TrustStore, Verifier, VerifierSettings};
use yanqian_vocabulary::{ContentDigest, Field, Nonce, Reason, Timestamp};

use crate::party::{fixture, repository};

/// The fields that the seeds' requests asked about.
pub const FIELDS: &[Field] = &[Field::Number, Field::Name, Field::BirthDate];
/// The profiles that the simulator answered by.
pub const PROFILES: [&str; 2] = ["reference", "second"];

/// Every answer is the first of its kind: what is accepted must be what the platform signed, also without memory.
struct Forgetful;

impl ReplayGuard for Forgetful {
    fn accept_once(&self, _: Nonce, _: &str, _: Timestamp) -> Result<bool, ReplayError> {
        Ok(true)
    }
}

/// One request that was made once, and what the platform answered to it.
struct Exchange {
    profile: Profile,
    nonce: Nonce,
    digest: ContentDigest,
    verdict: PlatformVerdict,
}

struct Site {
    trust: TrustStore,
    verifier: Verifier,
    now: Timestamp,
    exchanges: Vec<Exchange>,
}

impl Site {
    fn check(
        &self,
        exchange: &Profile,
        nonce: Nonce,
        digest: ContentDigest,
        body: &[u8],
    ) -> Result<PlatformVerdict, Reason> {
        let answer = RawAnswer { status: 200, content_type: Some("application/json".to_owned()), body: body.to_vec() };
        let checker =
            AnswerChecker { profile: exchange, trust: &self.trust, verifier: &self.verifier, replay: &Forgetful };
        let expected = Expected { nonce, digest, fields: FIELDS, recipient: None };
        checker.check(&answer, &expected, self.now).result
    }
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let text = |name: &str| fs::read_to_string(fixture(name)).expect("the fixture is there");
    let seconds: i64 = text("now").trim().parse().expect("seconds");
    let trust = TrustStore::load(&fixture("trust"), 0).expect("the development PKI made it");
    let verifier = Verifier::new(VerifierSettings { table_octets: 4 << 20, shadow_every: NonZeroU32::MIN });
    let now = Timestamp::from_unix_millis(seconds * 1000);
    let mut site = Site { trust, verifier, now, exchanges: Vec::new() };
    for (at, name) in PROFILES.into_iter().enumerate() {
        let file = repository().join(format!("platform-profiles/{name}.toml"));
        let profile = Profile::load(&file).expect("it is shipped");
        let request = text(&format!("{name}.request"));
        let (nonce, digest) = request.trim().split_once(' ').expect("nonce and digest");
        let nonce = Nonce::new(octets(nonce));
        let digest = ContentDigest::new(octets(digest));
        let body = fs::read(repository().join("fuzz/seeds/answers").join(name)).expect("the seed is there");
        let Some((0.., body)) = body.split_first().filter(|(first, _)| usize::from(**first) == at) else {
            panic!("{name} begins with the profile's number")
        };
        let verdict = site.check(&profile, nonce, digest, body).expect("an honest answer");
        site.exchanges.push(Exchange { profile, nonce, digest, verdict });
    }
    site
});

fn octets<const N: usize>(text: &str) -> [u8; N] {
    let digit = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal");
    std::array::from_fn(digit)
}

/// Answers, whose first octet says by which profile: what is accepted says what the platform's one answer to this request
/// said, and the two implementations of SM2 are never of two opinions.
pub fn answers(input: &[u8]) {
    let Some((which, body)) = input.split_first() else { return };
    let site = &*SITE;
    let exchange = &site.exchanges[usize::from(*which) % PROFILES.len()];
    match site.check(&exchange.profile, exchange.nonce, exchange.digest, body) {
        Ok(verdict) => assert_eq!(verdict, exchange.verdict),
        Err(reason) => assert!(
            !matches!(reason, Reason::PlatformSignatureDisputed | Reason::PlatformChainDisputed),
            "two opinions: {reason:?}"
        ),
    }
}
