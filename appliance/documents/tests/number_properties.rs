//! What holds of every number: each check character against the tables of its own standard.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use support::{document, now, refusal};
use yanqian_documents::{CreditCodeError, RawDocument, check_credit_code, validate};
use yanqian_vocabulary::{DocumentType, Field, Reason};

/// The check character of ISO 7064 MOD 11-2 as GB 11643-1999 tabulates it: weights, sum, table.
fn tabulated_mod_11_2(body: &str) -> char {
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.bytes().zip(weights).map(|(c, w)| u32::from(c - b'0') * w).sum();
    ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'][sum as usize % 11]
}

/// A letter's or digit's value in ICAO Doc 9303-3.
fn icao_value(c: char) -> u32 {
    c.to_digit(36).unwrap()
}

/// The check digit of ICAO Doc 9303-3 §4.9, character by character.
fn tabulated_7_3_1(body: &str) -> char {
    let sum: u32 = body.chars().enumerate().map(|(place, c)| icao_value(c) * [7, 3, 1][place % 3]).sum();
    char::from_digit(sum % 10, 10).unwrap()
}

/// Alpha-3 and numeric codes out of ISO 3166-1, low and high ones among them.
const COUNTRIES: &[(&str, &str)] =
    &[("AFG", "004"), ("KAZ", "398"), ("FRA", "250"), ("GBR", "826"), ("USA", "840"), ("ZWE", "716")];

#[derive(Debug)]
struct Card {
    number: String,
    birth_date: String,
    nationality: &'static str,
}

impl Card {
    fn raw(&self) -> RawDocument<'_> {
        RawDocument {
            birth_date: &self.birth_date,
            nationality: Some(self.nationality),
            ..document(DocumentType::ForeignPermanentResidentCard, &self.number)
        }
    }
}

prop_compose! {
    fn born()(year in 1900u16..2026, month in 1u8..13, day in 1u8..29) -> (u16, u8, u8) { (year, month, day) }
}

prop_compose! {
    fn card_of_2023()(
        (year, month, day) in born(), province in 11u8..66, sequence in 0u16..1000,
        (alpha3, numeric) in proptest::sample::select(COUNTRIES),
    ) -> Card {
        let body = format!("9{province:02}{numeric}{year:04}{month:02}{day:02}{sequence:03}");
        let number = format!("{body}{}", tabulated_mod_11_2(&body));
        Card { number, birth_date: format!("{year:04}-{month:02}-{day:02}"), nationality: alpha3 }
    }
}

prop_compose! {
    /// Type, number and birth date of a citizen number: of a resident identity card, or of a residence permit.
    fn citizen()(
        (year, month, day) in born(), area in 110_000u32..720_000, sequence in 0u16..1000,
        permit in proptest::option::of(proptest::sample::select(&["810000", "820000", "830000"][..])),
    ) -> (DocumentType, String, String) {
        let area = permit.map_or(area.to_string(), ToOwned::to_owned);
        let body = format!("{area}{year:04}{month:02}{day:02}{sequence:03}");
        let number = format!("{body}{}", tabulated_mod_11_2(&body));
        let kind = if permit.is_some() { DocumentType::ResidencePermit } else { DocumentType::ResidentIdentityCard };
        (kind, number, format!("{year:04}-{month:02}-{day:02}"))
    }
}

/// The characters of GB 32100-2015 in their order.
const CREDIT_CODE: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";

/// The check character of GB 32100-2015 as it tabulates the weights.
fn tabulated_mod_31(body: &str) -> char {
    let weights = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];
    let sum: usize = body.chars().zip(weights).map(|(c, weight)| CREDIT_CODE.find(c).unwrap() * weight).sum();
    CREDIT_CODE.chars().nth((31 - sum % 31) % 31).unwrap()
}

/// The check character of GB 11714-1997.
fn tabulated_organization_check(body: &str) -> char {
    let sum: u32 = body.chars().zip([3, 7, 9, 10, 5, 8, 4, 2]).map(|(c, weight)| icao_value(c) * weight).sum();
    ['0', 'X', '9', '8', '7', '6', '5', '4', '3', '2', '1'][sum as usize % 11]
}

prop_compose! {
    fn credit_code()(authority in "[1-9A-HJ-NP-RTUWXY]{2}", area in "[0-9]{6}", organization in "[0-9A-HJ-NP-RTUWXY]{8}") -> String {
        let body = format!("{authority}{area}{organization}{}", tabulated_organization_check(&organization));
        format!("{body}{}", tabulated_mod_31(&body))
    }
}

prop_compose! {
    fn card_of_2017()(
        (year, month, day) in born(), area in 1100u16..6600, sequence in 0u8..10,
        (alpha3, _) in proptest::sample::select(COUNTRIES),
    ) -> Card {
        let body = format!("{alpha3}{area:04}{:02}{month:02}{day:02}{sequence}", year % 100);
        let number = format!("{body}{}", tabulated_7_3_1(&body));
        Card { number, birth_date: format!("{year:04}-{month:02}-{day:02}"), nationality: alpha3 }
    }
}

