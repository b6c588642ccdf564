#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// The specimens of Doc 9303-4, -5 and -6, each appendix B.
const TD3: &str = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<L898902C36UTO7408122F1204159ZE184226B<<<<<10";
const TD1: &str = "I<UTOD231458907<<<<<<<<<<<<<<<7408122F1204159UTO<<<<<<<<<<<6ERIKSSON<<ANNA<MARIA<<<<<<<<<<";
const TD2: &str = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<D231458907UTO7408122F1204159<<<<<<<6";
/// The long number of Doc 9303-5 §4.2.2.1, note j.
const LONG: &str = "I<UTOD23145890<7349<<<<<<<<<<<3407127M9507122UTO<<<<<<<<<<<2STEVENSON<<PETER<JOHN<<<<<<<<<";

fn number(zone: &str) -> Option<String> {
    read(zone.as_bytes()).map(|zone| zone.number.to_string())
}

fn with_name(name: &str) -> Zone {
    let name = format!("{name:<<39}");
    let zone = read(format!("P<UTO{name}{}", &TD3[44..]).as_bytes());
    zone.unwrap_or_else(|| panic!("{name} is no name of a zone"))
}

#[test]
fn the_specimens_of_doc_9303_are_read() {
    assert_eq!(number(TD3).as_deref(), Some("L898902C3"));
    assert_eq!(number(TD1).as_deref(), Some("D23145890"));
    assert_eq!(number(TD2).as_deref(), Some("D23145890"));
    assert_eq!(number(LONG).as_deref(), Some("D23145890734"));
    for (text, code) in [(TD3, *b"P<"), (TD2, *b"I<"), (TD1, *b"I<")] {
        let zone = read(text.as_bytes()).unwrap();
        assert_eq!((zone.code, zone.state, zone.nationality), (code, *b"UTO", *b"UTO"));
        assert_eq!((&*zone.birth, &*zone.expiry), (b"740812", b"120415"));
        assert_eq!(zone.agrees_with_name("Eriksson, Anna Maria"), Some(true));
        assert_eq!(format!("{zone:?}"), "Zone(..)");
    }
}

/// Everything but names, code and state, which have no check digit; sex and nationality, which have none either, take no digits.
#[test]
fn a_wrong_character_where_a_check_digit_watches_is_found() {
    for (zone, watched) in [(TD3, 44..88), (TD2, 36..72), (TD1, 5..60), (LONG, 5..60)] {
        for place in watched {
            let mut altered = zone.as_bytes().to_vec();
            altered[place] = if altered[place] == b'8' { b'9' } else { b'8' };
            assert!(read(&altered).is_none(), "{place} of {zone}");
        }
    }
    assert_eq!(number(&TD3.to_lowercase()), None);
    assert_eq!(number(&TD3[..87]), None);
}

#[test]
fn nothing_is_guessed_where_a_zone_is_not_what_it_must_be() {
    let not_a_zone = [
        // The letter O in the place of a zero: an optical reader's mistake, and no reason to try another character.
        TD3.replace("7408122", "74O8122"),
        // A month and a day that no calendar has, with the right check digit.
        TD3.replace("7408122F1204159", "7413124F1204159"),
        TD3.replace("1204159", "1204326"),
        // Filler inside the number.
        TD1.replace("D231458907", "D23145<907"),
        // An expiry that is not known.
        TD3.replace("1204159", "<<<<<<0"),
        TD3.replace("ERIKSSON", "ER1KSSON"),
        TD3.replace("ERIKSSON", "<RIKSSON"),
        TD3.replace("F1204159", "X1204159"),
        // A long number whose own check digit is wrong.
        LONG.replace("7349", "7348"),
    ];
    for zone in &not_a_zone {
        assert!(read(zone.as_bytes()).is_none(), "{zone}");
    }
}

#[test]
fn a_birth_date_that_the_issuer_does_not_know_is_read_as_unknown() {
    // Filler counts as zero: 74<<<< has check digit 5 × 0 … as 740000 would.
    let birth = format!("74<<<<{}", char::from(icao_7_3_1(b"74<<<<")));
    let second = format!("{}{birth}{}", &TD3[44..57], &TD3[64..87]);
    let composite =
        icao_7_3_1([&second.as_bytes()[..10], &second.as_bytes()[13..20], &second.as_bytes()[21..43]].concat().iter());
    let zone = read(format!("{}{second}{}", &TD3[..44], char::from(composite)).as_bytes()).unwrap();
    assert_eq!(&*zone.birth, b"74<<<<");
}

