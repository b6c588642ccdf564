//! Receipts in every form that answers take and with every octet in its turn changed: what holds and what does not, written
//! down for the receipt page to agree with (support/corpus.rs).
#![allow(clippy::unwrap_used)]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use support::corpus::{self, Judged};
use support::{Identity, NONCE, Site, Story, failures, object};
use yanqian_evidence::receipt::Entry;
use yanqian_evidence::{Answer, Der, LeafHash, Octets, Receipt};
use yanqian_messages::{CanonicalForm, SignedAttributes, encode_attached, encode_detached};
use yanqian_sm::sm3;
use yanqian_verify::{Asked, Options, Trust, verify_json};
use yanqian_vocabulary::Timestamp;

/// The steps that fail.
fn judged(site: &Site, json: &[u8], how: &Judged<'_>) -> Vec<&'static str> {
    let trust = Trust::load(&site.layout.trust(), how.grace_seconds).unwrap();
    let asked = how.asked.map(|body| Asked::from_json(body.as_bytes()).unwrap());
    let report = verify_json(json, &trust, &Options { at: how.at, asked });
    corpus::write(json, &site.layout.trust(), how, &report);
    failures(&report)
}

fn plain(site: &Site, receipt: &Receipt) -> Vec<&'static str> {
    judged(site, receipt.to_json().as_bytes(), &Judged::default())
}

fn stories(site: &mut Site) -> Vec<Story> {
    let mut stories = vec![Story::of(site), Story::two_steps(site), Story::chip(site)];
    site.attributes = false;
    stories.push(Story::of(site));
    stories
}

#[test]
fn no_octet_of_a_file_can_be_another() {
    let mut site = Site::new();
    for (which, story) in stories(&mut site).iter().enumerate() {
        let json = story.receipt().to_json().into_bytes();
        assert_eq!(judged(&site, &json, &Judged::default()), [""; 0]);
        for at in (which..json.len()).step_by(211) {
            let mut changed = json.clone();
            changed[at] ^= 1 << (at % 8);
            assert_ne!(judged(&site, &changed, &Judged::default()), [""; 0], "octet {at}");
        }
    }
}

#[test]
fn octets_of_a_record_hashed_anew_of_a_certificate_and_of_a_list_are_judged_for_what_they_say() {
    let mut site = Site::new();
    for (which, story) in stories(&mut site).iter().enumerate() {
        let receipt = story.receipt();
        for (number, entry) in receipt.records.iter().enumerate() {
            for at in (which..entry.octets.len()).step_by(61) {
                let mut octets = entry.octets.clone();
                octets[at] ^= 1 << (at % 8);
                let mut changed = receipt.clone();
                changed.records[number] = Entry { leaf: LeafHash::of_record(&octets), octets };
                plain(&site, &changed);
            }
        }
        for number in 0..receipt.certificates.len() {
            each_octet(&receipt.certificates[number].clone(), which, |der| {
                let mut changed = receipt.clone();
                changed.certificates[number] = der;
                assert_ne!(plain(&site, &changed), [""; 0]);
            });
        }
        for number in 0..receipt.revocation.len() {
            each_octet(&receipt.revocation[number].clone(), which, |der| {
                let mut changed = story.clone();
                changed.outcome.revocation[number].hash =
                    yanqian_vocabulary::ContentDigest::new(sm3(&[der.as_bytes()]));
                changed.lists[number] = der.as_bytes().to_vec();
                assert_ne!(plain(&site, &changed.receipt()), [""; 0]);
            });
        }
    }
}

/// The DER values that differ from this one in one octet.
fn each_octet(der: &Der, from: usize, mut take: impl FnMut(Der)) {
    for at in (from..der.as_bytes().len()).step_by(23) {
        let mut octets = der.as_bytes().to_vec();
        octets[at] ^= 1 << (at % 8);
        if let Ok(changed) = Der::new(octets) {
            take(changed);
        }
    }
}

#[test]
fn a_signers_certificate_with_another_octet_is_nobodys() {
    let site = Site::new();
    let story = Story::of(&site);
    let signer = story.outcome.signer.clone().unwrap();
    each_octet(&signer.certificate, 0, |der| {
        let mut changed = story.clone();
        let hash = yanqian_vocabulary::CertificateHash::new(sm3(&[der.as_bytes()]));
        changed.certificates[1] = der.as_bytes().to_vec();
        changed.outcome.signer = Some(yanqian_evidence::Signer { hash, certificate: der });
        assert_ne!(plain(&site, &changed.receipt()), [""; 0]);
    });
}