/// `text` with the character at `place` replaced.
fn changed(text: &str, place: usize, by: char) -> String {
    text.chars().enumerate().map(|(at, c)| if at == place { by } else { c }).collect()
}

const PLAIN_FORMS: &[(DocumentType, &str)] = &[
    (DocumentType::PrcPassport, "[EG][0-9]{8}"),
    (DocumentType::PrcPassport, "E[A-HJ-NP-Z][0-9]{7}"),
    (DocumentType::PrcPassport, "1[45][0-9]{7}"),
    (DocumentType::PrcPassport, "[PSD]E[0-9]{7}"),
    (DocumentType::PrcPassport, "[PSD][0-9]{7,8}"),
    (DocumentType::PrcPassport, "[KH][0-9]{8}"),
    (DocumentType::PrcPassport, "[KH]J[0-9]{7}"),
    (DocumentType::PrcPassport, "M[AB][0-9]{7}"),
    (DocumentType::HongKongMacaoPermit, "[HM][0-9]{8}"),
    (DocumentType::HongKongMacaoPermit, "[HM][0-9]{10}"),
    (DocumentType::HongKongMacaoPermit, "[HM]A[0-9]{7}"),
    (DocumentType::TaiwanPermit, "[0-9]{8}"),
    (DocumentType::TaiwanPermit, "[0-9]{10}"),
    (DocumentType::ExitPermitToHongKongMacao, "C[0-9]{8}"),
    (DocumentType::ExitPermitToHongKongMacao, "C[A-HJ-NP-Z][0-9]{7}"),
];

fn plain() -> impl Strategy<Value = (DocumentType, String)> {
    proptest::sample::select(PLAIN_FORMS).prop_flat_map(|(document_type, form)| {
        proptest::string::string_regex(form).unwrap().prop_map(move |number| (document_type, number))
    })
}

