//! Every octet of every answer of an exchange, changed bit by bit: what is signed, or signs, must not bear it; elsewhere the answer
//! is refused or says what it said. And whatever octets say it, it is accepted once.

use std::num::NonZeroUsize;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yanqian_platform::{Applied, PlatformVerdict, RawAnswer, SignedRequest, StepName};
use yanqian_platform_sim::form::Form;
use yanqian_trust::Subject;
use yanqian_vocabulary::{Reason, Timestamp};

use crate::support::{Memory, Site, claim_of, expected, holder, now, site};

/// What a proven answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Verdict(PlatformVerdict),
    Applied(Applied),
}

/// All that is read of an answer and goes by it.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    content: Content,
    serial: Option<String>,
    time: Option<Timestamp>,
    signer: Option<[u8; 32]>,
    signature: Option<Vec<u8>>,
    attributes: Option<Vec<u8>>,
}

/// One request with its answer.
struct Exchange<'a> {
    site: &'a Site,
    application: bool,
    request: SignedRequest,
    answer: RawAnswer,
    now: Timestamp,
}

impl<'a> Exchange<'a> {
    async fn of(site: &'a Site, application: bool, request: SignedRequest) -> Self {
        let answer = site.client.send(&request, &site.trust).await.unwrap();
        Self { site, application, request, answer, now: now() }
    }

    /// All of a check in this form: one, or application and check.
    async fn all(site: &'a Site, form: Form) -> Vec<Self> {
        if form != Form::TwoStep {
            return vec![Self::of(site, false, site.request(&claim_of(&holder()))).await];
        }
        let first = Self::of(site, true, site.application()).await;
        let Content::Applied(applied) = first.meaning(&first.answer, &Memory::default()).unwrap().content else {
            panic!("not an application");
        };
        let second = site.request_after(&claim_of(&holder()), Some(&applied));
        vec![first, Self::of(site, false, second).await]
    }

    fn meaning(&self, answer: &RawAnswer, memory: &Memory) -> Result<Meaning, (Reason, Option<StepName>)> {
        let (prover, expected) = (self.site.checker(memory), expected(&self.request));
        let (content, found) = if self.application {
            let checked = prover.check_application(answer, &expected, self.now);
            (checked.result.map(Content::Applied), checked.found)
        } else {
            let checked = prover.check(answer, &expected, self.now);
            (checked.result.map(Content::Verdict), checked.found)
        };
        match content {
            Err(reason) => Err((reason, found.steps.last().map(|step| step.name))),
            Ok(content) => Ok(Meaning {
                content,
                serial: found.serial,
                time: found.time,
                signer: found.signer.map(|signer| signer.hash()),
                signature: found.signature,
                attributes: found.attributes,
            }),
        }
    }

