//! One spelling for each content, and its SHA-256. Two writes with the same
//! hash are one state. Not RFC 8785: that goes through doubles, so that
//! 9007199254740993 and 9007199254740992 would be the same state.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::json::{Json, JsonError};

/// SHA-256 over a canonical content; 64 lower-case hex digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was no 64 hex digits.
#[derive(Debug, thiserror::Error)]
#[error("not 64 lower-case hex digits")]
pub struct BadHash;

impl FromStr for ContentHash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(BadHash),
        };
        let digits: [u8; 64] = text.as_bytes().try_into().map_err(|_| BadHash)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? * 16 + digit(pair[1])?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A producer's file, read: its canonical text and the hash that says whether it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The whole content in canonical spelling, volatile keys included.
    pub text: String,
    /// Over the canonical spelling without the volatile keys.
    pub hash: ContentHash,
}

impl Document {
    /// Reads a file's bytes. `volatile` names top-level keys that the producer
    /// changes without meaning anything by it (Context Foundry: `last_updated`);
    /// they are kept in the text and left out of the hash.
    ///
    /// # Errors
    /// When the bytes are no JSON within the limits: see [`JsonError`].
    pub fn parse<K: AsRef<str>>(bytes: &[u8], volatile: &[K]) -> Result<Self, JsonError> {
        Json::parse(bytes).map(|value| Self::of(value, volatile))
    }

    /// The same of a value that was read or made already.
    #[must_use]
    pub fn of<K: AsRef<str>>(mut value: Json, volatile: &[K]) -> Self {
        let text = write(&value);
        let hash = match &mut value {
            Json::Object(members)
                if volatile
                    .iter()
                    .any(|key| members.contains_key(key.as_ref())) =>
            {
                members.retain(|key, _| !volatile.iter().any(|other| other.as_ref() == key));
                ContentHash::of(write(&value).as_bytes())
            }
            _ => ContentHash::of(text.as_bytes()),
        };
        Self { text, hash }
    }
}

/// Writes a value in canonical spelling: keys sorted, no white space, integers
/// exact, integral floats below 2^53 as integers (`1.0` is `1`, `-0` is `0`),
/// other floats in their shortest form. A number that no double can hold
/// (1e400) becomes a string of its text, because Postgres may refuse it.
#[must_use]
pub fn write(value: &Json) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

fn write_value(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(text) => write_number(text, out),
        Json::String(text) => write_string(text, out),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => write_object(members, out),
    }
}

fn write_object(members: &BTreeMap<String, Json>, out: &mut String) {
    out.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

/// Doubles hold every integer up to this exactly.
const EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

fn write_number(text: &str, out: &mut String) {
    let value: f64 = text.parse().unwrap_or(f64::INFINITY);
    if !value.is_finite() {
        write_string(text, out);
    } else if !text.contains(['.', 'e', 'E']) {
        out.push_str(if text == "-0" { "0" } else { text });
    } else if value == 0.0 {
        out.push('0');
    } else if value.fract() == 0.0 && value.abs() < EXACT_INTEGER {
        let _ = write!(out, "{value:.0}");
    } else {
        let _ = write!(out, "{value:e}");
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1F}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        Document::parse::<&str>(text.as_bytes(), &[]).unwrap().text
    }

    #[test]
    fn spelling_does_not_matter_and_integers_are_exact() {
        assert_eq!(
            canonical("{ \"b\":1.0, \"a\":[ -0 , 1e2, 0.1, 2.50 ] }"),
            "{\"a\":[0,100,1e-1,2.5e0],\"b\":1}"
        );
        assert_eq!(canonical("9007199254740993"), "9007199254740993");
        assert_ne!(canonical("9007199254740993"), canonical("9007199254740992"));
        assert_eq!(canonical("18446744073709551617"), "18446744073709551617");
        assert_eq!(canonical("1e400"), "\"1e400\"");
        assert_eq!(canonical("-0.0"), "0");
    }

    #[test]
    fn control_characters_stay_escaped() {
        assert_eq!(canonical(r#""\u0001\t\u2028""#), "\"\\u0001\\t\u{2028}\"");
    }

    #[test]
    fn a_volatile_key_does_not_change_the_hash_and_stays_in_the_text() {
        let read = |text: &str| Document::parse(text.as_bytes(), &["last_updated"]).unwrap();
        let (a, b) = (
            read(r#"{"s":"x","last_updated":1}"#),
            read(r#"{"last_updated":2,"s":"x"}"#),
        );
        assert_eq!(a.hash, b.hash);
        assert_ne!(a.text, b.text);
        assert_eq!(a.hash, read(r#"{"s":"x"}"#).hash);
        assert_ne!(a.hash, read(r#"{"s":"y","last_updated":1}"#).hash);
        assert_ne!(
            read(r#"{"in":{"last_updated":1}}"#).hash,
            read(r#"{"in":{"last_updated":2}}"#).hash,
            "only the top level is volatile"
        );
    }

    #[test]
    fn hashes_are_written_and_read_as_hex() {
        let hash = ContentHash::of(b"abc");
        assert!(hash.to_string().starts_with("ba7816bf"));
        assert_eq!(hash.to_string().parse::<ContentHash>().unwrap(), hash);
        assert!("BA".repeat(32).parse::<ContentHash>().is_err());
    }

    proptest! {
        #[test]
        fn canonical_text_is_json_and_its_own_canonical_text(value in any_json()) {
            let text = value.to_string();
            let once = canonical(&text);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&once).is_ok());
            prop_assert_eq!(canonical(&once), once);
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(serde_json::Value::String),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::btree_map(".*", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
