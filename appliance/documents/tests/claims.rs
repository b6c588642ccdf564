//! What the documents room lets through and what it refuses.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use yanqian_documents::{RawDocument, lifetime_number, validate};
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
        lifetime_number(&validate(&document(document_type, number), now()).unwrap()).to_string()
    };
    assert_eq!(lifetime(DocumentType::HongKongMacaoPermit, "H1234567801"), "H12345678");
    assert_eq!(lifetime(DocumentType::HongKongMacaoPermit, "H12345678"), "H12345678");
    assert_eq!(lifetime(DocumentType::TaiwanPermit, "1234567801"), "12345678");
    assert_eq!(lifetime(DocumentType::PrcPassport, "E12345678"), "E12345678");
}

#[test]
fn errors_do_not_repeat_the_value() {
    let error = validate(&document(DocumentType::PrcPassport, "SECRET123"), now()).expect_err("malformed");
    assert!(!format!("{error} {error:?}").contains("SECRET"));
}

/// A valid 18-character card number for a birth date, with the check character computed the long way round.
fn card_of_2023(province: u8, sequence: u16) -> String {
    let body = format!("9{province:02}68219850101{sequence:03}");
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.bytes().zip(weights).map(|(c, w)| u32::from(c - b'0') * w).sum();
    format!("{body}{}", ["1", "0", "X", "9", "8", "7", "6", "5", "4", "3", "2"][sum as usize % 11])
}

proptest! {
    #[test]
    fn every_number_with_a_right_check_character_is_accepted_and_every_changed_digit_refused(
        province in 11u8..66, sequence in 0u16..1000, place in 0usize..17, other in 0u8..10,
    ) {
        let number = card_of_2023(province, sequence);
        let raw = RawDocument { birth_date: "1985-01-01", ..document(DocumentType::ForeignPermanentResidentCard, &number) };
        prop_assert!(validate(&raw, now()).is_ok());
        let mut changed = number.clone().into_bytes();
        changed[place] = b'0' + other;
        if changed != number.as_bytes() {
            let changed = String::from_utf8(changed).unwrap();
            let judged = validate(&RawDocument { number: &changed, ..raw }, now());
            prop_assert!(judged.is_err());
        }
    }

    #[test]
    fn nothing_that_a_caller_writes_panics(number: String, name: String, date: String, nationality: String, kind in 0usize..4) {
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
    fn no_number_of_the_right_alphabet_panics(number in "[A-Z0-9]{0,20}", kind in 0usize..4) {
        let _ = validate(&document(DocumentType::ALL[kind], &number), now());
    }
}
