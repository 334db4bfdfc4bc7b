//! Texts of others, cut to what can be shown and stored.

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

#[cfg(test)]
mod tests {
    use super::*;

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
