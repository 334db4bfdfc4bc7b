//! A JSON Pointer (RFC 6901): the place of a value in a document.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::json::Json;

/// Longest pointer, bytes: sixteen levels of long names.
const MAX_BYTES: usize = 1024;

/// A place in a document; the empty one is the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// The text is no JSON Pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a JSON Pointer such as /step/name (RFC 6901)")]
pub struct BadPointer;

impl FromStr for Pointer {
    type Err = BadPointer;

    fn from_str(text: &str) -> Result<Self, BadPointer> {
        if text.len() > MAX_BYTES {
            return Err(BadPointer);
        }
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let rest = text.strip_prefix('/').ok_or(BadPointer)?;
        rest.split('/')
            .map(unescaped)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// `~1` is a slash, `~0` a tilde, and a tilde stands nowhere else.
fn unescaped(token: &str) -> Result<String, BadPointer> {
    let mut parts = token.split('~');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = match part.as_bytes().first() {
            Some(b'0') => '~',
            Some(b'1') => '/',
            _ => return Err(BadPointer),
        };
        out.push(rest);
        out.push_str(&part[1..]);
    }
    Ok(out)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

impl Pointer {
    /// The value at this place.
    #[must_use]
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        walk(document, &self.0)
    }

    /// The same in an object's members.
    #[must_use]
    pub fn find_in<'a>(&self, members: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        walk(members.get(first)?, rest)
    }

    /// The member of the whole document that it leads into; none for the whole.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// Takes the value at this place out of its object; one in a list becomes null.
    pub(crate) fn remove(&self, document: &mut Json) {
        let Some((last, above)) = self.0.split_last() else {
            return;
        };
        let mut at = document;
        for token in above {
            let below = match at {
                Json::Object(members) => members.get_mut(token),
                Json::Array(items) => index(token).and_then(|index| items.get_mut(index)),
                _ => None,
            };
            let Some(below) = below else { return };
            at = below;
        }
        match at {
            Json::Object(members) => {
                members.remove(last);
            }
            Json::Array(items) => {
                if let Some(item) = index(last).and_then(|index| items.get_mut(index)) {
                    *item = Json::Null;
                }
            }
            _ => {}
        }
    }
}

fn walk<'a>(mut value: &'a Value, tokens: &[String]) -> Option<&'a Value> {
    for token in tokens {
        value = match value {
            Value::Object(members) => members.get(token)?,
            Value::Array(items) => items.get(index(token)?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// A place in a list: digits without leading zeros.
fn index(token: &str) -> Option<usize> {
    let plain = token.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (token == "0" || !token.starts_with('0')))
        .then(|| token.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointer(text: &str) -> Pointer {
        text.parse().unwrap()
    }

    #[test]
    fn the_examples_of_the_rfc_are_found() {
        let document = json!({
            "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4,
            "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8
        });
        assert_eq!(pointer("").find(&document), Some(&document));
        for (text, value) in [
            ("/foo", json!(["bar", "baz"])),
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/c%d", json!(2)),
            ("/k\"l", json!(6)),
            ("/ ", json!(7)),
            ("/m~0n", json!(8)),
        ] {
            assert_eq!(pointer(text).find(&document), Some(&value), "{text}");
            assert_eq!(pointer(text).to_string(), text);
            let members = document.as_object().unwrap();
            assert_eq!(pointer(text).find_in(members), Some(&value), "{text}");
        }
        for nothing in ["/foo/00", "/foo/2", "/foo/-", "/foo/0/x", "/bar"] {
            assert_eq!(pointer(nothing).find(&document), None, "{nothing}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["foo", "$.foo", "#/foo", "/a~", "/a~2b", "/~é"] {
            assert_eq!(text.parse::<Pointer>(), Err(BadPointer), "{text}");
        }
        assert!("/x".repeat(MAX_BYTES).parse::<Pointer>().is_err());
    }

    #[test]
    fn a_place_is_taken_out_and_nothing_else() {
        let mut document = Json::parse(br#"{"a":{"b":1,"c":2},"l":[1,2]}"#).unwrap();
        for text in ["/a/b", "/l/0", "/none/x", "/a/c/d"] {
            pointer(text).remove(&mut document);
        }
        assert_eq!(
            crate::canonical::write(&document),
            r#"{"a":{"c":2},"l":[null,2]}"#
        );
    }
}
