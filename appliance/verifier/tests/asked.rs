//! What a caller says it asked, in the two services that take more than printed fields: pictures and chip files open the
//! commitment from the body as it was posted, or from files of their own.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jpeg_encoder::{ColorType, Encoder};
use support::{SALT, Site, Story};
use yanqian_documents::{RawChip, Stated, read_chip, read_portrait};
use yanqian_evidence::{Decision, commitment};
use yanqian_verify::{Asked, Options, verify, verify_json};
use yanqian_vocabulary::{Claim, DocumentType, Field, FieldVerdict, Mode, Timestamp, Verdict};

const ZONE: &str = "P<CHNZHANG<<WEI<<<<<<<<<<<<<<<<<<<<<<<<<<<<<E123456782CHN8706054M3001019<<<<<<<<<<<<<<08";

/// A picture with a comment in it, as cameras and programs leave them.
fn picture(shade: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, 85).encode(&[shade; 64 * 64], 64, 64, ColorType::Luma).unwrap();
    jpeg.splice(2..2, [0xff, 0xfe, 0x00, 0x06, b'n', b'o', b't', b'e']);
    jpeg
}

fn tlv(tag: &[u8], content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [tag, &[0x82], &length, content].concat()
}

/// EF.COM, EF.DG1, EF.DG2, EF.SOD.
fn chip() -> [Vec<u8>; 4] {
    let signed_data = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
    let versions = [tlv(&[0x5f, 0x01], b"0107"), tlv(&[0x5f, 0x36], b"040000")].concat();
    let template = tlv(&[0x7f, 0x60], &[tlv(&[0xa1], &[]), tlv(&[0x5f, 0x2e], &[7; 500])].concat());
    [
        tlv(&[0x60], &[&versions[..], &[0x5c, 0x02, 0x61, 0x75]].concat()),
        tlv(&[0x61], &[&[0x5f, 0x1f, 0x58], ZONE.as_bytes()].concat()),
        tlv(&[0x75], &tlv(&[0x7f, 0x61], &[&[0x02, 0x01, 0x01], &template[..]].concat())),
        tlv(&[0x77], &tlv(&[0x30], &signed_data)),
    ]
}

/// The body with a picture, and the receipt of the check that it asked for.
fn real_person(site: &Site) -> (String, Story) {
    let base64 = STANDARD.encode(picture(90));
    let Claim::RealName(document) = support::claim() else { panic!("a document") };
    let claim = Claim::RealPerson { document, portrait: read_portrait(&base64).unwrap() };
    let mut story = Story::of(site);
    story.intent.mode = Mode::RealPerson;
    story.intent.fields.insert(Field::Portrait);
    story.intent.commitment = commitment(&SALT, &claim);
    let fields = story.intent.fields.iter().map(|field| (*field, FieldVerdict::Match)).collect();
    story.outcome.decision = Decision::Verdict { overall: Verdict::Match, fields };
    (real_person_body(90), story)
}

