//! From the bytes of a line to the text that leaves the host: what a terminal
//! would show of it, in plain characters. Pure, one pass. Colours go before
//! secrets are looked for: an escape sequence inside of one would hide it.

use std::borrow::Cow;
use std::str::Chars;

use super::MAX_LINE_CHARS;
use crate::mask::Masker;

/// Bytes of a line that are looked at; what is behind them is cut anyway. More than a line may have when
/// it leaves, so that a secret across that border is seen whole.
pub const MAX_RAW: usize = 16 * 1024;
/// States of a progress bar that are looked at until one shows something: the last, with a few that only clear the line.
const MAX_STATES: usize = 1_000;
/// What a tab becomes.
const TAB: &str = "    ";

/// A line without its line break, ready to leave; true when it was cut.
#[must_use]
pub fn line(bytes: &[u8], masker: &mut Masker) -> (String, bool) {
    let (shown, mut cut) = last_state(bytes);
    let mut text = masker.line(&shown);
    if let Some((end, _)) = text.char_indices().nth(MAX_LINE_CHARS) {
        text.truncate(end);
        cut = true;
    }
    (text, cut)
}

/// Of what a carriage return wrote over (a progress bar) the last that shows anything,
/// in plain characters; true when it was longer than is looked at.
fn last_state(bytes: &[u8]) -> (String, bool) {
    let mut states = bytes.rsplit(|byte| *byte == b'\r').take(MAX_STATES);
    let mut looked_at = 0;
    loop {
        let Some(state) = states.next().filter(|_| looked_at < MAX_RAW) else {
            return (String::new(), false);
        };
        looked_at += state.len() + 1;
        let text = plain(&text_of(&state[..state.len().min(MAX_RAW)]));
        // An end of line that is cleared, or only changes the colour, shows nothing new.
        if !text.trim().is_empty() {
            return (text, state.len() > MAX_RAW);
        }
    }
}

