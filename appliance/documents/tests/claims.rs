//! What the documents room lets through and what it refuses.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use yanqian_documents::{CreditCodeError, RawDocument, check_credit_code, lifetime_number, read_number, validate};
use yanqian_vocabulary::{DocumentType, Field, Reason, Timestamp};

/// 2026-11-23.
fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_795_392_000_000)
}

fn document(document_type: DocumentType, number: &str) -> RawDocument<'_> {
    RawDocument { document_type, number, name: "张伟", birth_date: "1990-01-02", nationality: None, expiry: None }
}

fn refusal(raw: &RawDocument<'_>) -> (Field, Reason) {
    let error = validate(raw, now()).expect_err("must be refused");
    (error.field, error.reason)
}

#[test]
fn every_form_of_number_in_circulation_is_accepted() {
    use DocumentType::{HongKongMacaoPermit, PrcPassport, TaiwanPermit};
    for (document_type, numbers) in [
        (
            PrcPassport,
            &[
                "E12345678",
                "EA1234567",
                "G12345678",
                "141234567",
                "PE1234567",
                "SE1234567",
                "DE1234567",
                "K12345678",
                "MA1234567",
            ][..],
        ),
        (HongKongMacaoPermit, &["H12345678", "M12345678", "H1234567801", "HA1234567", "MA1234567"]),
        (TaiwanPermit, &["12345678", "1234567801"]),
        (DocumentType::ExitPermitToHongKongMacao, &["C12345678", "CA1234567"]),
    ] {
        for number in numbers {
            assert!(validate(&document(document_type, number), now()).is_ok(), "{number}");
        }
    }
}

#[test]
fn other_forms_are_malformed() {
    use DocumentType::{ForeignPermanentResidentCard, HongKongMacaoPermit, PrcPassport, TaiwanPermit};
    for (document_type, numbers) in [
        (
            PrcPassport,
            &["EI1234567", "EO1234567", "E1234567", "E123456789", "e12345678", "Ｅ12345678", "", "E1234567 "][..],
        ),
        (HongKongMacaoPermit, &["X12345678", "H123456789", "12345678", "HB1234567"]),
        (TaiwanPermit, &["1234567", "123456789", "A2345678"]),
        (DocumentType::ExitPermitToHongKongMacao, &["CI1234567", "C1234567", "W12345678"]),
        (
            DocumentType::ResidentIdentityCard,
            // Fifteen digits of before 1999; a residence permit's area; a foreigner's; the check character in lower case.
            &[
                "110105491231002",
                "810000199408230021",
                "932682198501010017",
                "11010519491231002x",
                "110105194912310020",
            ],
        ),
        (DocumentType::ResidencePermit, &["11010519491231002X", "81000019940823002", "840000199408230020"]),
        (
            ForeignPermanentResidentCard,
            &["832682198501010017", "93268219850101001", "ZZZ110090123105", "932000198501010017", "93268219850101001x"],
        ),
    ] {
        for number in numbers {
            let (field, reason) = refusal(&document(document_type, number));
            assert_eq!(field, Field::Number);
            assert!(
                matches!(reason, Reason::DocumentNumberMalformed | Reason::DocumentCheckDigit),
                "{number}: {reason}"
            );
        }
    }
}

#[test]
fn a_card_must_agree_with_the_birth_date_and_nationality_in_its_number() {
    let card = |number, birth_date, nationality| RawDocument {
        birth_date,
        nationality,
        ..document(DocumentType::ForeignPermanentResidentCard, number)
    };
    let (new, old) = ("932682198501010017", "KAZ110090123105");
    assert!(validate(&card(new, "1985-01-01", None), now()).is_ok());
    assert_eq!(refusal(&card(new, "1985-01-02", None)), (Field::BirthDate, Reason::BirthDateContradictsNumber));
    assert_eq!(
        refusal(&card(new, "1985-01-01", Some("FRA"))),
        (Field::Nationality, Reason::NationalityContradictsNumber)
    );
    assert!(validate(&card(old, "1990-12-31", Some("KAZ")), now()).is_ok());
    assert_eq!(refusal(&card(old, "1991-12-31", None)), (Field::BirthDate, Reason::BirthDateContradictsNumber));
    assert_eq!(
        refusal(&card(old, "1990-12-31", Some("UZB"))),
        (Field::Nationality, Reason::NationalityContradictsNumber)
    );
}

