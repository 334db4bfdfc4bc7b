//! A JSON reader for files that other programs write. It differs from
//! `serde_json` where a producer's file would otherwise be rounded, refused
//! late or blow the stack: numbers keep their text, depth has a limit, and
//! what Postgres cannot store (`\u0000`, lone surrogates) is replaced here.
//! Grammar: RFC 8259. Duplicate keys: the last one wins.

use std::collections::BTreeMap;

/// Deepest nesting that is read. Real phase files have 4; Postgres, browsers
/// and our own recursion are all safe at 64.
pub const MAX_DEPTH: usize = 64;

/// A JSON value whose numbers are exact. Objects are sorted by key (bytes of
/// UTF-8), so two spellings of one object are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it was written.
    Number(String),
    /// Text, without `\u0000` and lone surrogates (each became U+FFFD).
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, sorted by key.
    Object(BTreeMap<String, Json>),
}

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text ends before the value does: an empty or half-written file.
    #[error("the text ends at byte {0}, before the value is complete")]
    Incomplete(usize),
    /// Something that is no JSON.
    #[error("unexpected character at byte {0}")]
    Unexpected(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not UTF-8.
    #[error("not UTF-8 at byte {0}")]
    NotUtf8(usize),
}

impl Json {
    /// Reads one value; white space around it is allowed, a byte order mark is skipped.
    ///
    /// # Errors
    /// See [`JsonError`]. `Incomplete` is worth a retry: producers write in place.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                return Err(JsonError::Incomplete(bytes.len()));
            }
            Err(error) => return Err(JsonError::NotUtf8(error.valid_up_to())),
        };
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.skip_space();
        if reader.at == text.len() {
            Ok(value)
        } else {
            Err(JsonError::Unexpected(reader.at))
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::Incomplete(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        for expected in word.bytes() {
            let at = self.at;
            if self.next()? != expected {
                return Err(JsonError::Unexpected(at));
            }
        }
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.skip_space();
        match self.peek().ok_or(JsonError::Incomplete(self.at))? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::String),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(JsonError::Unexpected(self.at)),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            let at = self.at;
            match self.next()? {
                b',' => {}
                b']' => return Ok(Json::Array(items)),
                _ => return Err(JsonError::Unexpected(at)),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members = BTreeMap::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            let at = self.at;
            match self.peek() {
                Some(b'"') => {}
                Some(_) => return Err(JsonError::Unexpected(at)),
                None => return Err(JsonError::Incomplete(at)),
            }
            let key = self.string()?;
            self.skip_space();
            let at = self.at;
            if self.next()? != b':' {
                return Err(JsonError::Unexpected(at));
            }
            let value = self.value(depth + 1)?;
            members.insert(key, value);
            self.skip_space();
            let at = self.at;
            match self.next()? {
                b',' => {}
                b'}' => return Ok(Json::Object(members)),
                _ => return Err(JsonError::Unexpected(at)),
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match (self.at > start, self.peek()) {
            (true, _) => Ok(()),
            (false, None) => Err(JsonError::Incomplete(self.at)),
            (false, Some(_)) => Err(JsonError::Unexpected(self.at)),
        }
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Json::Number(self.text[start..self.at].to_owned()))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1F)) {
                self.at += 1;
            }
            out.push_str(&self.text[start..self.at]);
            let at = self.at;
            match self.next()? {
                b'"' => return Ok(out),
                b'\\' => out.push(self.escape()?),
                _ => return Err(JsonError::Unexpected(at)),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let at = self.at;
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => return Err(JsonError::Unexpected(at)),
        })
    }

    /// After `\u`. A pair of surrogates is one character; a lone one, and
    /// U+0000, become U+FFFD, because Postgres stores neither.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.hex4()?;
        if (0xD800..0xDC00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xDC00..0xE000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        match char::from_u32(high) {
            Some('\0') | None => Ok(char::REPLACEMENT_CHARACTER),
            Some(character) => Ok(character),
        }
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let at = self.at;
            let digit = char::from(self.next()?)
                .to_digit(16)
                .ok_or(JsonError::Unexpected(at))?;
            code = code * 16 + digit;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Json, JsonError> {
        Json::parse(text.as_bytes())
    }

    #[test]
    fn half_a_file_is_incomplete_and_worth_a_retry() {
        let whole = r#"{"a":[1,-2.5e3,true,null,"x\u00e9\n"],"b":{"c":"\ud83d\ude00"}}"#;
        assert!(parse(whole).is_ok());
        for cut in 0..whole.len() {
            assert!(
                matches!(parse(&whole[..cut]), Err(JsonError::Incomplete(_))),
                "{}",
                &whole[..cut]
            );
        }
    }

    #[test]
    fn what_postgres_cannot_store_is_replaced() {
        assert_eq!(
            parse(r#""a\u0000b""#),
            Ok(Json::String("a\u{FFFD}b".into()))
        );
        assert_eq!(parse(r#""\ud800""#), Ok(Json::String("\u{FFFD}".into())));
        assert_eq!(
            parse(r#""\ud800\u0041""#),
            Ok(Json::String("\u{FFFD}A".into()))
        );
        assert_eq!(parse(r#""\udc00x""#), Ok(Json::String("\u{FFFD}x".into())));
    }

    #[test]
    fn refuses_what_is_no_json() {
        for text in [
            "01",
            "+1",
            "1.",
            ".5",
            "nul!",
            "{\"a\" 1}",
            "[1 2]",
            "{a:1}",
            "1 2",
            "\"\n\"",
            "'a'",
            "NaN",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(Json::parse(b"\"\xff\""), Err(JsonError::NotUtf8(1)));
    }

    #[test]
    fn depth_has_a_limit_and_no_input_overflows_the_stack() {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(JsonError::TooDeep));
        assert_eq!(parse(&"[".repeat(1_000_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        assert_eq!(parse(r#"{"a":1,"a":2}"#), parse(r#"{"a":2}"#));
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_validity(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\ua-f truefalsn]{0,24}") {
            let ours = parse(&text).is_ok();
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Json::parse(&bytes);
        }
    }
}
