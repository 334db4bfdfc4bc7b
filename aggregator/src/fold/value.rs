//! Reading hostile JSON: any key may be missing, null or of another type, and
//! any text may be as long as the file.

use protocol::Money;
pub(super) use protocol::text::cut;
use serde_json::{Map, Value};

use super::limits::{MAX_NAME, MAX_SENTENCE};

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

/// Members of a value that are put into words; more is in the raw fields.
const MAX_WORDED: usize = 24;

/// A value of unknown shape in a few words: `success yes, total errors 0`.
/// None for null and what is empty.
pub(super) fn in_words(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let plain = |item: &Value| !matches!(item, Value::Array(_) | Value::Object(_));
            if items.is_empty() {
                "none".to_owned()
            } else if items.iter().all(plain) {
                listed(items.iter().filter_map(in_words))
            } else {
                items.len().to_string()
            }
        }
        Value::Object(members) if members.is_empty() => return None,
        Value::Object(members) => listed(members.iter().filter_map(|(key, value)| {
            let key = key.replace('_', " ");
            match value {
                Value::Object(_) => Some(format!("{key} ({})", in_words(value)?)),
                _ => Some(format!("{key} {}", in_words(value)?)),
            }
        })),
    };
    Some(cut(&text, MAX_SENTENCE))
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.take(MAX_WORDED).collect::<Vec<_>>().join(", ")
}

/// An amount of US dollars: a number, or text of one, with or without its sign.
pub(super) fn dollars(value: &Value) -> Option<Money> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => text.trim().trim_start_matches('$').parse().ok(),
        _ => None,
    }
}

/// An amount, or an object of amounts, in words: `plan $0.15, build $0.20`.
pub(super) fn dollars_in_words(value: &Value) -> Option<String> {
    if let Value::Object(members) = value {
        let each = members.iter().filter_map(|(key, value)| {
            let key = key.replace('_', " ");
            Some(format!("{key} {}", dollars_in_words(value)?))
        });
        let text = listed(each);
        return (!text.is_empty()).then(|| cut(&text, MAX_SENTENCE));
    }
    dollars(value)?;
    let text = match value {
        Value::String(text) => text.trim().trim_start_matches('$').to_owned(),
        other => other.to_string(),
    };
    // As it was written, with cents at least.
    let text = match text.split_once('.') {
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => format!("{text}.00"),
        Some((_, cents)) if cents.len() == 1 => format!("{text}0"),
        _ => text,
    };
    Some(format!("${text}"))
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
    use serde_json::json;

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
    fn values_of_any_shape_are_put_into_a_few_words() {
        let words = |value| in_words(&value);
        let results = json!({"success":true,"summary":{"total_errors":0},"errors":[{"file":"a"}]});
        assert_eq!(
            words(results).as_deref(),
            Some("errors 1, success yes, summary (total errors 0)")
        );
        assert_eq!(words(json!(["a", 7])).as_deref(), Some("a, 7"));
        assert_eq!(words(json!([])).as_deref(), Some("none"));
        for nothing in [json!(null), json!(""), json!({})] {
            assert_eq!(words(nothing), None);
        }
    }

    #[test]
    fn dollars_may_be_text_and_are_shown_as_written() {
        for (value, amount, text) in [
            (json!(0.45), Some("0.45"), Some("$0.45")),
            (json!("0.5"), Some("0.5"), Some("$0.50")),
            (json!("$12"), Some("12"), Some("$12.00")),
            (json!(0), Some("0"), Some("$0.00")),
            (json!(-1), None, None),
            (json!("cheap"), None, None),
            (json!("inf"), None, None),
            (
                json!({"plan":0.15,"build":"0.2","x":null}),
                None,
                Some("build $0.20, plan $0.15"),
            ),
        ] {
            let amount: Option<Money> = amount.map(|text: &str| text.parse().unwrap());
            assert_eq!(dollars(&value), amount, "{value}");
            assert_eq!(dollars_in_words(&value).as_deref(), text, "{value}");
        }
    }
}
