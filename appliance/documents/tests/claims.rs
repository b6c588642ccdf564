//! What the documents room lets through and what it refuses.
#![allow(clippy::unwrap_used)]

mod support;

use support::{document, now, refusal};
use yanqian_documents::{CreditCodeError, RawDocument, check_credit_code, lifetime_number, read_number, validate};
use yanqian_vocabulary::{DocumentType, Field, Reason};

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
