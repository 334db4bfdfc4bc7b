//! From pieces of a file to its lines. A line within one piece is handed on as
//! it lies there; of one that spans pieces only the beginnings of its strings
//! are kept, so that an image of megabytes costs kilobytes.

use memchr::{memchr, memchr2};

/// Bytes that are kept of one string of a line that spans pieces: ten times
/// the longest text that is taken from any line, in its longest spelling.
pub(super) const MAX_STRING: usize = 4 * 1024;
/// Bytes that are kept of such a line: real ones have under 100 KB with all
/// their strings whole. A longer one counts as bad.
pub(super) const MAX_LINE: usize = 512 * 1024;

/// The beginning of a line whose end was not seen yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    kept: Vec<u8>,
    /// Bytes of the file that it spans.
    pub(super) spans: u64,
    string: Option<Inside>,
    too_long: bool,
}

/// Within a string.
#[derive(Debug, Clone, Copy, Default)]
struct Inside {
    /// Bytes of it that are kept.
    kept: usize,
    /// Enough is kept: what follows is dropped up to the closing quote.
    full: bool,
    /// A backslash waits for what it escapes.
    escaping: bool,
}

/// A line as it is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// All of it, or all but the ends of its long strings.
    Text(&'a [u8]),
    /// Longer than [`MAX_LINE`].
    TooLong,
}

impl Lines {
    /// Hands on the lines that end in this piece, without their line breaks.
    pub(super) fn feed(&mut self, mut piece: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr(b'\n', piece) {
            let (head, rest) = piece.split_at(end);
            if self.spans == 0 {
                line(Line::Text(head));
            } else {
                self.keep(head);
                line(self.unfinished());
                self.forget();
            }
            piece = &rest[1..];
        }
        self.keep(piece);
    }

    /// The line as far as it was seen.
    pub(super) fn unfinished(&self) -> Line<'_> {
        if self.too_long {
            Line::TooLong
        } else {
            Line::Text(&self.kept)
        }
    }

    /// Whether the unfinished line may be whole but for its line break.
    pub(super) fn may_be_whole(&self) -> bool {
        !self.too_long && self.string.is_none() && self.kept.trim_ascii_end().ends_with(b"}")
    }

    /// Forgets the unfinished line.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        // One large line must not cost its memory for ever.
        self.kept.shrink_to(MAX_STRING);
        self.spans = 0;
        self.string = None;
        self.too_long = false;
    }

    fn keep(&mut self, mut piece: &[u8]) {
        self.spans += piece.len() as u64;
        while !piece.is_empty() && !self.too_long {
            let used = match self.string {
                None => self.keep_outside(piece),
                Some(inside) => self.keep_inside(inside, piece),
            };
            piece = &piece[used..];
            self.too_long = self.kept.len() > MAX_LINE;
        }
        if self.too_long {
            self.kept = Vec::new();
        }
    }

    /// Up to the opening quote of the next string.
    fn keep_outside(&mut self, piece: &[u8]) -> usize {
        let used = memchr(b'"', piece).map_or(piece.len(), |at| at + 1);
        self.kept.extend_from_slice(&piece[..used]);
        if self.kept.last() == Some(&b'"') && used > 0 {
            self.string = Some(Inside::default());
        }
        used
    }

    /// Up to the next escape or the closing quote; dropped where enough is kept.
    fn keep_inside(&mut self, mut inside: Inside, piece: &[u8]) -> usize {
        if inside.escaping {
            inside.escaping = false;
            self.keep_of_string(&mut inside, &piece[..1]);
            self.string = Some(inside);
            return 1;
        }
        let plain = memchr2(b'"', b'\\', piece).unwrap_or(piece.len());
        let mut room = MAX_STRING.saturating_sub(inside.kept).min(plain);
        while room < plain && is_continuation(piece[room]) {
            room += 1; // the rest of a character
        }
        self.keep_of_string(&mut inside, &piece[..room]);
        inside.full |= room < plain;
        self.string = Some(inside);
        match piece.get(plain) {
            Some(b'"') => {
                self.kept.push(b'"');
                self.string = None;
            }
            Some(_) => {
                // An escape is kept with the five bytes that it may need, or not at all.
                inside.full |= inside.kept + 6 > MAX_STRING;
                self.keep_of_string(&mut inside, b"\\");
                inside.escaping = true;
                self.string = Some(inside);
            }
            None => return plain,
        }
        plain + 1
    }

    fn keep_of_string(&mut self, inside: &mut Inside, bytes: &[u8]) {
        if !inside.full {
            self.kept.extend_from_slice(bytes);
            inside.kept += bytes.len();
        }
    }
}

