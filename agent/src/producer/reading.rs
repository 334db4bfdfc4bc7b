//! How a producer's file is read, and what of it is shipped: by its format and
//! its table. The pipeline and `check` read in this one way.

use std::path::Path;

use protocol::event::MAX_DOCUMENT_BYTES;
use protocol::json::JsonError;
use protocol::{ContentHash, Document};

use serde_json::json;

use super::{Format, Source};
use crate::beneath::{Beneath, Meta, ReadError, Reading};
use crate::{phase_log, tail, test_report};

/// Bytes of a file that holds a number; real ones have two.
const MAX_COUNT_BYTES: u64 = 4096;

impl Source {
    /// Reads the file; none while it says nothing yet. One that grows as a
    /// stream is followed instead, by `stream_json`.
    ///
    /// # Errors
    /// See [`ReadError`]. Somebody else's file of that name is missing.
    pub(crate) fn read(
        &self,
        beneath: &Beneath,
        relative: &Path,
    ) -> Result<Option<Reading>, ReadError> {
        if !self.is_accompanied(|path| beneath.meta(path).is_some(), relative) {
            return Err(ReadError::Missing);
        }
        match self.format {
            Format::Json | Format::Lines(_) => beneath.read(relative, MAX_DOCUMENT_BYTES).map(Some),
            Format::Text | Format::Held => {
                let meta = beneath.look(relative)?;
                Ok(Some(figures(&json!({"bytes": meta.size}), meta)))
            }
            Format::Count => {
                let (text, meta) = text(beneath, relative, MAX_COUNT_BYTES)?;
                let count = text.as_deref().and_then(first_number);
                let told = json!({"bytes": meta.size, "count": count});
                Ok(Some(figures(&told, meta)))
            }
            Format::Report => {
                let (text, meta) = text(beneath, relative, MAX_DOCUMENT_BYTES)?;
                let told = test_report::digest(text.as_deref(), meta.size);
                Ok(Some(figures(&told, meta)))
            }
            Format::LastLine => tail::last_line(beneath, relative),
            Format::PhaseLog => phase_log::digest(beneath, relative),
        }
    }

    /// Whether what must be beside the file at this path is there.
    pub(crate) fn is_accompanied(&self, exists: impl FnOnce(&Path) -> bool, file: &Path) -> bool {
        let Some(name) = self.beside.as_deref() else {
            return true;
        };
        let dir = file.parent().unwrap_or(Path::new(""));
        match name.strip_prefix("../") {
            Some(name) => dir.parent().is_some_and(|dir| exists(&dir.join(name))),
            None => exists(&dir.join(name)),
        }
    }

    /// What tells one reading of it from another: the bytes, and what is made of them.
    pub(crate) fn raw(&self, bytes: &[u8]) -> ContentHash {
        match &self.mapping {
            None => ContentHash::of(bytes),
            Some(mapping) => {
                let print = mapping.print.to_string();
                ContentHash::of(&[print.as_bytes(), bytes].concat())
            }
        }
    }

    /// What of these bytes is shipped.
    ///
    /// # Errors
    /// When they are no JSON within the limits.
    pub(crate) fn document(&self, bytes: &[u8]) -> Result<Document, JsonError> {
        match &self.mapping {
            Some(mapping) => mapping.document(bytes),
            None => Document::parse(bytes, &self.volatile),
        }
    }

    /// Whether each of its lines counts when it is whole, also before its writer closes it.
    pub(crate) fn is_appended(&self) -> bool {
        matches!(self.format, Format::LastLine | Format::PhaseLog)
    }
}

/// What is told of a log of which is known whether its writer holds it open.
pub(crate) fn held(meta: Meta, held: bool) -> Reading {
    figures(&json!({"bytes": meta.size, "held": held}), meta)
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

/// Of texts nothing but sizes and figures goes further.
fn figures(told: &serde_json::Value, meta: Meta) -> Reading {
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
