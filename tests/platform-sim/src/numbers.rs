//! Document numbers as the platform's registry knows them: forms, check digits, and the lifetime number behind a permit.

/// A type of document, with the code it has in the reference form (GA/T 517).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// PRC passport, 414.
    Passport,
    /// 港澳居民来往内地通行证, 516.
    HongKongMacaoPermit,
    /// 台湾居民来往大陆通行证, 511.
    TaiwanPermit,
    /// 外国人永久居留身份证, 553.
    ForeignResidentCard,
}

/// How a number looks; the registry has holders of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NumberForm {
    /// `E` + 8 digits.
    PassportDigits,
    /// `E` + letter (no I, O) + 7 digits.
    PassportLetter,
    /// `H` + 8 lifetime digits, since 2013.
    HongKongNew,
    /// `H` + 8 lifetime digits + 2 re-issue digits.
    HongKongOld,
    /// `M` + 8 lifetime digits, since 2013.
    MacaoNew,
    /// `M` + 8 lifetime digits + 2 re-issue digits.
    MacaoOld,
    /// `HA` or `MA` + 7 digits: permanent residents of other nationality, since 2024.
    NonChinesePermit,
    /// 8 lifetime digits.
    TaiwanNew,
    /// 8 lifetime digits + 2 issue digits.
    TaiwanOld,
    /// 3 letters + 11 digits + ICAO check digit.
    ForeignResident2017,
    /// 17 digits beginning with 9 + MOD 11-2 check character.
    ForeignResident2023,
}

impl NumberForm {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::PassportDigits,
        Self::PassportLetter,
        Self::HongKongNew,
        Self::HongKongOld,
        Self::MacaoNew,
        Self::MacaoOld,
        Self::NonChinesePermit,
        Self::TaiwanNew,
        Self::TaiwanOld,
        Self::ForeignResident2017,
        Self::ForeignResident2023,
    ];

    /// The document on which such a number stands.
    pub fn kind(self) -> DocumentKind {
        match self {
            Self::PassportDigits | Self::PassportLetter => DocumentKind::Passport,
            Self::HongKongNew | Self::HongKongOld | Self::MacaoNew | Self::MacaoOld | Self::NonChinesePermit => {
                DocumentKind::HongKongMacaoPermit
            }
            Self::TaiwanNew | Self::TaiwanOld => DocumentKind::TaiwanPermit,
            Self::ForeignResident2017 | Self::ForeignResident2023 => DocumentKind::ForeignResidentCard,
        }
    }
}

/// ICAO 9303 check digit (weights 7-3-1; digits as themselves, A = 10 … Z = 35, `<` = 0). None on any other character.
pub fn icao_check(text: &str) -> Option<char> {
    let mut sum = 0;
    for (character, weight) in text.chars().zip([7, 3, 1].into_iter().cycle()) {
        let value = match character {
            '<' => 0,
            'A'..='Z' | '0'..='9' => character.to_digit(36)?,
            _ => return None,
        };
        sum += value * weight;
    }
    char::from_digit(sum % 10, 10)
}

/// ISO 7064 MOD 11-2 check character over 17 digits. None when `digits` is anything else.
pub fn mod_11_2_check(digits: &str) -> Option<char> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: [char; 11] = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'];
    if digits.len() != WEIGHTS.len() {
        return None;
    }
    let mut sum = 0;
    for (character, weight) in digits.chars().zip(WEIGHTS) {
        sum += character.to_digit(10)? * weight;
    }
    CHECKS.get(usize::try_from(sum % 11).ok()?).copied()
}

fn digits(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit())
}

/// The number under which the registry knows the holder: a permit's lifetime number without re-issue digits, any other number
/// as it is. None when it is not a number of this kind of document, check digits included.
pub fn canonical(kind: DocumentKind, number: &str) -> Option<&str> {
    if !number.is_ascii() {
        return None;
    }
    let valid = |ok: bool| ok.then_some(number);
    match (kind, number.len()) {
        (DocumentKind::Passport, 9) => {
            let second = number.as_bytes()[1];
            let letter = second.is_ascii_uppercase() && !b"IO".contains(&second);
            valid(number.starts_with('E') && (letter || second.is_ascii_digit()) && digits(&number[2..]))
        }
        (DocumentKind::HongKongMacaoPermit, 9) if number[1..].starts_with('A') => {
            valid(number.starts_with(['H', 'M']) && digits(&number[2..]))
        }
        (DocumentKind::HongKongMacaoPermit, 9 | 11) => {
            valid(number.starts_with(['H', 'M']) && digits(&number[1..])).map(|number| &number[..9])
        }
        (DocumentKind::TaiwanPermit, 8 | 10) => valid(digits(number)).map(|number| &number[..8]),
        (DocumentKind::ForeignResidentCard, 15) => {
            let form = number[..3].bytes().all(|octet| octet.is_ascii_uppercase()) && digits(&number[3..]);
            valid(form && icao_check(&number[..14]) == number.chars().last())
        }
        (DocumentKind::ForeignResidentCard, 18) => {
            valid(number.starts_with('9') && mod_11_2_check(&number[..17]) == number.chars().last())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_check_digits_come_out() {
        assert_eq!(icao_check("L898902C3"), Some('6'));
        assert_eq!(mod_11_2_check("11010519491231002"), Some('X'));
        assert_eq!(canonical(DocumentKind::ForeignResidentCard, "KAZ110090123105"), Some("KAZ110090123105"));
        assert_eq!(canonical(DocumentKind::ForeignResidentCard, "932682198501010017"), Some("932682198501010017"));
        assert_eq!(canonical(DocumentKind::ForeignResidentCard, "932682198501010018"), None);
        assert_eq!(canonical(DocumentKind::ForeignResidentCard, "KAZ110090123106"), None);
    }

    #[test]
    fn old_permit_numbers_lead_to_the_lifetime_number() {
        assert_eq!(canonical(DocumentKind::HongKongMacaoPermit, "H0123456702"), Some("H01234567"));
        assert_eq!(canonical(DocumentKind::HongKongMacaoPermit, "H01234567"), Some("H01234567"));
        assert_eq!(canonical(DocumentKind::HongKongMacaoPermit, "HA0123456"), Some("HA0123456"));
        assert_eq!(canonical(DocumentKind::TaiwanPermit, "0123456702"), Some("01234567"));
        assert_eq!(canonical(DocumentKind::TaiwanPermit, "012345678"), None);
        assert_eq!(canonical(DocumentKind::Passport, "EI1234567"), None);
    }

    proptest! {
        #[test]
        fn no_number_makes_it_panic(number in "\\PC{0,20}|[A-Z0-9]{7,19}") {
            for form in NumberForm::ALL {
                let _ = canonical(form.kind(), &number);
            }
            let _ = (icao_check(&number), mod_11_2_check(&number));
        }
    }
}
