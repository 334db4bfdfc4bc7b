//! The last whole line of a file of JSON lines, read from its end: however
//! long the file is, no more of it is read than a document may have. A last
//! line without its line break counts if it is whole; lines that are no JSON
//! (a warning that somebody printed between) are passed over.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use protocol::event::MAX_DOCUMENT_BYTES;
use protocol::json::{Json, JsonError};

use crate::beneath::{Beneath, Meta, ReadError, Reading};

/// What is read first, bytes: real lines of state are a tenth of it.
const FIRST: u64 = 64 * 1024;
/// What is read at most, bytes: the longest line, and the line break before it.
const MOST: u64 = MAX_DOCUMENT_BYTES + 1;

/// The end of a file.
pub(crate) struct Tail {
    /// Its last bytes, from the beginning of a line.
    pub(crate) bytes: Vec<u8>,
    /// Earlier lines were not read.
    pub(crate) is_cut: bool,
    /// What the system says of the file.
    pub(crate) meta: Meta,
}

/// Lines of a tail, the last first.
pub(crate) struct Line<'a> {
    /// Without its line break.
    pub(crate) text: &'a [u8],
    /// It has one.
    pub(crate) is_whole: bool,
}

/// The last line that is a state: none when nothing was written yet, or no
/// line is whole. A file whose lines are all no JSON gives its last one, for
/// its reader to say what is wrong.
///
/// # Errors
/// When the file cannot be read, or its last line is longer than is read.
pub(crate) fn last_line(beneath: &Beneath, relative: &Path) -> Result<Option<Reading>, ReadError> {
    let mut length = FIRST;
    loop {
        let tail = read(beneath, relative, length)?;
        if let Some((line, _)) = last_json(&tail.bytes) {
            return Ok(Some(Reading {
                bytes: line.to_vec(),
                meta: tail.meta,
            }));
        }
        if tail.is_cut && length < MOST {
            length = (length * 4).min(MOST);
            continue;
        }
        let whole = lines(&tail.bytes).find(|line| line.is_whole);
        return match whole {
            Some(line) => Ok(Some(Reading {
                bytes: line.text.to_vec(),
                meta: tail.meta,
            })),
            None if tail.is_cut => Err(ReadError::TooLarge(tail.meta)),
            None => Ok(None),
        };
    }
}

/// The last line that is JSON, and how many after it are not.
pub(crate) fn last_json(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut passed_over = 0;
    for line in lines(bytes) {
        let is_state = match (Json::parse(line.text), line.is_whole) {
            (Ok(_), true) => true,
            // Half a number is a number: only brackets show where a value ends.
            (Ok(value), false) => matches!(value, Json::Object(_) | Json::Array(_)),
            // Too deep is JSON all the same, and says so itself.
            (Err(error), whole) => whole && error == JsonError::TooDeep,
        };
        if is_state {
            return Some((line.text, passed_over));
        }
        passed_over += usize::from(line.is_whole);
    }
    None
}

/// Reads at most so many of the last bytes. The first of them are left out up
/// to a line break, where the file has more.
pub(crate) fn read(beneath: &Beneath, relative: &Path, length: u64) -> Result<Tail, ReadError> {
    let (file, meta) = beneath.open_file(relative)?;
    let from = meta.size.saturating_sub(length);
    let mut bytes = vec![0; usize::try_from(meta.size - from).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        let at = from + filled as u64;
        match file.read_at(&mut bytes[filled..], at) {
            // It was truncated meanwhile.
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadError::Refused(error)),
        }
    }
    bytes.truncate(filled);
    if from > 0 {
        let end = memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1);
        bytes.drain(..end);
    }
    Ok(Tail {
        bytes,
        is_cut: from > 0,
        meta,
    })
}

/// The lines that are not blank, the last first.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let ends_whole = bytes.last() == Some(&b'\n');
    let mut is_last = true;
    bytes.rsplit(|byte| *byte == b'\n').filter_map(move |text| {
        let is_whole = !std::mem::replace(&mut is_last, false) || ends_whole;
        let text = text.trim_ascii();
        (!text.is_empty()).then_some(Line { text, is_whole })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(text: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), text).unwrap();
        let beneath = Beneath::open(dir.path()).unwrap();
        let reading = last_line(&beneath, Path::new("f")).unwrap();
        reading.map(|reading| String::from_utf8(reading.bytes).unwrap())
    }

    #[test]
    fn the_last_whole_line_is_the_state() {
        assert_eq!(last("{\"a\":1}\n{\"a\":2}\n").as_deref(), Some("{\"a\":2}"));
        assert_eq!(last("{\"a\":1}\r\n\n  \n").as_deref(), Some("{\"a\":1}"));
        assert_eq!(last("{\"a\":1}\n{\"a\":").as_deref(), Some("{\"a\":1}"));
        assert_eq!(last("{\"a\":1}\n{\"a\":2}").as_deref(), Some("{\"a\":2}"));
        assert_eq!(last("{\"a\":1}\n12").as_deref(), Some("{\"a\":1}"));
        assert_eq!(
            last("{\"a\":1}\nwarning: x\n").as_deref(),
            Some("{\"a\":1}")
        );
    }

    #[test]
    fn nothing_yet_is_no_fault_and_no_json_is() {
        for nothing in ["", "\n\n", "{\"a\":"] {
            assert_eq!(last(nothing), None, "{nothing:?}");
        }
        assert_eq!(last("one\ntwo\n").as_deref(), Some("two"));
    }

    #[test]
    fn of_a_long_file_only_the_end_is_read() {
        let line = format!("{{\"n\":1,\"text\":\"{}\"}}\n", "x".repeat(1_000));
        let mut text = line.repeat(5_000);
        text.push_str("{\"n\":2}\n");
        assert_eq!(last(&text).as_deref(), Some("{\"n\":2}"));
        // Longer than what is read first.
        let long = format!("{{\"text\":\"{}\"}}", "y".repeat(300_000));
        assert_eq!(last(&format!("{line}{long}\n")), Some(long));
    }

    #[test]
    fn a_line_longer_than_a_document_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let size = usize::try_from(MAX_DOCUMENT_BYTES).unwrap() + 10;
        std::fs::write(dir.path().join("f"), format!("\"{}\"\n", "x".repeat(size))).unwrap();
        let beneath = Beneath::open(dir.path()).unwrap();
        let read = last_line(&beneath, Path::new("f"));
        assert!(matches!(read, Err(ReadError::TooLarge(_))), "{read:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_a_last_line_or_none(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            if let Some((line, _)) = last_json(&bytes) {
                proptest::prop_assert!(!line.contains(&b'\n'));
            }
            let whole = lines(&bytes).filter(|line| line.is_whole).count();
            proptest::prop_assert!(whole <= bytes.iter().filter(|byte| **byte == b'\n').count());
        }
    }
}
