//! Secrets in texts that leave the host are masked: tokens known by how they
//! begin, values of keys that name a secret, logins in URLs, private keys.
//! Rather too much than too little: what is masked can be read on the host.
//!
//! One pass with bounded looks ahead, so that no text takes longer than its
//! length. Pure. What no pattern knows is not found: masking is a second line
//! behind `PHASELINE_TEXTS`, not a promise.

mod patterns;
#[cfg(test)]
mod tests;

use patterns::{KeyKind, key_kind, token_at};

/// Stands in the place of a secret.
pub const MASKED: &str = "[masked]";
/// How far behind `://` a login is looked for, bytes: the longest real ones have some 300.
const LOGIN_WINDOW: usize = 512;
/// Blanks, quotes and backslashes between a key, its separator and its value.
const MAX_BETWEEN: usize = 8;
/// Lines of a private key at most: RSA with 16,384 bits has 199. Behind them a missing end is not waited for.
const MAX_KEY_LINES: u32 = 256;
const KEY_BEGINS: &[u8] = b"-----BEGIN ";
const KEY_BEGINS_ENDS: &[u8] = b"PRIVATE KEY";
const KEY_ENDS: &[u8] = b"-----END ";
/// `-----BEGIN ENCRYPTED PRIVATE KEY BLOCK-----` and the like fit.
const KEY_HEADER: usize = 64;

/// Masks line by line: a private key spans many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Masker {
    /// Lines that may still belong to a private key.
    pub key_lines: u32,
}

impl Masker {
    /// The line with its secrets masked.
    pub fn line(&mut self, line: &str) -> String {
        let bytes = line.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        if self.key_lines > 0 {
            out.extend_from_slice(MASKED.as_bytes());
            match find(bytes, KEY_ENDS) {
                Some(end) => {
                    self.key_lines = 0;
                    at = behind_header(bytes, end);
                }
                None => {
                    self.key_lines -= 1;
                    at = bytes.len();
                }
            }
        }
        self.scan(bytes, at, &mut out);
        // Only pieces between ASCII characters are replaced.
        String::from_utf8_lossy(&out).into_owned()
    }

    fn scan(&mut self, bytes: &[u8], mut at: usize, out: &mut Vec<u8>) {
        while at < bytes.len() {
            let rest = &bytes[at..];
            at = if is_private_key(rest) {
                out.extend_from_slice(MASKED.as_bytes());
                match find(rest, KEY_ENDS) {
                    Some(end) => behind_header(bytes, at + end),
                    None => {
                        self.key_lines = MAX_KEY_LINES;
                        bytes.len()
                    }
                }
            } else if rest.starts_with(b"://") {
                url_login(bytes, at, out)
            } else if is_word(rest[0]) {
                word(bytes, at, out)
            } else {
                out.push(rest[0]);
                at + 1
            };
        }
    }
}

/// One text that may have many lines.
#[must_use]
pub fn text(text: &str) -> String {
    let mut masker = Masker::default();
    let lines: Vec<String> = text.split('\n').map(|line| masker.line(line)).collect();
    lines.join("\n")
}

/// Whether the value of a member of this name is secret, whatever it looks like.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    matches!(
        key_kind(key.as_bytes()),
        Some(KeyKind::Value | KeyKind::Line)
    )
}

fn is_private_key(rest: &[u8]) -> bool {
    rest.starts_with(KEY_BEGINS)
        && find(&rest[..rest.len().min(KEY_HEADER)], KEY_BEGINS_ENDS).is_some()
}

/// Behind the dashes that end the header which begins at `at`.
fn behind_header(bytes: &[u8], at: usize) -> usize {
    let inner = at + KEY_ENDS.len();
    let rest = bytes.get(inner..).unwrap_or_default();
    let rest = &rest[..rest.len().min(KEY_HEADER)];
    find(rest, b"-----").map_or(bytes.len(), |end| inner + end + 5)
}

