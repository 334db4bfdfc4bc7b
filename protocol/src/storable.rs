//! What is JSON and Postgres' `jsonb` refuses all the same. Our agents replace
//! it at the source (see [`crate::json`]); a message that holds it is refused
//! here, at the cost of one look at its bytes, instead of with the whole batch.

/// More digits than this in a number, or in its exponent, may be beyond `numeric`.
const MAX_DIGITS: usize = 16_000;
/// Exponents of this many digits may be: `numeric` ends at some 131,000.
const MAX_EXPONENT_DIGITS: usize = 5;

/// What stands in the way of storing `json`, which must be valid JSON.
pub(crate) fn obstacle(json: &[u8]) -> Option<&'static str> {
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        at = match byte {
            b'"' => match string(json, at + 1) {
                Ok(end) => end,
                Err(what) => return Some(what),
            },
            b'-' | b'0'..=b'9' => match number(json, at + 1) {
                Some(end) => end,
                None => return Some("a number beyond all measure"),
            },
            _ => at + 1,
        };
    }
    None
}

/// The place after a text that begins at `at`.
fn string(json: &[u8], mut at: usize) -> Result<usize, &'static str> {
    loop {
        match json.get(at) {
            None => return Ok(at),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') if json.get(at + 1) == Some(&b'u') => {
                let low = |at: usize| matches!(code(json, at), Some(0xDC00..=0xDFFF));
                match code(json, at) {
                    Some(0) => return Err("U+0000 in a text"),
                    Some(0xD800..=0xDBFF) if low(at + 6) => at += 12,
                    Some(0xD800..=0xDFFF) => return Err("half a surrogate pair in a text"),
                    _ => at += 6,
                }
            }
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// What the four digits of the `\u` escape at `at` say.
fn code(json: &[u8], at: usize) -> Option<u32> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The place after a number; none when it is too long.
fn number(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut exponent = None;
    while let Some(byte) = json.get(at) {
        match byte {
            b'0'..=b'9' | b'.' => {}
            b'e' | b'E' => exponent = Some(at + 1),
            b'+' | b'-' if exponent.is_some() => exponent = Some(at + 1),
            _ => break,
        }
        at += 1;
    }
    let fits = exponent.is_none_or(|from| at - from < MAX_EXPONENT_DIGITS);
    (fits && at - start < MAX_DIGITS).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_refuses_is_found_and_nothing_else() {
        for fine in [
            r#"{"a":"\\u0000 \u0001 \ud83d\ude00 \"\\","b":[1,-2.5e-300,1e308,12345678901234567890]}"#,
            r#""\uD83D\uDE00""#,
            "[]",
        ] {
            assert_eq!(obstacle(fine.as_bytes()), None, "{fine}");
        }
        for bad in [
            r#"{"a":"x\u0000"}"#,
            r#"{"a\u0000":1}"#,
            r#"["\ud800"]"#,
            r#"["\ud800\u0041"]"#,
            r#"["\udc00"]"#,
            "[1e200000]",
            "[1E-99999]",
        ] {
            assert!(obstacle(bad.as_bytes()).is_some(), "{bad}");
        }
        assert!(obstacle("9".repeat(200_000).as_bytes()).is_some());
    }
}
