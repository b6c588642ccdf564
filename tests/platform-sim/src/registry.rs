//! The platform's register of holders. All are invented, the same ones for the same seed, so that tests and the demo can ask
//! about people who exist here and nowhere else.

use time::{Date, Month};

use crate::numbers::{DocumentKind, NumberForm, canonical, icao_check, mod_11_2_check};

/// Somebody the platform knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Type of document.
    pub kind: DocumentKind,
    /// Form of its number.
    pub form: NumberForm,
    /// The number as printed, re-issue digits included.
    pub number: String,
    /// Name as printed: Chinese characters, or capital Latin letters.
    pub name: String,
    /// Date of birth.
    pub birth_date: Date,
    /// ISO 3166 alpha-3.
    pub nationality: &'static str,
    /// Last day of validity.
    pub expiry_date: Date,
    /// The name holds a character that the platform's record cannot represent, so it answers "undecided" about it.
    pub name_undecided: bool,
}

/// Holders of each [`NumberForm`]; the last of each form has `name_undecided`.
pub const PER_FORM: usize = 4;

const SURNAMES: [&str; 12] = ["王", "李", "张", "刘", "陈", "杨", "黄", "欧阳", "司徒", "林", "郭", "何"];
const GIVEN: [&str; 16] =
    ["伟", "芳", "秀英", "敏", "静", "丽华", "强", "磊", "洋", "艳", "子轩", "雨桐", "建国", "思远", "嘉怡", "志明"];
const LATIN: [&str; 10] =
    ["SMITH", "GARCIA", "IVANOV", "MUELLER", "TANAKA", "KIM", "ROSSI", "DUBOIS", "SILVA", "NOVAK"];
const LATIN_GIVEN: [&str; 8] = ["ANNA MARIA", "JAMES", "SOFIA", "PETER", "YUKI", "ELENA", "MARCO", "CHLOE JANE"];
/// ISO 3166: alpha-3 and numeric.
const COUNTRIES: [(&str, &str); 8] = [
    ("GBR", "826"),
    ("KAZ", "398"),
    ("DEU", "276"),
    ("JPN", "392"),
    ("FRA", "250"),
    ("BRA", "076"),
    ("CAN", "124"),
    ("ITA", "380"),
];

/// Steele, Lea and Flood's `SplitMix64`: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from[index]
    }

    fn date(&mut self, first_year: u16, years: u64) -> Date {
        let year = i32::from(first_year) + i32::try_from(self.below(years)).unwrap_or(0);
        let month = Month::January.nth_next(u8::try_from(self.below(12)).unwrap_or(0));
        let day = u8::try_from(1 + self.below(28)).unwrap_or(1);
        Date::from_calendar_date(year, month, day).unwrap_or(Date::MIN)
    }

    fn digits(&mut self, count: u32) -> String {
        format!("{:0width$}", self.below(10u64.pow(count)), width = count as usize)
    }
}

fn number(random: &mut Random, form: NumberForm, country: (&str, &str), born: Date) -> String {
    let birth = format!("{:04}{:02}{:02}", born.year(), u8::from(born.month()), born.day());
    match form {
        NumberForm::PassportDigits => format!("E{}", random.digits(8)),
        NumberForm::PassportLetter => {
            format!("E{}{}", char::from(random.pick(b"ABCDEFGHJKLMNPQRSTUVWXYZ")), random.digits(7))
        }
        NumberForm::HongKongNew => format!("H{}", random.digits(8)),
        NumberForm::HongKongOld => format!("H{}0{}", random.digits(8), 1 + random.below(9)),
        NumberForm::MacaoNew => format!("M{}", random.digits(8)),
        NumberForm::MacaoOld => format!("M{}0{}", random.digits(8), 1 + random.below(9)),
        NumberForm::NonChinesePermit => format!("{}A{}", char::from(random.pick(b"HM")), random.digits(7)),
        NumberForm::TaiwanNew => random.digits(8),
        NumberForm::TaiwanOld => format!("{}0{}", random.digits(8), 1 + random.below(9)),
        NumberForm::ForeignResident2017 => {
            let area = random.pick(&["1100", "3101", "4401", "5101"]);
            let body = format!("{}{area}{}{}", country.0, &birth[2..], 1 + random.below(9));
            with_check(body, icao_check)
        }
        NumberForm::ForeignResident2023 => {
            let province = random.pick(&["11", "31", "44", "51"]);
            let body = format!("9{province}{}{birth}{}", country.1, random.digits(3));
            with_check(body, mod_11_2_check)
        }
    }
}

fn with_check(mut body: String, check: fn(&str) -> Option<char>) -> String {
    body.extend(check(&body));
    body
}

/// The register for a seed: [`PER_FORM`] holders of every form, no number twice.
pub fn seeded(seed: u64) -> Vec<Holder> {
    let mut random = Random(seed);
    let mut holders: Vec<Holder> = Vec::new();
    for form in NumberForm::ALL {
        let mut made = 0;
        while made < PER_FORM {
            let foreign = form.kind() == DocumentKind::ForeignResidentCard || form == NumberForm::NonChinesePermit;
            let country = random.pick(&COUNTRIES);
            let birth_date = random.date(1950, 55);
            let name = if foreign {
                format!("{}, {}", random.pick(&LATIN), random.pick(&LATIN_GIVEN))
            } else {
                format!("{}{}", random.pick(&SURNAMES), random.pick(&GIVEN))
            };
            let holder = Holder {
                kind: form.kind(),
                form,
                number: number(&mut random, form, country, birth_date),
                name,
                birth_date,
                nationality: if foreign { country.0 } else { "CHN" },
                expiry_date: random.date(2030, 8),
                name_undecided: made + 1 == PER_FORM,
            };
            if find(&holders, holder.kind, &holder.number).is_none() {
                holders.push(holder);
                made += 1;
            }
        }
    }
    holders
}

/// The holder of a document, whichever form the number has.
pub fn find<'a>(holders: &'a [Holder], kind: DocumentKind, number: &str) -> Option<&'a Holder> {
    let wanted = canonical(kind, number)?;
    holders.iter().find(|holder| holder.kind == kind && canonical(kind, &holder.number) == Some(wanted))
}

/// The first holder with a number of this form.
pub fn first_with(holders: &[Holder], form: NumberForm) -> Option<&Holder> {
    holders.iter().find(|holder| holder.form == form)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_form_is_there_with_valid_numbers_and_nobody_twice() {
        for seed in 0..50 {
            let holders = seeded(seed);
            assert_eq!(holders.len(), NumberForm::ALL.len() * PER_FORM);
            for holder in &holders {
                assert_eq!(find(&holders, holder.kind, &holder.number), Some(holder), "{seed}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_people() {
        assert_eq!(seeded(7), seeded(7));
        assert_ne!(seeded(7), seeded(8));
    }

    #[test]
    fn an_old_number_and_its_lifetime_number_are_one_holder() {
        let holders = seeded(1);
        let old = first_with(&holders, NumberForm::HongKongOld).unwrap();
        assert_eq!(old.number.len(), 11);
        assert_eq!(find(&holders, old.kind, &old.number[..9]), Some(old));
        assert_eq!(find(&holders, old.kind, &format!("{}99", &old.number[..9])), Some(old));
        assert_eq!(find(&holders, DocumentKind::TaiwanPermit, &old.number), None);
    }
}
