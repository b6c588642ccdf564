//! Names in the zone: transliterated to A-Z (Doc 9303-3 §6), cut short where they are too long (§4.7).

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::Zone;
use crate::name::is_joiner;

impl Zone {
    /// Whether a name in Latin letters can be this zone's; none when it is not Latin, so that nothing can be said.
    ///
    /// Every transliteration that the issuing state may choose is taken, and a name that fills the field may go on beyond it. A
    /// comma parts the primary identifier from the secondary; without one, either may come first.
    pub(crate) fn agrees_with_name(&self, name: &str) -> Option<bool> {
        let field = &self.names[..];
        let filled = !field.ends_with(b"<");
        let end = field.iter().rposition(|c| *c != b'<').map_or(0, |last| last + 1);
        let field = &field[..end];
        let split = field.windows(2).position(|pair| pair == b"<<");
        let (primary, secondary) = split.map_or((field, &field[end..]), |at| (&field[..at], &field[at + 2..]));
        if let Some((surname, given)) = name.split_once(',') {
            let cut = filled && secondary.is_empty();
            let (surname, given) = (spells(surname, primary, cut)?, spells(given, secondary, filled)?);
            return Some(surname && (given || cut));
        }
        let either = |first: &[u8], second: &[u8], cut| spells(name, &Zeroizing::new([first, second].concat()), cut);
        Some(either(primary, secondary, filled)? || !filled && either(secondary, primary, false)?)
    }
}

/// Whether a name may be written so, joiners and filler aside; `cut`: whether it may go on beyond what is written.
fn spells(name: &str, zone: &[u8], cut: bool) -> Option<bool> {
    let mut letters = Zeroizing::new(Vec::with_capacity(zone.len()));
    letters.extend(zone.iter().filter(|c| **c != b'<'));
    // How much of the zone the name so far may have come to: one place for every choice of transliterations.
    let mut places = vec![0];
    let mut cut_short = false;
    for c in name.chars().filter(|c| !is_joiner(*c)) {
        let spellings = Spellings::of(c)?;
        let mut next = Vec::with_capacity(places.len());
        for place in &places {
            let rest = &letters[*place..];
            for spelling in spellings.all() {
                if rest.starts_with(spelling) {
                    next.push(place + spelling.len());
                } else if cut && spelling.starts_with(rest) {
                    cut_short = true;
                }
            }
        }
        next.sort_unstable();
        next.dedup();
        places = next;
    }
    Some(cut_short || places.contains(&letters.len()))
}

/// The ways to write one letter.
enum Spellings {
    Base([u8; 1]),
    Listed(&'static [&'static [u8]]),
    /// A mark that NFC left uncomposed: written by nothing.
    Silent,
}

impl Spellings {
    /// None for a letter that Doc 9303-3 §6 A does not transliterate.
    fn of(c: char) -> Option<Self> {
        let upper = match c {
            'ß' | 'ẞ' => 'ẞ',
            'ı' => 'I',
            _ => c.to_uppercase().next()?,
        };
        let listed: &'static [&'static [u8]] = match upper {
            'Ä' => &[b"AE", b"A"],
            'Å' => &[b"AA", b"A"],
            'Æ' => &[b"AE"],
            'Ð' | 'Đ' => &[b"D"],
            'Ħ' => &[b"H"],
            'Ĳ' => &[b"IJ"],
            'Ŀ' | 'Ł' => &[b"L"],
            'Ñ' => &[b"N", b"NXX"],
            'Ŋ' => &[b"N"],
            'Ö' => &[b"OE", b"O"],
            'Ø' | 'Œ' => &[b"OE"],
            'Ü' => &[b"UE", b"UXX", b"U"],
            'Þ' => &[b"TH"],
            'Ŧ' => &[b"T"],
            'ẞ' => &[b"SS"],
            'ʻ' | 'ʼ' | '\u{300}'..='\u{36f}' => return Some(Self::Silent),
            _ => {
                let base = std::iter::once(upper).nfd().next()?;
                let octet = u8::try_from(base).ok().filter(u8::is_ascii_uppercase)?;
                return Some(Self::Base([octet]));
            }
        };
        Some(Self::Listed(listed))
    }

    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let (base, listed): (Option<&[u8]>, &[&'static [u8]]) = match self {
            Self::Base(letter) => (Some(letter), &[]),
            Self::Listed(spellings) => (None, spellings),
            Self::Silent => (Some(b""), &[]),
        };
        base.into_iter().chain(listed.iter().copied())
    }
}
