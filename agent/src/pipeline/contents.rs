//! A file's content in the format of its kind. Of texts only sizes and figures
//! are read out here, so that nothing else of them goes further.

use std::ffi::OsStr;
use std::path::Path;

use protocol::event::MAX_DOCUMENT_BYTES;
use serde_json::json;

use crate::beneath::{Beneath, Meta, ReadError, Reading};
use crate::producer::{Format, Source};
use crate::test_report;

/// Bytes of a file that holds a number; real ones have two.
const MAX_COUNT_BYTES: u64 = 4096;

/// Reads a producer's file in its format.
pub(super) fn read(
    beneath: &Beneath,
    relative: &Path,
    source: &Source,
) -> Result<Reading, ReadError> {
    let exists = |name: &OsStr| beneath.meta(&relative.with_file_name(name)).is_some();
    if !source.is_accompanied(exists) {
        // Somebody else's file of that name.
        return Err(ReadError::Missing);
    }
    match source.format {
        Format::Json | Format::Lines(_) => beneath.read(relative, MAX_DOCUMENT_BYTES),
        Format::Text => {
            let meta = beneath.look(relative)?;
            Ok(reading(&json!({"bytes": meta.size}), meta))
        }
        Format::Count => {
            let (text, meta) = text(beneath, relative, MAX_COUNT_BYTES)?;
            let count = text.as_deref().and_then(first_number);
            Ok(reading(&json!({"bytes": meta.size, "count": count}), meta))
        }
        Format::Report => {
            let (text, meta) = text(beneath, relative, MAX_DOCUMENT_BYTES)?;
            let told = test_report::digest(text.as_deref(), meta.size);
            Ok(reading(&told, meta))
        }
    }
}

/// The text of a file; none of one that is too long to be looked through.
fn text(beneath: &Beneath, relative: &Path, max: u64) -> Result<(Option<String>, Meta), ReadError> {
    match beneath.read(relative, max) {
        Ok(Reading { bytes, meta }) => {
            Ok((Some(String::from_utf8_lossy(&bytes).into_owned()), meta))
        }
        Err(ReadError::TooLarge(meta)) => Ok((None, meta)),
        Err(error) => Err(error),
    }
}

fn reading(told: &serde_json::Value, meta: Meta) -> Reading {
    Reading {
        bytes: told.to_string().into_bytes(),
        meta,
    }
}

/// The first whole number in a text, as `2`, or `Iteration: 2`.
fn first_number(text: &str) -> Option<u64> {
    let digits = text.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|digits| digits.parse().ok()).next()
}
