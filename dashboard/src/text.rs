//! Text from producers made fit for a page: no invisible control characters,
//! bounded length. Escaping is askama's; isolation of writing direction is the
//! templates' (`<bdi>`). `static/text.js` does the same in the browser.

use serde_json::Value;

/// A name in a row or heading, characters: more never fits on a line.
pub(crate) const NAME_CHARS: usize = 160;
/// A tooltip, characters: browsers cut far earlier.
pub(crate) const TITLE_CHARS: usize = 400;
/// One value in the raw fields, characters; the API has the whole.
pub(crate) const VALUE_CHARS: usize = 4_000;
/// Members shown of one object; the API has the rest.
pub(crate) const MAX_MEMBERS: usize = 200;

const REPLACEMENT: char = '\u{fffd}';

/// One line: line ends and tabs become blanks, other control characters visible.
pub(crate) fn line(text: &str, max_chars: usize) -> String {
    capped(text, max_chars, |c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => REPLACEMENT,
        c => c,
    })
}

/// Several lines: as [`line`], but line ends and tabs stay.
pub(crate) fn block(text: &str, max_chars: usize) -> String {
    capped(text, max_chars, |c| match c {
        '\n' | '\t' => c,
        c if c.is_control() => REPLACEMENT,
        c => c,
    })
}

/// For attributes and the document's title, where nothing isolates writing
/// direction: its marks become visible.
pub(crate) fn attribute(text: &str) -> String {
    line(text, TITLE_CHARS)
        .chars()
        .map(|c| match c {
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => REPLACEMENT,
            c => c,
        })
        .collect()
}

/// A value of unknown shape as text: texts as they are, the rest as JSON.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => block(text, VALUE_CHARS),
        Value::Null => "null".to_owned(),
        Value::Array(_) | Value::Object(_) => match serde_json::to_string_pretty(value) {
            Ok(json) => block(&json, VALUE_CHARS),
            Err(_) => "…".to_owned(),
        },
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn capped(text: &str, max_chars: usize, clean: impl Fn(char) -> char) -> String {
    let mut out: String = text.chars().take(max_chars).map(clean).collect();
    if text.chars().nth(max_chars).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn control_characters_become_visible_and_length_is_bounded() {
        assert_eq!(line("a\u{0}b\nc\u{1b}", 10), "a\u{fffd}b c\u{fffd}");
        assert_eq!(block("a\nb\u{7f}", 10), "a\nb\u{fffd}");
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("abc", 3), "abc");
    }

    #[test]
    fn a_tooltip_cannot_turn_its_surroundings_around() {
        assert_eq!(attribute("a\u{202e}b"), "a\u{fffd}b");
    }

    #[test]
    fn values_of_any_type_are_text() {
        assert_eq!(value(&json!("x")), "x");
        assert_eq!(value(&json!(null)), "null");
        assert_eq!(value(&json!(4.5)), "4.5");
        assert_eq!(value(&json!(["a"])), "[\n  \"a\"\n]");
    }
}
