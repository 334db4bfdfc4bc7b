//! From the bytes of a line to the text that leaves the host: what a terminal
//! would show of it, in plain characters. Pure, one pass. Colours go before
//! secrets are looked for: an escape sequence inside of one would hide it.

use super::MAX_LINE_CHARS;
use crate::mask::Masker;

/// Bytes of a line that are looked at; what is behind them is cut anyway. More than a line may have when
/// it leaves, so that a secret across that border is seen whole.
pub const MAX_RAW: usize = 16 * 1024;
/// What a tab becomes.
const TAB: &str = "    ";

/// A line without its line break, ready to leave; true when it was cut.
#[must_use]
pub fn line(bytes: &[u8], masker: &mut Masker) -> (String, bool) {
    let looked_at = &bytes[..bytes.len().min(MAX_RAW)];
    let text = String::from_utf8_lossy(looked_at);
    let mut text = masker.line(&plain(&text));
    let mut cut = looked_at.len() < bytes.len();
    if let Some((end, _)) = text.char_indices().nth(MAX_LINE_CHARS) {
        text.truncate(end);
        cut = true;
    }
    (text, cut)
}

/// Without escape sequences and control characters. Of what a carriage return
/// wrote over (a progress bar) the last is kept.
fn plain(text: &str) -> String {
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    // A text without an end to a string that was begun has none to the next one either.
    let mut strings_end = true;
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.clone().next() {
                Some('[') => {
                    chars.next();
                    skip_sequence(&mut chars);
                }
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    chars.next();
                    strings_end = strings_end && skip_string(&mut chars);
                }
                // Two characters, or three where the second chooses a set.
                Some('(' | ')' | '#' | '%') => {
                    chars.next();
                    chars.next();
                }
                Some(_) => {
                    chars.next();
                }
                None => {}
            },
            '\u{9b}' => skip_sequence(&mut chars),
            '\t' => out.push_str(TAB),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Behind the final letter of `ESC [ 1 ; 31 m`.
fn skip_sequence(chars: &mut std::str::Chars<'_>) {
    loop {
        let before = chars.clone();
        match chars.next() {
            Some('\u{20}'..='\u{3f}') => {}
            Some('\u{40}'..='\u{7e}') | None => return,
            // No sequence after all.
            Some(_) => {
                *chars = before;
                return;
            }
        }
    }
}

/// Behind the end of a title or link (`ESC ] 0 ; title BEL`); false, and nothing is skipped, when there is none.
fn skip_string(chars: &mut std::str::Chars<'_>) -> bool {
    let rest = chars.as_str();
    let end = rest.find(['\u{7}', '\u{9c}', '\u{1b}']);
    match end {
        Some(at) => {
            let behind = &rest[at..];
            let behind = behind.strip_prefix("\u{1b}\\").unwrap_or_else(|| {
                let mut one = behind.chars();
                // Another sequence begins: it is read as such.
                if !behind.starts_with('\u{1b}') {
                    one.next();
                }
                one.as_str()
            });
            *chars = behind.chars();
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cleaned(text: &str) -> String {
        line(text.as_bytes(), &mut Masker::default()).0
    }

    #[test]
    fn what_a_terminal_shows_is_kept() {
        for (written, shown) in [
            ("plain", "plain"),
            ("\u{1b}[1;31mred\u{1b}[0m end", "red end"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}]no end", "no end"),
            ("\u{1b}(Bset", "set"),
            ("a\u{1b}", "a"),
            ("\u{9b}31mred", "red"),
            (" 10%\r 50%\r100%\r", "100%"),
            ("a\tb", "a    b"),
            ("bell\u{7} null\0 back\u{8}", "bell null back"),
            ("größe ✓", "größe ✓"),
        ] {
            assert_eq!(cleaned(written), shown, "{written:?}");
        }
        let (text, _) = line(b"half \xff\xfe a character", &mut Masker::default());
        assert_eq!(text, "half \u{fffd}\u{fffd} a character");
    }

    #[test]
    fn a_secret_is_masked_behind_its_colours_and_across_the_cut() {
        assert_eq!(
            cleaned("password\u{1b}[0m=\u{1b}[32mhunter2\u{1b}[0m x"),
            "password=[masked] x"
        );
        let long = format!(
            "{} password=hunter2hunter2",
            "x".repeat(MAX_LINE_CHARS - 20)
        );
        let (text, cut) = line(long.as_bytes(), &mut Masker::default());
        assert!(!text.contains("hunter") && !cut, "{text}");
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let (text, cut) = line("ö".repeat(50_000).as_bytes(), &mut Masker::default());
        assert_eq!((text.chars().count(), cut), (MAX_LINE_CHARS, true));
        let (text, cut) = line("ö".repeat(2_000).as_bytes(), &mut Masker::default());
        assert_eq!((text.chars().count(), cut), (MAX_LINE_CHARS, false));
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_bounded_text_without_control_characters(
            bytes in proptest::collection::vec(any::<u8>(), 0..3_000)
        ) {
            let (text, _) = line(&bytes, &mut Masker::default());
            prop_assert!(!text.contains(char::is_control));
            prop_assert!(text.chars().count() <= MAX_LINE_CHARS);
        }

        #[test]
        fn escapes_in_any_order_end(text in "[\u{1b}\\[\\]P;0-9m\u{7}\\\\a\r]{0,40}") {
            prop_assert!(!cleaned(&text).contains(char::is_control));
        }
    }
}