/// `://user:password@` keeps the user, `://token@` nothing.
fn url_login(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let begin = at + 3;
    out.extend_from_slice(b"://");
    let window = &bytes[begin..bytes.len().min(begin + LOGIN_WINDOW)];
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>');
    let word = &window[..window.iter().position(ends).unwrap_or(window.len())];
    let host_ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#');
    let authority = &word[..word.iter().position(host_ends).unwrap_or(word.len())];
    let strict = authority.iter().rposition(|byte| *byte == b'@');
    let login = match (strict, authority.iter().position(|byte| *byte == b':')) {
        (Some(login), _) => login,
        // A password may hold what ends a host's name; a port does not.
        (None, Some(colon)) if !authority[colon + 1..].iter().all(u8::is_ascii_digit) => {
            match word.iter().rposition(|byte| *byte == b'@') {
                Some(login) => login,
                None => return begin,
            }
        }
        (None, _) => return begin,
    };
    match word[..login].iter().position(|byte| *byte == b':') {
        Some(colon) => out.extend_from_slice(&word[..=colon]),
        // A short one is a name such as `git`.
        None if login < 16 => {
            out.extend_from_slice(&word[..login]);
            return begin + login;
        }
        None => {}
    }
    out.extend_from_slice(MASKED.as_bytes());
    begin + login
}

/// A word: a token, a key with its value, or any.
fn word(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let length = |rest: &[u8], fits: fn(u8) -> bool| rest.iter().take_while(|b| fits(**b)).count();
    let end = at + length(&bytes[at..], is_word);
    for begin in at..end {
        let is_boundary = begin == at || !bytes[begin - 1].is_ascii_alphanumeric();
        if is_boundary && let Some(least) = token_at(&bytes[begin..]) {
            let size = length(&bytes[begin..], is_token);
            if size >= least {
                out.extend_from_slice(&bytes[at..begin]);
                out.extend_from_slice(MASKED.as_bytes());
                return begin + size;
            }
        }
    }
    let word = &bytes[at..end];
    out.extend_from_slice(word);
    let Some(kind) = key_kind(word) else {
        return end;
    };
    match value(bytes, end, kind, word.starts_with(b"--")) {
        Some((from, to)) => {
            out.extend_from_slice(&bytes[end..from]);
            out.extend_from_slice(MASKED.as_bytes());
            to
        }
        None => end,
    }
}

/// Where the value of a key lies that ends at `at`.
fn value(bytes: &[u8], at: usize, kind: KeyKind, is_flag: bool) -> Option<(usize, usize)> {
    let between = |from: usize, also: &[u8]| {
        let rest = &bytes[from..bytes.len().min(from + MAX_BETWEEN)];
        let passed =
            |byte: &&u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'\\') || also.contains(byte);
        from + rest.iter().take_while(passed).count()
    };
    let separator = between(at, b"]");
    let begin = match bytes.get(separator) {
        Some(b'=' | b':') if kind != KeyKind::Scheme => between(separator + 1, b"=>"),
        // `--password hunter2`, `Bearer abc`
        _ if kind == KeyKind::Scheme || is_flag => {
            let begin = between(at, b"");
            if begin == at || bytes.get(begin) == Some(&b'-') {
                return None;
            }
            begin
        }
        _ => return None,
    };
    let quoted = matches!(bytes.get(begin.wrapping_sub(1)), Some(b'"' | b'\''));
    let quote = bytes
        .get(begin.wrapping_sub(1))
        .copied()
        .unwrap_or_default();
    let ends = |byte: u8| match (kind, quoted) {
        (_, true) => byte == quote,
        (KeyKind::Line, false) => matches!(byte, b'"' | b'\''),
        (_, false) => byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'&'),
    };
    let rest = &bytes[begin..];
    let size = rest
        .iter()
        .position(|byte| ends(*byte))
        .unwrap_or(rest.len());
    let enough = match kind {
        // "bearer of news" is none.
        KeyKind::Scheme => size >= 8 && rest[..size].iter().any(u8::is_ascii_digit),
        KeyKind::Value | KeyKind::Line => size > 0,
    };
    let closes = |byte: &u8| matches!(byte, b',' | b';' | b')' | b']' | b'}');
    let closing = rest[..size].iter().rev().take_while(|b| closes(b)).count();
    let says_nothing = matches!(
        &rest[..size - closing],
        b"null" | b"none" | b"None" | b"true" | b"false" | b""
    );
    (enough && !says_nothing).then_some((begin, begin + size))
}

/// Of names and tokens.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Of tokens, base64 in both alphabets.
fn is_token(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'+' | b'/' | b'=' | b'~')
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
