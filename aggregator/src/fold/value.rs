//! Reading hostile JSON: any key may be missing, null or of another type, and
//! any text may be as long as the file.

use serde_json::{Map, Value};

use super::limits::{MAX_NAME, MAX_SENTENCE};

/// Cuts a text to a number of characters, and says so with an ellipsis.
pub(super) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn text(value: &Value, characters: usize) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(cut(text, characters)),
        other => Some(cut(&other.to_string(), characters)),
    }
}

/// A name: text, or whatever stands there as JSON; blank and null are absent.
pub(super) fn name(object: &Map<String, Value>, key: &str) -> Option<String> {
    text(object.get(key)?, MAX_NAME)
}

/// A sentence: as a name, longer.
pub(super) fn sentence(object: &Map<String, Value>, key: &str) -> Option<String> {
    text(object.get(key)?, MAX_SENTENCE)
}

/// A count: a whole number, or text of one.
pub(super) fn count(object: &Map<String, Value>, key: &str) -> Option<u64> {
    match object.get(key)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A list of names; absent when it is no list. Members that are no text are passed over.
pub(super) fn names(object: &Map<String, Value>, key: &str) -> Option<Vec<String>> {
    let items = object.get(key)?.as_array()?;
    Some(
        items
            .iter()
            .filter_map(|item| item.as_str())
            .filter(|item| !item.trim().is_empty())
            .map(|item| cut(item.trim(), MAX_NAME))
            .collect(),
    )
}

/// The first of several keys that holds a web address; others are not shown as links.
pub(super) fn web_address(object: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    keys.iter()
        .filter_map(|key| object.get(*key)?.as_str())
        .map(str::trim)
        .find(|text| {
            (text.starts_with("https://") || text.starts_with("http://"))
                && text.len() <= MAX_SENTENCE
                && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        })
        .map(str::to_owned)
}

/// A phase number such as `3/7`, `4.5/8`, `?/7` or `3`, as far as it tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PhaseNumber {
    pub(super) at: f64,
    pub(super) of: Option<f64>,
}

impl PhaseNumber {
    /// Reads the producer's text; nothing when the place is not a number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (at, of) = match text.split_once('/') {
            Some((at, of)) => (at, Some(of)),
            None => (text, None),
        };
        let number = |text: &str| {
            text.trim()
                .parse::<f64>()
                .ok()
                .filter(|n| n.is_finite() && *n >= 0.0)
        };
        Some(Self {
            at: number(at)?,
            of: of.and_then(number).filter(|of| *of > 0.0),
        })
    }

    /// The last of them: `7/7`.
    pub(super) fn is_last(self) -> bool {
        self.of.is_some_and(|of| self.at >= of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phase_numbers_of_real_producers_are_read_as_far_as_they_tell() {
        let read = |text| PhaseNumber::parse(text).map(|number| (number.at, number.of));
        assert_eq!(read("3/7"), Some((3.0, Some(7.0))));
        assert_eq!(read("4.5/8"), Some((4.5, Some(8.0))));
        assert_eq!(read("?/7"), None);
        assert_eq!(read("3"), Some((3.0, None)));
        assert_eq!(read("3/0"), Some((3.0, None)));
        assert_eq!(read("nan/inf"), None);
        assert_eq!(read("-1/7"), None);
    }

    #[test]
    fn cutting_keeps_whole_characters() {
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("äö", 2), "äö");
    }
}
