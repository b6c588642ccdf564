use unicode_normalization::is_nfc;

/// Characters of a name at most: longer than any machine-readable zone holds.
const MAX_CHARACTERS: usize = 64;

/// Whether text can be a holder's name as the documents of the measures print it: in NFC, 1 to 64 characters, Han or
/// Latin letters (with diacritics), with spaces, hyphens, apostrophes, full stops, commas and middle dots between.
///
/// These documents print no third script. The limit keeps out what looks like a letter and is another: full-width forms,
/// Cyrillic and Greek doubles, enclosed and invisible letters (Hangul fillers), beside digits, control and bidirectional
/// formatting characters, private-use and unassigned code points. Nothing is folded: another spelling is refused.
pub(crate) fn is_name(text: &str) -> bool {
    let length = text.chars().count();
    (1..=MAX_CHARACTERS).contains(&length)
        && is_nfc(text)
        && text.chars().next().is_some_and(|c| is_han(c) || is_latin(c))
        && text.chars().next_back().is_some_and(|c| !matches!(c, ' ' | '·' | '•' | '-' | ','))
        && !text.contains("  ")
        && has_known_characters_only(text)
}

/// A combining mark counts only upon a Latin letter or another mark.
fn has_known_characters_only(text: &str) -> bool {
    let mut carries_marks = false;
    text.chars().all(|c| {
        let mark = carries_marks && is_combining(c);
        carries_marks = mark || is_latin(c);
        carries_marks || is_han(c) || is_joiner(c)
    })
}

/// Assigned ideographs of the basic plane and of every extension in planes 2 and 3, with the marks 々 and 〇. The twelve
/// unified ones among the compatibility ideographs are in; NFC has replaced the others.
fn is_han(c: char) -> bool {
    c.is_alphabetic()
        && matches!(
            c,
            '々' | '〇'
                | '\u{3400}'..='\u{4dbf}'
                | '\u{4e00}'..='\u{9fff}'
                | '\u{fa0e}'..='\u{fa29}'
                | '\u{20000}'..='\u{3ffff}'
        )
}

/// Basic Latin to IPA extensions, Latin extended additional, and the letters ʻ U+02BB and ʼ U+02BC that some
/// orthographies write as apostrophes.
fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic()
        || matches!(c, '\u{c0}'..='\u{2af}' | '\u{1e00}'..='\u{1eff}' | '\u{2bb}' | '\u{2bc}') && c.is_alphabetic()
}

/// What stands between the parts of a name. `·` U+00B7 and `•` U+2022 both occur in transcribed names.
pub(crate) const fn is_joiner(c: char) -> bool {
    matches!(c, ' ' | '-' | '\'' | '’' | '.' | ',' | '·' | '•')
}

/// Marks that NFC leaves uncomposed, as Yoruba and Lithuanian names have.
const fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn names_as_documents_print_them_are_names() {
        for name in [
            "张伟",
            "欧阳娜娜",
            // Extensions A, B, G and H, and a unified ideograph that lies among the compatibility ones.
            "㐀㛃",
            "𠮷田",
            "𰻝",
            "张\u{31350}",
            "\u{fa0e}",
            "佐々木",
            "阿卜杜拉·买买提",
            "阿卜杜拉•买买提",
            "SMITH, JOHN-PAUL",
            "O'NEIL ANN",
            "O’Neil Ann",
            "ʻIolani",
            "NGUYỄN VĂN A",
            "Müller",
            "Jr. JOSÉ",
            "GONZA\u{301}LEZ".nfc().collect::<String>().as_str(),
            "E\u{329}\u{300}KO\u{323}".nfc().collect::<String>().as_str(),
        ] {
            assert!(is_name(name), "{name}");
        }
        assert!(is_name(&"长".repeat(64)));
    }

    #[test]
    fn what_no_document_prints_is_not_a_name() {
        let decomposed = "Mu\u{308}ller";
        let long = "长".repeat(65);
        for text in [
            "",
            " 张伟",
            "张伟 ",
            "张伟·",
            "·张伟",
            "SMITH,",
            "张 伟1",
            "张\u{202e}伟",
            "张\n伟",
            "a  b",
            "-",
            "<b>",
            decomposed,
            &long,
            "张\u{200b}伟",
            "张\u{ad}伟",
            "张\u{fe00}伟",
        ] {
            assert!(!is_name(text), "{text:?}");
        }
    }

    #[test]
    fn letters_that_only_look_like_a_documents_are_not_its_name() {
        for text in [
            "ＳＭＩＴＨ",     // full-width
            "SM\u{406}TH",    // Cyrillic І
            "SMITH\u{391}",   // Greek Α
            "\u{24c8}MITH",   // enclosed
            "SMITH \u{2163}", // Roman numeral as a letter
            "张\u{3164}伟",   // Hangul filler: a letter that shows nothing
            "张\u{115f}伟",
            "ﬁSHER",    // ligature
            "⼀⼆",     // radicals instead of ideographs
            "\u{f900}", // compatibility ideograph that NFC replaces
            "\u{2f800}",
            "张\u{e000}",    // private use
            "张\u{3ffff}",   // unassigned
            "张\u{301}伟",   // a mark upon an ideograph
            "SMITH-\u{301}", // a mark upon nothing
            "\u{301}SMITH",
            "A×B",
        ] {
            assert!(!is_name(text), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_is_never_longer_wider_or_less_visible_than_it_says(text in "\\PC{0,70}") {
            if is_name(&text) {
                proptest::prop_assert!(text.chars().count() <= MAX_CHARACTERS);
                proptest::prop_assert!(is_nfc(&text));
                proptest::prop_assert!(!text.chars().any(|c| c.is_numeric() && c != '〇'));
                proptest::prop_assert!(text.chars().any(char::is_alphabetic));
            }
        }
    }
}