#[test]
fn published_citizen_numbers_hold_and_say_when_and_where() {
    for number in ["11010519491231002X", "440524188001010014"] {
        assert!(read_number(DocumentType::ResidentIdentityCard, number, now()).is_ok(), "{number}");
    }
    let card = |birth_date, nationality| RawDocument {
        birth_date,
        nationality,
        ..document(DocumentType::ResidentIdentityCard, "11010519491231002X")
    };
    assert!(validate(&card("1949-12-31", Some("CHN")), now()).is_ok());
    assert_eq!(refusal(&card("1949-12-30", None)), (Field::BirthDate, Reason::BirthDateContradictsNumber));
    assert_eq!(refusal(&card("1949-12-31", Some("FRA"))), (Field::Nationality, Reason::NationalityContradictsNumber));
}

#[test]
fn every_refusal_names_its_field_and_the_rule() {
    for (document_type, number, rule) in [
        (DocumentType::ResidentIdentityCard, "110105194912310020", "MOD 11-2"),
        (DocumentType::ResidencePermit, "11010519491231002X", "810000 (Hong Kong)"),
        (DocumentType::ForeignPermanentResidentCard, "KAZ110090123106", "7-3-1"),
        (DocumentType::ForeignPermanentResidentCard, "932682198501010018", "MOD 11-2"),
        (DocumentType::TaiwanPermit, "1234567", "8 digits"),
        (DocumentType::PrcPassport, "Ｅ12345678", "ASCII"),
    ] {
        let error = validate(&document(document_type, number), now()).expect_err("must be refused");
        let text = error.to_string();
        assert!(error.field == Field::Number && text.contains("number: ") && text.contains(rule), "{text}");
        assert!(!text.contains(number), "{text}");
    }
}

#[test]
fn names_dates_and_nationalities_are_judged_by_field() {
    let good = document(DocumentType::PrcPassport, "E12345678");
    let cases = [
        (RawDocument { name: "7", ..good }, Field::Name, Reason::NameMalformed),
        (RawDocument { birth_date: "2026-11-24", ..good }, Field::BirthDate, Reason::BirthDateInvalid),
        (RawDocument { birth_date: "1899-12-31", ..good }, Field::BirthDate, Reason::BirthDateInvalid),
        (RawDocument { birth_date: "1990-02-30", ..good }, Field::BirthDate, Reason::BirthDateInvalid),
        (RawDocument { nationality: Some("chn"), ..good }, Field::Nationality, Reason::NationalityUnknown),
        (RawDocument { expiry: Some("1990-01-02"), ..good }, Field::Expiry, Reason::ExpiryInvalid),
        (RawDocument { expiry: Some("2030-13-01"), ..good }, Field::Expiry, Reason::ExpiryInvalid),
    ];
    for (raw, field, reason) in cases {
        assert_eq!(refusal(&raw), (field, reason));
    }
}

#[test]
fn the_lifetime_number_leaves_out_re_issue_digits() {
    let lifetime = |document_type, number| {
        let claim = validate(&document(document_type, number), now()).unwrap();
        lifetime_number(claim.document_type, &claim.number).to_string()
    };
    assert_eq!(lifetime(DocumentType::HongKongMacaoPermit, "H1234567801"), "H12345678");
    assert_eq!(lifetime(DocumentType::HongKongMacaoPermit, "H12345678"), "H12345678");
    assert_eq!(lifetime(DocumentType::TaiwanPermit, "1234567801"), "12345678");
    assert_eq!(lifetime(DocumentType::PrcPassport, "E12345678"), "E12345678");
}

#[test]
fn a_published_credit_code_holds() {
    assert_eq!(check_credit_code("91350100M000100Y43"), Ok(()));
    for other in ["", "91350100M000100Y4", "91350100M000100Y433", "91350100m000100y43", "9135010OM000100Y43"] {
        assert_eq!(check_credit_code(other), Err(CreditCodeError::Form), "{other}");
    }
}

#[test]
fn errors_do_not_repeat_the_value() {
    let error = validate(&document(DocumentType::PrcPassport, "SECRET123"), now()).expect_err("malformed");
    assert!(!format!("{error} {error:?}").contains("SECRET"));
}

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