/// Bytes as text. Those that are none are replaced, but for the control characters of one byte that begin
/// an escape sequence where a terminal is set to eight bits.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    let chunks = || bytes.utf8_chunks();
    if chunks().all(|chunk| !chunk.invalid().iter().any(|byte| begins_sequence(*byte))) {
        return String::from_utf8_lossy(bytes);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in chunks() {
        text.push_str(chunk.valid());
        match chunk.invalid() {
            [] => {}
            [byte] if begins_sequence(*byte) => text.push(char::from(*byte)),
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(text)
}

/// CSI, DCS, OSC and ST as one byte. The others of their row are letters in more encodings than not.
fn begins_sequence(byte: u8) -> bool {
    matches!(byte, 0x90 | 0x9b..=0x9d)
}

/// Without escape sequences and control characters.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    // A text without an end to a string that was begun has none to the next one either.
    let mut strings_end = true;
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars, &mut strings_end),
            '\u{9b}' => skip_sequence(&mut chars),
            // The same strings, begun by one character.
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => {
                skip_string(&mut chars, &mut strings_end);
            }
            '\t' => out.push_str(TAB),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Behind what follows an `ESC`.
fn skip_escape(chars: &mut Chars<'_>, strings_end: &mut bool) {
    let mut behind = chars.clone();
    match behind.next() {
        Some('[') => {
            skip_sequence(&mut behind);
            *chars = behind;
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            skip_string(&mut behind, strings_end);
            *chars = behind;
        }
        // Two characters, or more where the second chooses a set: `ESC ( B`, `ESC # 8`.
        Some('\u{20}'..='\u{2f}') => {
            let rest = behind
                .as_str()
                .trim_start_matches(|c| matches!(c, '\u{20}'..='\u{2f}'));
            let end = rest.starts_with(|c| matches!(c, '\u{30}'..='\u{7e}'));
            *chars = rest[usize::from(end)..].chars();
        }
        Some('\u{30}'..='\u{7e}') => *chars = behind,
        // Another sequence begins, or it was none at all.
        Some(_) | None => {}
    }
}

/// Behind the final letter of `ESC [ 1 ; 31 m`.
fn skip_sequence(chars: &mut Chars<'_>) {
    let rest = chars.as_str();
    let end = rest.trim_start_matches(|c| matches!(c, '\u{20}'..='\u{3f}'));
    // Without a final letter it is no sequence after all.
    let is_final = end.starts_with(|c| matches!(c, '\u{40}'..='\u{7e}'));
    *chars = end[usize::from(is_final)..].chars();
}

/// Behind the end of a title or link (`ESC ] 0 ; title BEL`), or of the line where that is within a title or link.
/// Anything else without an end is no string: nothing is skipped.
fn skip_string(chars: &mut Chars<'_>, strings_end: &mut bool) {
    let rest = chars.as_str();
    let end = rest
        .find(['\u{7}', '\u{9c}', '\u{1b}'])
        .filter(|_| *strings_end);
    let Some(at) = end else {
        *strings_end = false;
        if is_command(rest) {
            *chars = "".chars();
        }
        return;
    };
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
}

/// Whether what follows reads as a terminal's command: a number and a semicolon.
fn is_command(rest: &str) -> bool {
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    behind.len() < rest.len() && behind.starts_with(';') && !rest.contains('\u{1b}')
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
            // Unlike a lone string, a title that the line's end cuts off hides nothing of the log.
            ("text\u{1b}]0;title", "text"),
            ("a\u{1b}]8;;http://x\u{1b}\\b\u{1b}]8;;http", "ab"),
        ] {
            assert_eq!(cleaned(written), shown, "{written:?}");
        }
        let (text, _) = line(b"half \xff\xfe a character", &mut Masker::default());
        assert_eq!(text, "half \u{fffd}\u{fffd} a character");
    }

    #[test]
    fn each_family_of_escapes_goes_whole() {
        for (family, written) in [
            (
                "CSI",
                "a\u{1b}[38;2;1;2;3mb\u{1b}[?25lc\u{1b}[2Kd\u{1b}[1 qe",
            ),
            ("CSI of one character", "a\u{9b}31mb\u{9b}0mcde"),
            ("OSC with BEL", "a\u{1b}]0;title\u{7}bcde"),
            ("OSC with ST", "abc\u{1b}]2;title\u{1b}\\de"),
            (
                "OSC with an ST of one character",
                "ab\u{1b}]2;title\u{9c}cde",
            ),
            ("OSC of one character", "ab\u{9d}0;title\u{7}cde"),
            (
                "a link",
                "a\u{1b}]8;id=1;http://x/y\u{7}bcd\u{1b}]8;;\u{7}e",
            ),
            ("DCS", "ab\u{1b}P1$r0m\u{1b}\\c\u{90}q\u{9c}de"),
            (
                "SOS, PM, APC",
                "a\u{1b}Xs\u{1b}\\b\u{1b}^p\u{1b}\\c\u{1b}_a\u{1b}\\d\u{98}s\u{9c}\u{9e}p\u{9c}\u{9f}a\u{9c}e",
            ),
            ("two characters", "a\u{1b}cb\u{1b}7c\u{1b}=d\u{1b}>e"),
            ("three characters", "a\u{1b}(0b\u{1b})Bc\u{1b}#8d\u{1b}%Ge"),
            ("a set of several bytes", "ab\u{1b}$(Ccde"),
            (
                "one within another",
                "a\u{1b}\u{1b}[31mbcd\u{1b}]0;t\u{1b}[1me",
            ),
            ("other control characters", "a\u{85}b\u{8d}c\u{7f}d\u{e}e"),
        ] {
            assert_eq!(cleaned(written), "abcde", "{family}");
        }
    }

    #[test]
    fn an_escape_that_the_lines_end_cuts_off_leaves_nothing() {
        for cut_off in [
            "\u{1b}",
            "\u{1b}[",
            "\u{1b}[3",
            "\u{1b}[38;5;",
            "\u{9b}1;",
            "\u{1b}(",
            "\u{1b}#",
            "\u{1b}]",
            "\u{1b}]0;ti",
            "\u{1b}]8;;http://x",
            "\u{1b}P",
            "\u{9d}0;ti",
        ] {
            assert_eq!(cleaned(&format!("text{cut_off}")), "text", "{cut_off:?}");
        }
        // What is no escape is kept: an accent is no second character, a word no title.
        assert_eq!(cleaned("\u{1b}été"), "été");
        assert_eq!(cleaned("\u{1b}]a word"), "a word");
    }

    #[test]
    fn escapes_of_one_byte_go_and_other_bytes_do_not_become_any() {
        let shown = |bytes: &[u8]| line(bytes, &mut Masker::default()).0;
        assert_eq!(shown(b"a\x9b1;31mb\x9d0;title\x07c\x90q\x9cd"), "abcd");
        assert_eq!(shown(b"\x93quoted\x94"), "\u{fffd}quoted\u{fffd}");
        assert_eq!(shown("› ž".as_bytes()), "› ž");
    }

    #[test]
    fn a_progress_bar_ends_as_its_last_state() {
        for (written, shown) in [
            (" 10%\r 50%\r100%\r", "100%"),
            ("10%\r\u{1b}[K50%\u{1b}[0m\r\u{1b}[K100%", "100%"),
            ("10%\r100%\r\u{1b}[0m", "100%"),
            ("done\r\r\r", "done"),
            ("10%\r100%\r\u{1b}[2K\r   \r", "100%"),
            ("\r\r", ""),
            ("\u{1b}[1A\u{1b}[2K\u{1b}[Gstep 2", "step 2"),
        ] {
            assert_eq!(cleaned(written), shown, "{written:?}");
        }
        // However much of it was written over.
        let long: String = (0..=20_000).map(|n| format!("\r{n} of 20000")).collect();
        let (text, cut) = line(long.as_bytes(), &mut Masker::default());
        assert_eq!((text.as_str(), cut), ("20000 of 20000", false));
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