#[test]
fn white_space_order_and_escapes_are_free_and_nothing_else_is() {
    let site = Site::new();
    let json = Story::of(&site).receipt().to_json();
    let holds = |text: &str| judged(&site, text.as_bytes(), &Judged::default()).is_empty();
    let (head, tail) = json.split_once(r#","records""#).unwrap();
    for (text, expected) in [
        (json.replace(",\"", " ,\r\n\t\""), true),
        (format!("{{\"records\"{},{}}}", &tail[..tail.len() - 1], &head[1..]), true),
        (json.replacen("pending", "\\u0070ending", 1), true),
        (json.replace('/', "\\/"), true),
        (json.replacen("\"v\":1", "\"v\":1.0", 1), false),
        (json.replacen("\"v\":1", "\"v\":1e0", 1), false),
        (json.replacen("\"v\":1", "\"v\":01", 1), false),
        (json.replacen("\"v\":1", "\"v\":\"1\"", 1), false),
        (json.replacen("\"v\":1", "\"v\":1,\"v\":1", 1), false),
        (json.replacen("\"v\":1", "\"v\":1,\"w\":1", 1), false),
        (json.replacen("\"v\":1,", "", 1), false),
        (json.replacen(",\"anchor\":null", "", 1), false),
        (json.replacen("\"anchor\":null", "\"anchor\":{}", 1), false),
        (json.replacen("pending", "anchored", 1), false),
        (json.replacen("\"salt\":\"5a", "\"salt\":\"5A", 1), false),
        (json.replacen("=\"", "\"", 1), false),
        (format!("\u{feff}{json}"), false),
        (format!("{json} {json}"), false),
        (format!("[{json}]"), false),
        (String::new(), false),
    ] {
        assert_eq!(holds(&text), expected, "{text:.60}");
    }
}

#[test]
fn certificates_and_lists_are_judged_as_of_a_time_and_with_a_grace() {
    let site = Site::new();
    let json = Story::two_steps(&site).receipt().to_json().into_bytes();
    for (days, grace_days, holds) in
        [(-1, 0, false), (0, 0, true), (29, 0, true), (31, 0, false), (31, 2, false), (29, 2, true), (400, 0, false)]
    {
        let at: Timestamp = site.now.plus_millis(days * 86_400_000);
        let how = Judged { at: Some(at), grace_seconds: grace_days * 86_400, asked: None };
        assert_eq!(judged(&site, &json, &how).is_empty(), holds, "{days} {grace_days}");
    }
}

#[test]
fn what_was_asked_opens_the_commitment_and_nothing_else_does() {
    let site = Site::new();
    let json = Story::of(&site).receipt().to_json().into_bytes();
    let opens = |body: &str| judged(&site, &json, &Judged { asked: Some(body), ..Judged::default() }).is_empty();
    assert!(opens(support::ASKED));
    for (from, to) in [
        ("E12345678", "E12345679"),
        ("张伟", "张玮"),
        ("1990-01-02", "1990-1-2"),
        (r#""birth_date""#, r#""nationality":"CHN","birth_date""#),
        ("account-opening", "other-purpose"),
        ("prc-passport", "taiwan-permit"),
        (r#""name":"张伟","#, ""),
        (r#""document""#, r#""portrait":"AAAA","document""#),
    ] {
        assert!(!opens(&support::ASKED.replacen(from, to, 1)), "{from} {to}");
    }
}

/// A story whose answer is what this makes of object and signer; then also the one whose object says something else.
fn answered(
    site: &Site,
    make: impl Fn(&Site, &str) -> Answer,
    covers: impl Fn(&str) -> String,
) -> [Vec<&'static str>; 2] {
    let mut story = Story::of(site);
    let said = object(&story.intent.request, NONCE, "S-1", r#","resultMsg":"","n":null,"m":[1.50,{"b":2,"a":1e2}]"#);
    story.outcome.answer = Some(make(site, &covers(&said)));
    let good = plain(site, &story.receipt());
    let answer = story.outcome.answer.as_mut().unwrap();
    let text = String::from_utf8_lossy(answer.octets.as_bytes()).replacen("\"0000\"", "\"1001\"", 1);
    let mut octets = text.into_bytes();
    if octets == answer.octets.as_bytes() {
        let at = octets.len() / 2;
        octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
    }
    answer.octets = Octets::new(octets);
    [good, plain(site, &story.receipt())]
}

/// Signed over the octets themselves.
fn bare(platform: &Identity, signed: &[u8], octets: &str) -> Answer {
    let signature = platform.sign(signed);
    let place = STANDARD.encode(signature.to_der());
    let octets = octets.replacen("SIGNATURE", &place, 1);
    Answer { octets: Octets::new(octets), signature: Some(Der::new(signature.to_der()).unwrap()), attributes: None }
}

#[test]
fn an_answers_object_is_found_in_every_form_of_platform_protocol() {
    let site = Site::new();
    let attached = |site: &Site, object: &str, text: fn(Vec<u8>) -> Vec<u8>| {
        let attributes = SignedAttributes::new(sm3(&[object.as_bytes()]), site.now.unix_seconds()).unwrap();
        let signature = site.platform.sign(attributes.as_der());
        let message =
            encode_attached(&site.platform.certificate, object.as_bytes(), Some(&attributes), &signature).unwrap();
        Answer {
            octets: Octets::new(text(message)),
            signature: Some(Der::new(signature.to_der()).unwrap()),
            attributes: Some(Der::new(attributes.as_der()).unwrap()),
        }
    };
    let member = |form: CanonicalForm| {
        move |site: &Site, object: &str| {
            let whole = object.replacen('{', "{\"sign\":\"SIGNATURE\",", 1);
            let signed = form.octets(whole.as_bytes(), "sign").unwrap();
            bare(&site.platform, &signed, &whole)
        }
    };
    let same = |object: &str| object.to_owned();
    let [pairs_all, pairs, jcs] = CanonicalForm::ALL.map(member);
    for (name, found) in [
        ("attached, DER", answered(&site, |site, said| attached(site, said, |der| der), same)),
        (
            "attached, base64",
            answered(&site, |site, said| attached(site, said, |der| STANDARD.encode(der).into()), same),
        ),
        ("pairs with empty members", answered(&site, pairs_all, same)),
        ("pairs without", answered(&site, pairs, same)),
        ("RFC 8785", answered(&site, jcs, same)),
        ("header", answered(&site, |site, said| bare(&site.platform, said.as_bytes(), said), same)),
        (
            "package, DER alone",
            answered(
                &site,
                |site, said| bare(&site.platform, said.as_bytes(), &format!(r#"{{"o":{said},"s":"SIGNATURE"}}"#)),
                same,
            ),
        ),
    ] {
        assert_eq!(found[0], [""; 0], "{name}");
        assert!(found[1].contains(&"answer-signature"), "{name}: {:?}", found[1]);
    }
}

#[test]
fn a_signature_is_read_as_leniently_as_any_profile_reads_it() {
    let site = Site::new();
    let mut story = Story::of(&site);
    let said = object(&story.intent.request, NONCE, "S-1", "");
    let attributes = SignedAttributes::new(sm3(&[said.as_bytes()]), site.now.unix_seconds()).unwrap();
    let signature = site.platform.sign(attributes.as_der());
    let message = encode_detached(&site.platform.certificate, Some(&attributes), &signature).unwrap();
    let unpadded = STANDARD_NO_PAD.encode(&message);
    let folded = STANDARD.encode(&message).replacen("MI", "M\\n I", 1);
    for (place, holds) in [
        (STANDARD.encode(&message), true),
        (unpadded, true),
        (folded, true),
        (hex::encode(&message), true),
        (hex::encode_upper(&message), true),
        (hex::encode(&message) + "00", false),
    ] {
        for text in [format!(r#"{{"o":{said},"s":"{place}"}}"#), format!(r#"{{"s":"{place}","o":{said},"r":null}}"#)] {
            story.outcome.answer = Some(Answer {
                octets: Octets::new(text),
                signature: Some(Der::new(signature.to_der()).unwrap()),
                attributes: Some(Der::new(attributes.as_der()).unwrap()),
            });
            assert_eq!(plain(&site, &story.receipt()).is_empty(), holds, "{place:.40}");
        }
    }
    // Inside the object that it signs, a message stands in the same texts.
    let form = CanonicalForm::Rfc8785;
    let signed = form.octets(said.as_bytes(), "sign").unwrap();
    let attributes = SignedAttributes::new(sm3(&[&signed]), site.now.unix_seconds()).unwrap();
    let signature = site.platform.sign(attributes.as_der());
    let message = encode_detached(&site.platform.certificate, Some(&attributes), &signature).unwrap();
    for place in [STANDARD.encode(&message), STANDARD_NO_PAD.encode(&message), hex::encode(&message)] {
        story.outcome.answer = Some(Answer {
            octets: Octets::new(said.replacen('{', &format!(r#"{{"sign":"{place}","#), 1)),
            signature: Some(Der::new(signature.to_der()).unwrap()),
            attributes: Some(Der::new(attributes.as_der()).unwrap()),
        });
        assert_eq!(plain(&site, &story.receipt()), [""; 0], "{place:.40}");
    }
}

#[test]
fn an_answer_that_says_another_certificate_signed_it_is_refused() {
    let site = Site::new();
    let mut story = Story::of(&site);
    let said = object(&story.intent.request, NONCE, "S-1", "");
    let signature = site.platform.sign(said.as_bytes());
    let message = encode_detached(&site.platform.certificate, None, &signature).unwrap();
    // The serial number stands in the certificate and again where the signer is named.
    let serial = site.platform.certificate.serial();
    let named = message.windows(serial.len()).rposition(|window| window == serial).unwrap();
    let mut answer = |message: &[u8]| {
        story.outcome.answer = Some(Answer {
            octets: Octets::new(format!(r#"{{"o":{said},"s":"{}"}}"#, STANDARD.encode(message))),
            signature: Some(Der::new(signature.to_der()).unwrap()),
            attributes: None,
        });
        plain(&site, &story.receipt())
    };
    assert_eq!(answer(&message), [""; 0]);
    let mut other = message.clone();
    other[named + serial.len() - 1] ^= 1;
    assert_eq!(answer(&other), ["answer-signature"]);
}
