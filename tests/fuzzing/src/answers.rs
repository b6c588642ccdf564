use std::fs;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use yanqian_platform::{
    AnswerChecker, Applied, Expected, PlatformVerdict, Profile, RawAnswer, ReplayError, ReplayGuard,
};
use yanqian_trust::{TrustStore, Verifier, VerifierSettings};
use yanqian_vocabulary::{ContentDigest, Field, Nonce, Reason, Timestamp};

use crate::party::{fixture, repository};

/// The fields that the seeds' requests asked about.
pub const FIELDS: &[Field] = &[Field::Number, Field::Name, Field::BirthDate];
/// What the simulator answered to: the profile, and whether it was an application. The seed has the profile's name, with
/// [`APPLIED`] behind it for an application.
pub const EXCHANGES: [(&str, bool); 8] = [
    ("reference", false),
    ("second", false),
    ("attached", false),
    ("sorted-pairs", false),
    ("canonical-json", false),
    ("signed-body", false),
    ("two-step", true),
    ("two-step", false),
];
pub const APPLIED: &str = "-applied";

/// Every answer is the first of its kind: what is accepted must be what the platform signed, also without memory.
#[derive(Debug)]
pub struct Forgetful;

impl ReplayGuard for Forgetful {
    fn accept_once(&self, _: Nonce, _: &str, _: Timestamp) -> Result<bool, ReplayError> {
        Ok(true)
    }
}

/// One request that was made once, and what the platform answered to it.
struct Exchange {
    profile: Profile,
    application: bool,
    nonce: Nonce,
    digest: ContentDigest,
    said: Said,
}

/// What a proven answer says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Checked(PlatformVerdict),
    Applied(Applied),
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
        profile: &Profile,
        application: bool,
        nonce: Nonce,
        digest: ContentDigest,
        answer: &[u8],
    ) -> Result<Said, Reason> {
        let answer = received(answer);
        let checker = AnswerChecker { profile, trust: &self.trust, verifier: &self.verifier, replay: &Forgetful };
        let expected = Expected { nonce, digest, fields: FIELDS, recipients: &[] };
        if application {
            return checker.check_application(&answer, &expected, self.now).result.map(Said::Applied);
        }
        checker.check(&answer, &expected, self.now).result.map(Said::Checked)
    }
}

/// Header fields in lines, an empty line, the body.
fn received(octets: &[u8]) -> RawAnswer {
    let end = octets.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((octets, &[][..]), |end| (&octets[..end], &octets[end + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|octet| *octet == b'\n').take(16) {
        let Some(colon) = line.iter().position(|octet| *octet == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    RawAnswer { status: 200, headers, body: body.to_vec() }
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let text = |name: &str| fs::read_to_string(fixture(name)).expect("the fixture is there");
    let seconds: i64 = text("now").trim().parse().expect("seconds");
    let trust = TrustStore::load(&fixture("trust"), 0).expect("the development PKI made it");
    let verifier = Verifier::new(VerifierSettings { table_octets: 4 << 20, shadow_every: NonZeroU32::MIN });
    let now = Timestamp::from_unix_millis(seconds * 1000);
    let mut site = Site { trust, verifier, now, exchanges: Vec::new() };
    for (at, (name, application)) in EXCHANGES.into_iter().enumerate() {
        let file = repository().join(format!("platform-profiles/{name}.toml"));
        let profile = Profile::load(&file).expect("it is shipped");
        let seed = format!("{name}{}", if application { APPLIED } else { "" });
        let request = text(&format!("{seed}.request"));
        let (nonce, digest) = request.trim().split_once(' ').expect("nonce and digest");
        let nonce = Nonce::new(octets(nonce));
        let digest = ContentDigest::new(octets(digest));
        let seed = fs::read(repository().join("fuzz/seeds/answers").join(seed)).expect("the seed is there");
        let (first, answer) = seed.split_first().expect("the profile's number");
        assert_eq!(usize::from(*first), at);
        let said = site.check(&profile, application, nonce, digest, answer).expect("an honest answer");
        site.exchanges.push(Exchange { profile, application, nonce, digest, said });
    }
    site
});

fn octets<const N: usize>(text: &str) -> [u8; N] {
    let digit = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal");
    std::array::from_fn(digit)
}

/// Answers, whose first octet says to which exchange: what is accepted says what the platform's one answer to this request
/// said, and the two implementations of SM2 are never of two opinions.
pub fn answers(input: &[u8]) {
    let Some((which, answer)) = input.split_first() else { return };
    let site = &*SITE;
    let exchange = &site.exchanges[usize::from(*which) % EXCHANGES.len()];
    match site.check(&exchange.profile, exchange.application, exchange.nonce, exchange.digest, answer) {
        Ok(said) => assert_eq!(said, exchange.said),
        Err(reason) => assert!(
            !matches!(reason, Reason::PlatformSignatureDisputed | Reason::PlatformChainDisputed),
            "two opinions: {reason:?}"
        ),
    }
}