fn real_person_body(shade: u8) -> String {
    let base64 = STANDARD.encode(picture(shade));
    support::ASKED.replacen('{', &format!(r#"{{"portrait":"{base64}","#), 1)
}

/// The body with a chip's files, and the receipt of the check that it asked for.
fn chip_reading(site: &Site) -> (String, Story) {
    let [com, dg1, dg2, sod] = chip().map(|file| STANDARD.encode(file));
    let raw = RawChip { com: &com, dg1: &dg1, dg2: &dg2, sod: &sod };
    let now = Timestamp::from_unix_millis(1_795_392_000_000);
    let claim = Claim::ChipReading(read_chip(DocumentType::PrcPassport, &raw, &Stated::default(), now).unwrap());
    let mut story = Story::chip(site);
    story.intent.fields = BTreeSet::from([Field::Chip]);
    story.intent.commitment = commitment(&SALT, &claim);
    let fields = BTreeMap::from([(Field::Chip, FieldVerdict::Match)]);
    story.outcome.decision = Decision::Verdict { overall: Verdict::Match, fields };
    let files = format!(r#"{{"com":"{com}","dg1":"{dg1}","dg2":"{dg2}","sod":"{sod}"}}"#);
    (format!(r#"{{"document":{{"type":"prc-passport"}},"chip":{files}}}"#), story)
}

fn failures(site: &Site, story: &Story, asked: Asked) -> Vec<&'static str> {
    let options = Options { at: None, asked: Some(asked) };
    support::failures(&verify(&story.receipt(), &site.trust(), &options))
}

/// As [`failures`], of the body as it was posted.
fn posted(site: &Site, story: &Story, body: &str) -> Vec<&'static str> {
    let json = story.receipt().to_json();
    let report = verify_json(json.as_bytes(), &site.trust(), &Options { at: None, asked: Some(read(body)) });
    let how = support::corpus::Judged { asked: Some(body), ..Default::default() };
    support::corpus::write(json.as_bytes(), &site.layout.trust(), &how, &report);
    support::failures(&report)
}

fn read(json: &str) -> Asked {
    Asked::from_json(json.as_bytes()).unwrap()
}

#[test]
fn a_portrait_opens_the_commitment_as_it_was_posted_with_whatever_stood_beside_the_picture() {
    let site = Site::new();
    let (body, story) = real_person(&site);
    assert_eq!(posted(&site, &story, &body), [""; 0]);
    let mut apart = read(support::ASKED);
    apart.set_portrait(&picture(90));
    assert_eq!(failures(&site, &story, apart), [""; 0]);
    let mut other = read(support::ASKED);
    other.set_portrait(&picture(91));
    assert_eq!(failures(&site, &story, other), ["commitment"]);
    let mut no_picture = read(support::ASKED);
    no_picture.set_portrait(b"no picture");
    assert_eq!(failures(&site, &story, no_picture), ["commitment"]);
    assert_eq!(posted(&site, &story, support::ASKED), ["commitment"], "no portrait was given");
    assert_eq!(posted(&site, &story, &real_person_body(91)), ["commitment"]);
}

#[test]
fn a_chips_files_open_the_commitment_and_no_other_files_do() {
    let site = Site::new();
    let (body, story) = chip_reading(&site);
    assert_eq!(posted(&site, &story, &body), [""; 0]);
    let bare = r#"{"document":{"type":"prc-passport"}}"#;
    for changed in 0..5 {
        let mut files = chip();
        if let Some(file) = files.get_mut(changed) {
            *file.last_mut().unwrap() ^= 1;
        }
        let mut asked = read(bare);
        asked.set_chip(&files[0], &files[1], &files[2], &files[3]);
        let expected: &[&str] = if changed == 4 { &[] } else { &["commitment"] };
        assert_eq!(failures(&site, &story, asked), expected, "{changed}");
    }
    assert_eq!(posted(&site, &story, bare), ["commitment"], "no files were given");
}

#[test]
fn the_command_takes_pictures_and_chip_files_from_files() {
    let site = Site::new();
    let at = |name: &str| site.path().join(name);
    let run = |story: &Story, asked: &str, more: [&str; 2]| {
        std::fs::write(at("receipt.json"), story.receipt().to_json()).unwrap();
        std::fs::write(at("asked.json"), asked).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_yanqian-verify"));
        command.arg(at("receipt.json")).arg("--trust").arg(site.layout.trust());
        command.arg("--fields").arg(at("asked.json")).arg(more[0]).arg(at(more[1]));
        command.output().unwrap().status.code()
    };
    std::fs::write(at("face.jpg"), picture(90)).unwrap();
    assert_eq!(run(&real_person(&site).1, support::ASKED, ["--portrait", "face.jpg"]), Some(0));
    std::fs::write(at("face.jpg"), picture(10)).unwrap();
    assert_eq!(run(&real_person(&site).1, support::ASKED, ["--portrait", "face.jpg"]), Some(1));

    let bare = r#"{"document":{"type":"prc-passport"}}"#;
    assert_eq!(run(&chip_reading(&site).1, bare, ["--chip", "chip"]), Some(2), "there is no such directory");
    std::fs::create_dir(at("chip")).unwrap();
    for (name, octets) in ["com.bin", "dg1.bin", "dg2.bin", "sod.bin"].iter().zip(chip()) {
        std::fs::write(at("chip").join(name), octets).unwrap();
    }
    assert_eq!(run(&chip_reading(&site).1, bare, ["--chip", "chip"]), Some(0));
}
