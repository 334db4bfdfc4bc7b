//! Texts of others, cut to what can be shown and stored.

use std::ops::Range;

/// Characters of a name (phase, session, branch, status): what a page can show at all.
pub const MAX_NAME: usize = 512;

/// Cuts a text to a number of characters, and says so with an ellipsis.
#[must_use]
pub fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The same of a text of one's own, in its place.
pub fn shorten(text: &mut String, characters: usize) {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
        text.push('…');
    }
}

/// What is wrong with a text of several lines, in one sentence that begins with
/// the line where it is: bytes of the text, if that is known.
#[must_use]
pub fn at_line(text: &str, place: Option<Range<usize>>, wrong: &str) -> String {
    let wrong = wrong.replace('\n', " ");
    let before = place.and_then(|place| text.as_bytes().get(..place.start));
    match before {
        Some(before) => {
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            format!("line {line}: {wrong}")
        }
        None => wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert_eq!(at_line("a\nb\nc", Some(0..1), "no"), "line 1: no");
        assert_eq!(at_line("a\nb\nc", Some(2..3), "n\no"), "line 2: n o");
        assert_eq!(at_line("a\nb", Some(9..9), "no"), "no");
        assert_eq!(at_line("a\nb", None, "no"), "no");
    }

    #[test]
    fn cutting_keeps_whole_characters() {
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("äö", 2), "äö");
        for (text, short) in [("äöü", "äö…"), ("äö", "äö")] {
            let mut text = text.to_owned();
            shorten(&mut text, 2);
            assert_eq!(text, short);
        }
    }
}
