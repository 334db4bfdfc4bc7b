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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_keeps_whole_characters() {
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("äö", 2), "äö");
    }
}