/// A byte of UTF-8 that is not the first of its character.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Whether a line holds nothing but white space.
pub(super) fn is_blank(line: &[u8]) -> bool {
    // Most lines begin with `{`: one look is enough.
    line.first() != Some(&b'{') && line.trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Option<String>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.feed(piece, |line| {
                found.push(match line {
                    Line::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                    Line::TooLong => None,
                });
            });
        }
        found
    }

    #[test]
    fn lines_are_the_same_wherever_the_pieces_end() {
        let text = b"{\"a\":\"b\\\"\\u00e4\"}\n\n{\"c\":1}\nrest";
        let whole = lines(&[text]);
        assert_eq!(whole.len(), 3);
        for at in 0..text.len() {
            assert_eq!(lines(&[&text[..at], &text[at..]]), whole, "{at}");
        }
    }

    #[test]
    fn a_long_string_costs_only_its_beginning_and_stays_json() {
        let long = format!(
            "{{\"image\":\"{}\",\"id\":7}}\n",
            "\\u00e4ö".repeat(1_000_000)
        );
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in long.as_bytes().chunks(1_001) {
            lines.feed(piece, |line| {
                if let Line::Text(text) = line {
                    found.push(serde_json::from_slice::<serde_json::Value>(text).unwrap());
                }
            });
            assert!(lines.kept.capacity() < 4 * MAX_STRING);
        }
        assert_eq!(found[0]["id"], 7);
        assert!(found[0]["image"].as_str().unwrap().len() > 1_000);
    }

    #[test]
    fn a_line_that_is_long_without_long_strings_is_dropped_and_the_next_is_read() {
        let long = format!("[{}]\n{{}}\n", "1,".repeat(MAX_LINE));
        let pieces: Vec<&[u8]> = long.as_bytes().chunks(4_096).collect();
        assert_eq!(lines(&pieces), [None, Some("{}".to_owned())]);
    }

    #[test]
    fn a_line_is_whole_before_its_break_when_its_brackets_are_outside_of_strings() {
        let may = |text: &str| {
            let mut lines = Lines::default();
            lines.feed(text.as_bytes(), |_| ());
            lines.may_be_whole()
        };
        assert!(may("{\"a\":1}"));
        assert!(may("{\"a\":1} "));
        assert!(!may("{\"a\":\"}"));
        assert!(!may("{\"a\":1"));
    }

    proptest! {
        #[test]
        fn cut_strings_never_break_a_line(
            text in "[a-zäö🦀\\\\\"\u{1}]{0,40}", times in 1_usize..400, piece in 1_usize..900,
        ) {
            let value = serde_json::json!({"a": text.repeat(times), "b": [text, 1]});
            let line = format!("{value}\n");
            let mut lines = Lines::default();
            let mut found = 0;
            for piece in line.as_bytes().chunks(piece) {
                lines.feed(piece, |line| {
                    let Line::Text(text) = line else { return };
                    let read: serde_json::Value = serde_json::from_slice(text).unwrap();
                    assert_eq!(read["b"], value["b"]);
                    let whole = value["a"].as_str().unwrap();
                    assert!(whole.starts_with(read["a"].as_str().unwrap()));
                    found += 1;
                });
            }
            prop_assert_eq!(found, 1);
        }
    }
}
