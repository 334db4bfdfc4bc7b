//! Addresses of pages. Names come from anywhere, so each is one path segment
//! that no browser takes for a step upwards.

use std::fmt::Write as _;

use protocol::subject;

/// The page of a build. Ids are URL-safe already; anything else is encoded.
pub(crate) fn build(id: &str) -> String {
    format!("/builds/{}", query(id))
}

/// A value in an address, percent-encoded.
pub(crate) fn query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// An address with those of the parameters that have a value.
pub(crate) fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let told: Vec<String> = pairs
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}={}", query(value))))
        .collect();
    if told.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", told.join("&"))
}

/// The page of a host.
pub(crate) fn host(name: &str) -> String {
    format!("/hosts/{}", host_segment(name))
}

/// A host's name in addresses: as in build ids, other bytes as `_xx`, and so
/// are the dots of a name of nothing but dots.
pub(crate) fn host_segment(name: &str) -> String {
    if name.bytes().all(|byte| byte == b'.') {
        name.replace('.', "_2e")
    } else {
        subject::url_name(name)
    }
}

/// The name in the address that [`host`] made; none when it made no such one.
pub(crate) fn host_name(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'_' {
            let digits = tail.get(..2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Only addresses that a browser opens as a page of the web.
pub(crate) fn web(address: &str) -> Option<&str> {
    let lower = address.get(..8).unwrap_or(address).to_ascii_lowercase();
    let web = lower.starts_with("https://") || lower.starts_with("http://");
    (web && !address.chars().any(|c| c.is_control() || c.is_whitespace())).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_host_names_are_one_segment_and_come_back() {
        for name in ["build-01", "a_b", "..", ".", "a/b", "é\u{202e}", "%2e", " "] {
            let href = host(name);
            let segment = href.strip_prefix("/hosts/").unwrap();
            assert!(!segment.contains(['/', '%', '?', '#']), "{href}");
            assert!(segment != "." && segment != "..", "{href}");
            assert_eq!(host_name(segment).as_deref(), Some(name));
        }
        assert_eq!(host_name("my_host"), None);
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert!(web("https://example.com/pull/1").is_some());
        for bad in [
            "javascript:alert(1)",
            " https://x",
            "https://a b",
            "data:x",
            "//x",
        ] {
            assert_eq!(web(bad), None, "{bad}");
        }
    }
}