#[test]
fn names_are_compared_as_doc_9303_transliterates_them() {
    for (zone, name) in [
        ("ZHANG<<WEI", "ZHANG, WEI"),
        ("ZHANG<<WEI", "Zhang Wei"),
        ("ZHANG<<WEI", "Wei Zhang"),
        ("OUYANG<<NANA", "OUYANG, NA-NA"),
        ("MUELLER<<JUERGEN", "Müller, Jürgen"),
        ("MULLER<<JUERGEN", "Müller, Jürgen"),
        ("MUXXLLER<<JURGEN", "Müller, Jürgen"),
        ("NUNXXEZ<<INIGO", "Núñez, Iñigo"),
        ("OCONNOR<<SEAN", "O’Connor, Seán"),
        ("NGUYEN<<VAN<A", "NGUYỄN, VĂN A"),
        ("GROSS<<OEYVIND", "Groß, Øyvind"),
        ("AASE<<THOR", "Åse, Þor"),
        ("CHER", "Cher"),
        // Yoruba: NFC composes the letter with the dot below, and the accent stays a mark of its own.
        ("EKO<<ADE", "\u{1eb8}\u{300}k\u{1ecd}\u{301}, Ade"),
    ] {
        assert_eq!(with_name(zone).agrees_with_name(name), Some(true), "{zone}: {name}");
    }
    for (zone, name) in [
        ("ZHANG<<WEI", "ZHANG, WEN"),
        ("ZHANG<<WEI", "WEI, ZHANG"),
        ("ZHANG<<WEI", "ZHANG"),
        ("ZHANG<<WEI", "ZHANG, WEI WEI"),
        ("ZHANG", "ZHANG, WEI"),
        ("MUELLER<<JUERGEN", "Moeller, Juergen"),
    ] {
        assert_eq!(with_name(zone).agrees_with_name(name), Some(false), "{zone}: {name}");
    }
    for name in ["张伟", "欧阳, NANA", "ʒAN"] {
        assert_eq!(with_name("ZHANG<<WEI").agrees_with_name(name), None, "{name}");
    }
}

#[test]
fn a_name_that_fills_the_field_may_go_on_beyond_it() {
    // 39 characters, the last inside a given name, and inside the two letters of a Ü.
    let cut = "PAPANDROPOULOUS<<JONATHON<ALEC<WARREN<TU";
    let cut = with_name(&cut[..39]);
    assert_eq!(cut.agrees_with_name("Papandropoulous, Jonathon Alec Warren Tomas"), Some(true));
    assert_eq!(cut.agrees_with_name("Papandropoulous, Jonathon Alec Warren Ümit"), Some(false));
    assert_eq!(cut.agrees_with_name("Papandropoulous, Jonathon Alec Warren"), Some(false));
    let whole = with_name("PAPANDROPOULOUS<<JONATHON<ALEC<WARREN");
    assert_eq!(whole.agrees_with_name("Papandropoulous, Jonathon Alec Warren Tomas"), Some(false));
    let primary_alone = with_name(&"BENNELONGWOOLOOMOOLOOWARRANDYTEWARNAMBOOL"[..39]);
    assert_eq!(primary_alone.agrees_with_name("Bennelongwooloomooloowarrandytewarnambool, Dingo"), Some(true));
}

/// A second opinion of another implementation, which reads the same of every zone that holds.
fn second_opinion(zone: &str) -> Option<mrz::MrzData> {
    let read = match zone.len() {
        88 => mrz::parse_td3(&zone[..44], &zone[44..]),
        72 => mrz::parse_td2(&zone[..36], &zone[36..]),
        90 => mrz::parse_td1(&zone[..30], &zone[30..60], &zone[60..]),
        _ => return None,
    };
    read.ok().filter(mrz::MrzData::checksum_consistent)
}

proptest! {
    #[test]
    fn arbitrary_zones_never_panic(octets: Vec<u8>, zone in "[A-Z0-9<]{88}|[A-Z0-9<]{90}|[A-Z0-9<]{72}", name: String) {
        let _ = read(&octets);
        let _ = read(zone.as_bytes());
        let _ = read(TD3.as_bytes()).unwrap().agrees_with_name(&name);
    }

    #[test]
    fn what_is_read_of_a_zone_is_what_another_implementation_reads(
        which in 0usize..4, changes in prop::collection::vec((any::<prop::sample::Index>(), "[A-Z0-9<]"), 0..3), repair: bool,
    ) {
        let mut zone = [TD3, TD2, TD1, LONG][which].to_owned();
        for (place, by) in &changes {
            let place = place.index(zone.len());
            zone.replace_range(place..=place, by);
        }
        if repair && zone.len() == 88 {
            // Many would fail at the composite alone.
            let second = &zone.as_bytes()[44..];
            let composite = icao_7_3_1([&second[..10], &second[13..20], &second[21..43]].concat().iter());
            zone.replace_range(87..88, &char::from(composite).to_string());
        }
        if let Some(read) = read(zone.as_bytes()) {
            // An empty personal number's check digit may be a filler, which the other one takes for wrong.
            if let Some(other) = second_opinion(&zone) {
                prop_assert_eq!(read.number.as_str(), other.full_document_number());
                let birth = [59, 51, 32, 32][which];
                prop_assert_eq!(&read.birth[2..], &zone.as_bytes()[birth..birth + 4]);
            } else {
                prop_assert!(zone.len() == 88 && &zone[86..87] == "<", "{}", zone);
            }
        }
    }

    #[test]
    fn every_transliteration_of_doc_9303_is_taken(
        letters in prop::collection::vec(prop::sample::select(('\u{c0}'..='\u{17f}').chain(['\u{1e9e}']).collect::<Vec<_>>()), 1..6),
        choice in prop::collection::vec(any::<prop::sample::Index>(), 6),
    ) {
        let mut written = String::from("A");
        for (c, choice) in letters.iter().zip(&choice) {
            let upper = if *c == 'ß' { 'ẞ' } else { c.to_uppercase().next().unwrap() };
            let listed = mrz::transliterations(upper);
            prop_assume!(!listed.is_empty());
            written.push_str(listed[choice.index(listed.len())]);
        }
        prop_assume!(written.len() < 38);
        let name: String = std::iter::once('A').chain(letters).collect();
        prop_assert_eq!(with_name(&written).agrees_with_name(&name), Some(true), "{} as {}", name, written);
    }
}