proptest! {
    #[test]
    fn every_number_of_a_form_in_circulation_is_accepted((document_type, number) in plain()) {
        prop_assert!(validate(&document(document_type, &number), now()).is_ok());
    }

    #[test]
    fn a_number_that_lost_or_gained_a_digit_at_its_end_is_of_no_known_form((document_type, number) in plain()) {
        // Passports of P, S and D have 7 or 8 digits: what one loses is the other.
        prop_assume!(!number.starts_with(['P', 'S', 'D']));
        for other in [&number[..number.len() - 1], &format!("{number}0")] {
            prop_assert_eq!(
                refusal(&document(document_type, other)),
                (Field::Number, Reason::DocumentNumberMalformed)
            );
        }
    }

    #[test]
    fn full_width_and_lower_case_spellings_are_refused_and_never_folded(
        (document_type, number) in plain(), place in 0usize..8,
    ) {
        let c = number.chars().nth(place).unwrap();
        let wide = char::from_u32(u32::from(c) + 0xfee0).unwrap();
        let mut others = vec![changed(&number, place, wide)];
        if c.is_ascii_uppercase() {
            others.push(changed(&number, place, c.to_ascii_lowercase()));
        }
        for other in &others {
            prop_assert_eq!(
                refusal(&document(document_type, other)),
                (Field::Number, Reason::DocumentNumberMalformed)
            );
        }
    }

    #[test]
    fn every_card_with_a_right_check_character_is_accepted(new in card_of_2023(), old in card_of_2017()) {
        prop_assert!(validate(&new.raw(), now()).is_ok());
        prop_assert!(validate(&old.raw(), now()).is_ok());
    }

    #[test]
    fn every_changed_character_of_a_card_of_2023_is_refused(
        card in card_of_2023(), place in 0usize..18, by in "[0-9X]",
    ) {
        let by = by.chars().next().unwrap();
        prop_assume!(card.number.chars().nth(place) != Some(by));
        let number = changed(&card.number, place, by);
        // The leading 9 and the place of an X belong to the form; every other change is the check character's to find.
        let form = place == 0 || (by == 'X' && place != 17);
        let reason = if form { Reason::DocumentNumberMalformed } else { Reason::DocumentCheckDigit };
        prop_assert_eq!(refusal(&RawDocument { number: &number, ..card.raw() }), (Field::Number, reason));
    }

    #[test]
    fn every_citizen_number_with_a_right_check_character_is_accepted((kind, number, birth_date) in citizen()) {
        let raw = RawDocument { birth_date: &birth_date, ..document(kind, &number) };
        prop_assert!(validate(&raw, now()).is_ok(), "{}", number);
    }

    #[test]
    fn every_changed_character_of_a_citizen_number_is_refused(
        (kind, number, birth_date) in citizen(), place in 0usize..18, by: char,
    ) {
        prop_assume!(number.chars().nth(place) != Some(by));
        let number = changed(&number, place, by);
        let raw = RawDocument { birth_date: &birth_date, ..document(kind, &number) };
        prop_assert_eq!(refusal(&raw).0, Field::Number);
    }

    #[test]
    fn every_changed_digit_of_a_citizen_number_fails_its_check_character(
        (kind, number, birth_date) in citizen(), place in 0usize..18, by in "[0-9]",
    ) {
        let by = by.chars().next().unwrap();
        prop_assume!(number.chars().nth(place) != Some(by));
        let number = changed(&number, place, by);
        let raw = RawDocument { birth_date: &birth_date, ..document(kind, &number) };
        prop_assert_eq!(refusal(&raw), (Field::Number, Reason::DocumentCheckDigit));
    }

    #[test]
    fn every_credit_code_is_accepted_and_with_any_other_character_refused(
        code in credit_code(), place in 0usize..18, by in "[0-9A-Z]", any: char,
    ) {
        prop_assert_eq!(check_credit_code(&code), Ok(()));
        for by in [by.chars().next().unwrap(), any] {
            let other = changed(&code, place, by);
            if other != code {
                let known = CREDIT_CODE.contains(by) && (!(2..8).contains(&place) || by.is_ascii_digit());
                let error = if known { CreditCodeError::CheckCharacter } else { CreditCodeError::Form };
                prop_assert_eq!(check_credit_code(&other), Err(error), "{}", other);
            }
        }
    }

    #[test]
    fn an_organization_code_within_must_hold_by_itself(code in credit_code(), by in "[0-9X]") {
        prop_assume!(code[16..17] != by);
        let body = format!("{}{by}", &code[..16]);
        let other = format!("{body}{}", tabulated_mod_31(&body));
        prop_assert_eq!(check_credit_code(&other), Err(CreditCodeError::OrganizationCode));
    }

    #[test]
    fn every_changed_digit_of_a_card_of_2017_is_refused(card in card_of_2017(), place in 3usize..15, by in 0u32..10) {
        let by = char::from_digit(by, 10).unwrap();
        prop_assume!(card.number.chars().nth(place) != Some(by));
        let number = changed(&card.number, place, by);
        let expected = (Field::Number, Reason::DocumentCheckDigit);
        prop_assert_eq!(refusal(&RawDocument { number: &number, ..card.raw() }), expected);
    }

    /// The limit of ICAO 7-3-1, stated: letters whose values differ by ten look alike to it. What it lets through still has
    /// to be a country's code and to agree with the stated nationality.
    #[test]
    fn every_changed_letter_of_a_card_of_2017_is_refused(card in card_of_2017(), place in 0usize..3, by in "[A-Z]") {
        let by = by.chars().next().unwrap();
        let before = card.number.chars().nth(place).unwrap();
        prop_assume!(before != by);
        let number = changed(&card.number, place, by);
        let (field, reason) = refusal(&RawDocument { number: &number, ..card.raw() });
        if icao_value(before) % 10 == icao_value(by) % 10 {
            prop_assert!(matches!(
                (field, reason),
                (Field::Number, Reason::DocumentNumberMalformed)
                    | (Field::Nationality, Reason::NationalityContradictsNumber)
            ));
        } else {
            prop_assert_eq!((field, reason), (Field::Number, Reason::DocumentCheckDigit));
        }
    }

    #[test]
    fn a_card_with_any_other_stated_birth_date_is_refused(new in card_of_2023(), old in card_of_2017(), (year, month, day) in born()) {
        let other = format!("{year:04}-{month:02}-{day:02}");
        let contradicts = (Field::BirthDate, Reason::BirthDateContradictsNumber);
        if other != new.birth_date {
            prop_assert_eq!(refusal(&RawDocument { birth_date: &other, ..new.raw() }), contradicts);
        }
        // The card of 2017 writes the year without its century.
        if other[2..] != old.birth_date[2..] {
            prop_assert_eq!(refusal(&RawDocument { birth_date: &other, ..old.raw() }), contradicts);
        }
    }

    #[test]
    fn nothing_that_a_caller_writes_panics(number: String, name: String, date: String, nationality: String, kind in 0..DocumentType::ALL.len()) {
        let raw = RawDocument {
            document_type: DocumentType::ALL[kind],
            number: &number,
            name: &name,
            birth_date: &date,
            nationality: Some(&nationality),
            expiry: Some(&date),
        };
        let _ = validate(&raw, now());
    }

    #[test]
    fn no_number_of_the_right_alphabet_panics(number in "[A-Z0-9]{0,20}", kind in 0..DocumentType::ALL.len()) {
        let _ = validate(&document(DocumentType::ALL[kind], &number), now());
    }
}
