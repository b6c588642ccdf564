use unicode_normalization::is_nfc;

/// Characters of a name at most: longer than any machine-readable zone holds.
const MAX_CHARACTERS: usize = 64;

/// Whether text can be a holder's name as a document prints it: in NFC, 1 to 64 characters, Han, Latin (with
/// diacritics) or another script's letters, with spaces, hyphens, apostrophes, full stops, commas and middle dots between.
///
/// Digits, control and bidirectional formatting characters, private-use and unassigned code points are refused.
pub(crate) fn is_name(text: &str) -> bool {
    let length = text.chars().count();
    (1..=MAX_CHARACTERS).contains(&length)
        && is_nfc(text)
        && text.chars().all(|c| c.is_alphabetic() || is_joiner(c) || is_combining(c))
        && text.chars().next().is_some_and(char::is_alphabetic)
        && text.chars().next_back().is_some_and(|c| !matches!(c, ' ' | '·' | '•' | '-' | ','))
        && !text.contains("  ")
}

/// What stands between the parts of a name. `·` U+00B7 and `•` U+2022 both occur in transcribed names.
const fn is_joiner(c: char) -> bool {
    matches!(c, ' ' | '-' | '\'' | '’' | '.' | ',' | '·' | '•')
}

/// Marks that NFC leaves uncomposed, as Vietnamese and Yoruba names have.
const fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_documents_print_them_are_names() {
        for name in
            ["张伟", "欧阳娜娜", "𠮷田", "阿卜杜拉·买买提", "SMITH, JOHN-PAUL", "O'NEIL ANN", "NGUYỄN VĂN A", "Müller"]
        {
            assert!(is_name(name), "{name}");
        }
    }

    #[test]
    fn what_no_document_prints_is_not_a_name() {
        let decomposed = "Mu\u{308}ller";
        let long = "长".repeat(65);
        for text in [
            "",
            " 张伟",
            "张伟 ",
            "张 伟1",
            "张\u{202e}伟",
            "张\n伟",
            "a  b",
            "-",
            "<b>",
            decomposed,
            &long,
            "张\u{200b}伟",
        ] {
            assert!(!is_name(text), "{text:?}");
        }
    }
}
