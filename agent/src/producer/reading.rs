//! How a producer's file is read, and what of it is shipped: by its format and
//! its table. The pipeline and `check` read in this one way.

use std::path::Path;

use protocol::event::MAX_DOCUMENT_BYTES;
use protocol::json::JsonError;
use protocol::{ContentHash, Document};

use super::{Format, Source};
use crate::beneath::{Beneath, ReadError, Reading};
use crate::{phase_log, tail};

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
            Format::Json | Format::Stream => beneath.read(relative, MAX_DOCUMENT_BYTES).map(Some),
            Format::Text => {
                let meta = beneath.look(relative)?;
                let bytes = format!("{{\"bytes\":{}}}", meta.size).into_bytes();
                Ok(Some(Reading { bytes, meta }))
            }
            Format::Lines => tail::last_line(beneath, relative),
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
        matches!(self.format, Format::Lines | Format::PhaseLog)
    }
}
