//! A reader that walks over one JSON text and takes only what is asked for.
//! What is passed over costs a look at its quotes and brackets; nothing of it
//! is kept. Any value may be of another type than expected: then it is absent.

use memchr::memchr2;
use protocol::json::Json;
use protocol::text::shorten;

/// Deepest nesting that is passed over; as deep as [`protocol::json::MAX_DEPTH`] reads.
const MAX_DEPTH: usize = protocol::json::MAX_DEPTH;

/// The text is no JSON, or not all of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A place in a JSON text.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Broken),
        }
    }

    /// Walks over the members of an object; `take` gets each key as it is
    /// spelled and may take the value. False: it was no object.
    pub(super) fn object(
        &mut self,
        mut take: impl FnMut(&'a [u8], &mut Self) -> Result<(), Broken>,
    ) -> Result<bool, Broken> {
        self.members(b'{', b'}', |cursor| {
            let key = cursor.string()?;
            if cursor.next()? != b':' {
                return Err(Broken);
            }
            let before = cursor.at;
            take(key, cursor)?;
            if cursor.at == before {
                cursor.skip()?;
            }
            Ok(())
        })
    }

    /// Walks over the items of an array. False: it was no array.
    pub(super) fn array(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<bool, Broken> {
        self.members(b'[', b']', |cursor| {
            let before = cursor.at;
            take(cursor)?;
            if cursor.at == before {
                cursor.skip()?;
            }
            Ok(())
        })
    }

    fn members(
        &mut self,
        open: u8,
        close: u8,
        mut member: impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<bool, Broken> {
        if self.peek() != Some(open) {
            self.skip()?;
            return Ok(false);
        }
        self.at += 1;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(true);
        }
        loop {
            self.peek();
            member(self)?;
            match self.next()? {
                b',' => {}
                byte if byte == close => return Ok(true),
                _ => return Err(Broken),
            }
        }
    }

    /// The spelling of a value, without white space around it.
    pub(super) fn spelling(&mut self) -> Result<&'a [u8], Broken> {
        self.peek();
        let from = self.at;
        self.skip()?;
        Ok(&self.bytes[from..self.at])
    }

    /// The spelling of a text, without its quotes; none when it is no text.
    pub(super) fn spelled_text(&mut self) -> Result<Option<&'a [u8]>, Broken> {
        match self.peek() {
            Some(b'"') => self.string().map(Some),
            _ => self.skip().map(|()| None),
        }
    }

    /// A text of at most so many characters, cut with an ellipsis; none when it is no text or blank.
    pub(super) fn text(&mut self, max_chars: usize) -> Result<Option<String>, Broken> {
        let spelled = self.spelling()?;
        if spelled.first() != Some(&b'"') {
            return Ok(None);
        }
        match Json::parse(spelled) {
            Ok(Json::String(text)) if text.trim().is_empty() => Ok(None),
            Ok(Json::String(mut text)) => {
                shorten(&mut text, max_chars);
                Ok(Some(text))
            }
            _ => Err(Broken),
        }
    }

    /// A whole number from 0; none when it is anything else.
    pub(super) fn count(&mut self) -> Result<Option<u64>, Broken> {
        let spelled = self.spelling()?;
        Ok(std::str::from_utf8(spelled)
            .ok()
            .and_then(|text| text.parse().ok()))
    }

    /// A number, or a text of one, as it is spelled.
    pub(super) fn number(&mut self) -> Result<Option<&'a str>, Broken> {
        let spelled = self.spelling()?;
        let bare = spelled
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""))
            .unwrap_or(spelled);
        Ok(std::str::from_utf8(bare).ok())
    }

    /// True or false; none when it is neither.
    pub(super) fn flag(&mut self) -> Result<Option<bool>, Broken> {
        Ok(match self.spelling()? {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        })
    }

    /// Passes over one value.
    pub(super) fn skip(&mut self) -> Result<(), Broken> {
        let mut open = [0_u8; MAX_DEPTH];
        let mut depth = 0;
        loop {
            match self.peek().ok_or(Broken)? {
                b'"' => {
                    self.string()?;
                }
                byte @ (b'{' | b'[') => {
                    *open.get_mut(depth).ok_or(Broken)? = byte + 2; // `}` and `]` stand two after
                    depth += 1;
                    self.at += 1;
                }
                byte @ (b'}' | b']') => {
                    if depth == 0 || open[depth - 1] != byte {
                        return Err(Broken);
                    }
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                _ => self.scalar()?,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn scalar(&mut self) -> Result<(), Broken> {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .take_while(
                |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'E'),
            )
            .count();
        self.at += length;
        match &rest[..length] {
            b"true" | b"false" | b"null" => Ok(()),
            [b'-' | b'0'..=b'9', ..] => Ok(()),
            _ => Err(Broken),
        }
    }

    /// Passes over a string and gives what is between its quotes.
    fn string(&mut self) -> Result<&'a [u8], Broken> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(Broken);
        }
        let from = self.at + 1;
        let mut at = from;
        loop {
            at += memchr2(b'"', b'\\', self.bytes.get(at..).ok_or(Broken)?).ok_or(Broken)?;
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Ok(&self.bytes[from..at]);
            }
            at += 2;
        }
    }

    /// The next byte that is no white space, passed over.
    fn next(&mut self) -> Result<u8, Broken> {
        let byte = self.peek().ok_or(Broken)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => return Some(*byte),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_asked_for_is_taken() {
        let text = br#" {"a":{"b":[1,"]}",{"c":null}]},"n":12,"t":"x\"y","l":["p","q"],"f":true} "#;
        let mut cursor = Cursor::new(text);
        let (mut n, mut t, mut l, mut f) = (None, None, Vec::new(), None);
        cursor
            .object(|key, cursor| {
                match key {
                    b"n" => n = cursor.count()?,
                    b"t" => t = cursor.text(9)?,
                    b"l" => {
                        cursor.array(|item| {
                            l.extend(item.text(9)?);
                            Ok(())
                        })?;
                    }
                    b"f" => f = cursor.flag()?,
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(cursor.end(), Ok(()));
        assert_eq!((n, t.as_deref(), f), (Some(12), Some("x\"y"), Some(true)));
        assert_eq!(l, ["p", "q"]);
    }

    #[test]
    fn another_type_is_absent_and_costs_nothing_else() {
        let mut seen = Vec::new();
        Cursor::new(br#"{"count":"7","text":5,"object":[],"array":{},"flag":"true","z":1}"#)
            .object(|key, cursor| {
                match key {
                    b"count" => assert_eq!(cursor.count()?, None),
                    b"text" => assert_eq!(cursor.text(9)?, None),
                    b"object" => assert!(!cursor.object(|_, _| Ok(()))?),
                    b"array" => assert!(!cursor.array(|_| Ok(()))?),
                    b"flag" => assert_eq!(cursor.flag()?, None),
                    _ => {}
                }
                seen.push(key);
                Ok(())
            })
            .unwrap();
        assert_eq!(seen.len(), 6);
    }

    #[test]
    fn half_a_text_is_broken_wherever_it_ends() {
        let whole = br#"{"a":[1,"b\"c",{"d":false}],"e":-1.5e3}"#;
        for end in 0..whole.len() {
            let mut cursor = Cursor::new(&whole[..end]);
            assert_eq!(cursor.skip(), Err(Broken), "{end}");
        }
        assert_eq!(Cursor::new(whole).skip(), Ok(()));
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(Cursor::new(nested(MAX_DEPTH).as_bytes()).skip(), Ok(()));
        assert_eq!(
            Cursor::new(nested(MAX_DEPTH + 1).as_bytes()).skip(),
            Err(Broken)
        );
    }

    #[test]
    fn a_lone_surrogate_does_not_cost_the_text() {
        let text = Cursor::new(br#""half \ud83d of it""#).text(20).unwrap();
        assert_eq!(text.as_deref(), Some("half \u{FFFD} of it"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_passed_over_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut cursor = Cursor::new(&bytes);
            let _ = cursor.object(|_, cursor| cursor.skip());
            let _ = Cursor::new(&bytes).skip();
        }

        #[test]
        fn json_is_passed_over_whole(text in "[\\[\\]{}\",:0-9e.\\\\ua truefalsn]{0,24}") {
            if serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok() {
                let mut cursor = Cursor::new(text.as_bytes());
                prop_assert_eq!(cursor.skip(), Ok(()));
                prop_assert_eq!(cursor.end(), Ok(()));
            }
        }
    }
}