    /// Tries these changes of the answer, each named by its octet, on all cores. Where `sacred` holds, it must be refused; elsewhere
    /// it may be taken for what it said, as long as the answer was not taken before.
    fn every(
        &self,
        octets: &[u8],
        with: impl Fn(Vec<u8>) -> RawAnswer + Sync,
        sacred: impl Fn(usize, u8) -> bool + Sync,
    ) -> usize {
        let memory = Memory::default();
        let honest = self.meaning(&self.answer, &memory).unwrap();
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let (memory, with, sacred, honest) = (&memory, &with, &sacred, &honest);
        std::thread::scope(|scope| {
            let each = |first: usize| {
                let mut taken = 0;
                for index in (first..octets.len()).step_by(threads) {
                    for bit in 0..8 {
                        let mut changed = octets.to_vec();
                        changed[index] ^= 1 << bit;
                        let octet = changed[index];
                        let answer = with(changed);
                        let Ok(meaning) = self.meaning(&answer, &Memory::default()) else { continue };
                        assert_eq!(&meaning, honest, "octet {index}, bit {bit} says something else");
                        assert!(!sacred(index, octet), "octet {index}, bit {bit} is taken");
                        let again = self.meaning(&answer, memory);
                        assert_eq!(
                            again,
                            Err((Reason::PlatformReplay, Some(StepName::Replay))),
                            "octet {index}, bit {bit}"
                        );
                        taken += 1;
                    }
                }
                taken
            };
            let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || each(first))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    }

    fn with_body(&self, body: Vec<u8>) -> RawAnswer {
        RawAnswer { body, ..self.answer.clone() }
    }

    /// Where signature and signed attributes stand in a message.
    fn signing(&self, message: &[u8]) -> Vec<Range<usize>> {
        let honest = self.meaning(&self.answer, &Memory::default()).unwrap();
        // In the message the attributes have another tag; the octets after it are the same.
        let attributes = honest.attributes.iter().map(|attributes| &attributes[1..]);
        honest.signature.iter().map(Vec::as_slice).chain(attributes).map(|part| place(message, part)).collect()
    }

    fn package(&self, package: &str, sign: &str) {
        let body = &self.answer.body;
        let object = place(body, format!("{{\"{package}\":").as_bytes()).end
            ..place(body, format!(",\"{sign}\":\"").as_bytes()).start;
        let text = place(body, format!(",\"{sign}\":\"").as_bytes()).end..body.len() - 2;
        let digit = |octet: u8| octet.is_ascii_alphanumeric() || b"+/=".contains(&octet);
        // Base64 is strict: no other character passes.
        let sacred = |index: usize, octet| object.contains(&index) || (text.contains(&index) && !digit(octet));
        self.every(body, |body| self.with_body(body), sacred);
        let message = STANDARD.decode(&body[text.clone()]).unwrap();
        let signing = self.signing(&message);
        let around =
            |message: Vec<u8>| [&body[..text.start], STANDARD.encode(message).as_bytes(), &body[text.end..]].concat();
        let sacred = |index: usize, _| signing.iter().any(|part| part.contains(&index));
        let harmless = self.every(&message, |message| self.with_body(around(message)), sacred);
        // There are such: versions, for one. Or nothing would be said here of where a change is borne.
        assert!(harmless > 0);
    }

    /// Where nothing may be changed: the whole body, and these fields of the head.
    fn whole(&self, fields: &[&'static str]) {
        self.every(&self.answer.body, |body| self.with_body(body), |_, _| true);
        for name in fields {
            let value = self.answer.headers[*name].as_bytes();
            let with = |value: Vec<u8>| {
                let mut answer = self.answer.clone();
                // What is no value of a field never comes to be one.
                match http::HeaderValue::from_bytes(&value) {
                    Ok(value) => answer.headers.insert(*name, value),
                    Err(_) => answer.headers.remove(*name),
                };
                answer
            };
            self.every(value, with, |_, _| true);
        }
    }
}

/// Where `part` stands in `whole`, which it does once.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let mut places = whole.windows(part.len()).enumerate().filter(|(_, window)| *window == part).map(|(at, _)| at);
    let start = places.next().unwrap();
    assert_eq!(places.next(), None);
    start..start + part.len()
}

async fn every_octet_counts(form: Form) {
    let site = site(form).await;
    for exchange in Exchange::all(&site, form).await {
        match form {
            Form::Reference | Form::TwoStep => exchange.package("bizPackage", "sign"),
            Form::Second => exchange.package("data", "signature"),
            Form::Attached => {
                let body = &exchange.answer.body;
                let mut sacred = exchange.signing(body);
                let message = yanqian_messages::SignedData::parse(body).unwrap();
                sacred.push(place(body, message.content().unwrap()));
                let sacred = |index: usize, _| sacred.iter().any(|part| part.contains(&index));
                assert!(exchange.every(body, |body| exchange.with_body(body), sacred) > 0);
            }
            Form::SortedPairs | Form::CanonicalJson => exchange.whole(&[]),
            Form::SignedBody => exchange.whole(&["x-signature", "content-digest"]),
        }
    }
    let disputed = site.verifier.stats().disputed;
    assert_eq!(
        disputed[Subject::Answer as usize],
        0,
        "{form}: both implementations said the same of whatever was changed"
    );
}

#[tokio::test]
async fn no_altered_octet_of_an_answer_changes_a_verdict() {
    every_octet_counts(Form::Reference).await;
}

#[tokio::test]
async fn no_altered_octet_of_the_second_form_changes_a_verdict() {
    every_octet_counts(Form::Second).await;
}

#[tokio::test]
async fn no_altered_octet_of_either_answer_of_two_changes_what_it_says() {
    every_octet_counts(Form::TwoStep).await;
}

#[tokio::test]
async fn no_altered_octet_of_an_attached_message_changes_a_verdict() {
    every_octet_counts(Form::Attached).await;
}

#[tokio::test]
async fn no_altered_octet_of_sorted_pairs_changes_a_verdict() {
    every_octet_counts(Form::SortedPairs).await;
}

#[tokio::test]
async fn no_altered_octet_of_canonical_json_changes_a_verdict() {
    every_octet_counts(Form::CanonicalJson).await;
}

#[tokio::test]
async fn no_altered_octet_of_a_signed_body_or_its_fields_changes_a_verdict() {
    every_octet_counts(Form::SignedBody).await;
}

#[tokio::test]
async fn an_answer_in_other_octets_is_still_the_same_answer() {
    let site = site(Form::Reference).await;
    let exchange = &Exchange::all(&site, Form::Reference).await[0];
    let memory = Memory::default();
    let honest = exchange.meaning(&exchange.answer, &memory).unwrap();
    let spaced = exchange.with_body([b" \n", &exchange.answer.body[..], b"\t"].concat());
    assert_eq!(exchange.meaning(&spaced, &Memory::default()).unwrap(), honest, "it says the same");
    assert_eq!(exchange.meaning(&spaced, &memory).unwrap_err().0, Reason::PlatformReplay, "and was accepted");
}
