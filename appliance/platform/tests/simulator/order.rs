//! The checks of an answer are made in one order, which is the documented one.

use std::path::Path;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use yanqian_devpki::Layout;
use yanqian_platform::{Expected, ReplayError, ReplayGuard, Step, StepName};
use yanqian_platform_sim::form::Form;
use yanqian_trust::{SecondOpinion, SignedContent, TrustStore, Verifier};
use yanqian_vocabulary::{ContentDigest, Field, Nonce, Reason, Timestamp};

use crate::support::{FIELDS, Memory, SETTINGS, claim_of, expected, holder, now, site};

/// The steps of an answer in one step without a sealed reading.
fn all() -> impl Iterator<Item = StepName> {
    StepName::ALL.iter().copied().filter(|step| *step != StepName::Reading)
}

/// None is left out, each stands in its place, all but the last have passed, and the last is what the answer came to.
pub(crate) fn assert_kept(steps: &[Step], refused: Option<Reason>) {
    let last = steps.last().expect("a first step is always made");
    assert_eq!(last.refused, refused, "{steps:?}");
    assert!(steps[..steps.len() - 1].iter().all(|step| step.refused.is_none()), "{steps:?}");
    let due: Vec<_> = all().take(steps.len()).collect();
    let names: Vec<_> = steps.iter().map(|step| step.name).collect();
    // What is no object has no nonce to look for, no serial cannot be remembered, and of a signature that names nobody and verifies with
    // no known key there is no signer to ask about.
    let early = match last.name {
        StepName::Schema => matches!(due.last(), Some(StepName::Nonce | StepName::Replay)),
        StepName::Signature => due.last() == Some(&StepName::Signer),
        _ => false,
    };
    let (names, due) = if early { (&names[..names.len() - 1], &due[..due.len() - 1]) } else { (&names[..], &due[..]) };
    assert_eq!(names, due);
    assert!(refused.is_some() || steps.len() == all().count(), "{steps:?}");
}

#[test]
fn the_documented_order_of_checks_is_this_one() {
    let documented = include_str!("../../../../docs/platform-protocol.md");
    let table = documented.split_once("## What an answer must pass").expect("the section").1;
    let table = table.split_once("\n## ").map_or(table, |(table, _)| table);
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |").map(|(names, _)| names));
    let names: Vec<_> = rows.flat_map(|names| names.split(", ").map(|name| name.trim_matches('`'))).collect();
    let order: Vec<_> = StepName::ALL.iter().map(|step| step.as_str()).chain(["unseal"]).collect();
    assert_eq!(names, order);
}

/// A memory that says the same of everything.
struct Memories(Result<bool, ReplayError>);

impl ReplayGuard for Memories {
    fn accept_once(&self, _: Nonce, _: &str, _: Timestamp) -> Result<bool, ReplayError> {
        self.0
    }
}

struct Denies;

impl SecondOpinion for Denies {
    fn holds(&self, _: &SignedContent<'_>) -> bool {
        false
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// One fault after the other is taken away, and what is behind it comes to light: so each check is made before those below it.
#[tokio::test]
async fn an_answer_that_is_wrong_in_every_way_is_refused_for_the_first_and_then_for_the_next() {
    let mut site = site(Form::Reference).await;
    let request = site.request(&claim_of(&holder()));
    let mut answer = site.client.send(&request, &site.trust).await.unwrap();
    let good_type = answer.headers.get(CONTENT_TYPE).cloned().unwrap();

    let layout = Layout::at(site.directory.path().join("pki"));
    let store = |name: &str, change: &dyn Fn(&Path)| {
        let directory = site.directory.path().join(name);
        copy(&layout.trust(), &directory);
        change(&directory);
        TrustStore::load(&directory, 0).unwrap()
    };
    let other = std::fs::read(layout.platform("other-ca").certificate).unwrap();
    let foreign = |directory: &Path| std::fs::write(directory.join("anchors/root.pem"), &other).unwrap();
    let unlisted = |directory: &Path| {
        for list in std::fs::read_dir(directory.join("crls")).unwrap() {
            std::fs::remove_file(list.unwrap().path()).unwrap();
        }
    };
    let unpinned = |directory: &Path| {
        let text = std::fs::read_to_string(directory.join("signers.toml")).unwrap();
        let second = text.match_indices("[[signer]]").nth(1).expect("two pins").0;
        std::fs::write(directory.join("signers.toml"), format!("format_version = 1\n\n{}", &text[second..])).unwrap();
    };
    let stranger = store("stranger", &|at| {
        unpinned(at);
        foreign(at);
        unlisted(at);
    });
    let chainless = store("chainless", &|at| {
        foreign(at);
        unlisted(at);
    });
    let listless = store("listless", &unlisted);

    answer.status = 500;
    answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    site.verifier = Verifier::with_second_opinion(SETTINGS, Box::new(Denies));
    let right = expected(&request);
    let asked = &FIELDS[..FIELDS.len() - 1];
    let mut owed = Expected { nonce: Nonce::new([7; 16]), digest: ContentDigest::new([7; 32]), fields: asked, ..right };
    let mut stores = [stranger, chainless, listless].into_iter();
    let good = std::mem::replace(&mut site.trust, stores.next().unwrap());
    let mut memory = Memories(Err(ReplayError));
    let mut at = now().plus_millis(3_600_000);
    let mut good = Some(good);
    let check = |site: &crate::support::Site, memory: &Memories, answer: &_, owed: &_, at| {
        let checked = site.checker(memory).check(answer, owed, at);
        let refused = checked.result.err();
        assert_kept(&checked.found.steps, refused);
        (checked.found.steps.last().unwrap().name, refused)
    };
    let refused = |step, reason| (step, Some(reason));

    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Status, Reason::PlatformStatus));
    answer.status = 200;
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Envelope, Reason::PlatformEnvelope));
    answer.headers.insert(CONTENT_TYPE, good_type);
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Signer, Reason::PlatformSignerUnknown));
    site.trust = stores.next().unwrap();
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Chain, Reason::PlatformChain));
    site.trust = stores.next().unwrap();
    assert_eq!(
        check(&site, &memory, &answer, &owed, at),
        refused(StepName::Revocation, Reason::PlatformRevocationStale)
    );
    site.trust = good.take().unwrap();
    let disputed = Reason::PlatformSignatureDisputed;
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Signature, disputed));
    site.verifier = Verifier::new(SETTINGS);
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Nonce, Reason::PlatformNonce));
    owed.nonce = right.nonce;
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Digest, Reason::PlatformDigest));
    owed.digest = right.digest;
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Time, Reason::PlatformTime));
    at = now();
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Replay, Reason::PlatformUnproven));
    memory.0 = Ok(false);
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Replay, Reason::PlatformReplay));
    memory.0 = Ok(true);
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Fields, Reason::PlatformFieldUnasked));
    let more = [FIELDS, &[Field::Nationality]].concat();
    owed.fields = &more;
    assert_eq!(check(&site, &memory, &answer, &owed, at), refused(StepName::Fields, Reason::PlatformSchema));
    owed.fields = FIELDS;
    assert_eq!(check(&site, &memory, &answer, &owed, at), (StepName::Fields, None));
    assert!(site.checker(&Memory::default()).check(&answer, &owed, at).result.is_ok());
}
