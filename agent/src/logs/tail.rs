//! Reading one log on from a position, in bounded pieces. A file that was cut
//! off, replaced or begun anew is another generation; one that was moved aside
//! (rotated) is read to its end first, where it is found beside its old name.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirEntryExt as _, FileExt as _};

use memchr::memchr;
use protocol::ContentHash;
use protocol::log::{MAX_BATCH_LINES, ShippedLine, clean};
use protocol::mask::Masker;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::beneath::{Beneath, Meta, ReadError};

/// Bytes that are read at once, and so the most that one batch covers; a line without an end in them is cut.
pub(super) const PIECE: usize = 64 * 1024;
/// How far the reading may be behind the end: as much as is kept of one build by default. What is further
/// back would be dropped there as soon as it is stored.
pub(super) const MAX_BEHIND: u64 = 4 * 1024 * 1024;
/// The same for what stood there before the agent first looked: enough to see what it was about.
const MAX_FOUND: u64 = 256 * 1024;
/// Bytes at the beginning that say whether it still is the same file.
const HEAD: usize = 1024;
/// Entries of a directory among which a rotated file is looked for; logs are kept by the ten.
const MAX_BESIDE: usize = 4_096;

/// Where the reading of a file stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) inode: u64,
    /// Random; 0 before the file was first seen.
    pub(super) generation: u64,
    /// Offset of the first byte that was not shipped.
    pub(super) position: u64,
    head: Head,
    /// Bytes directly before the position that were passed over.
    skipped: u64,
    /// What follows belongs to a line whose beginning was shipped or passed over.
    inside_line: Inside,
    /// As [`Masker::key_lines`].
    key_lines: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Inside {
    #[default]
    No,
    /// Its beginning was shipped, and it was said that it is cut.
    Cut,
    /// All of it is passed over.
    Skipped,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    length: usize,
    hash: Option<ContentHash>,
}

/// What one reading gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) generation: u64,
    pub(super) skipped: u64,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) lines: Vec<ShippedLine>,
    /// There is more to be read at once.
    pub(super) more: bool,
}

impl State {
    /// Reads on, at most [`PIECE`] bytes. `new_generation`: a random number, used where a file begins.
    /// None: nothing whole was found.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(super) fn read(
        &mut self,
        place: &Place,
        new_generation: u64,
    ) -> Result<Option<Piece>, ReadError> {
        let beneath = Beneath::open(&place.root).map_err(ReadError::Refused)?;
        let exists = |name: &str| beneath.meta(&place.relative.with_file_name(name)).is_some();
        if !place.beside.as_deref().is_none_or(exists) {
            return Ok(None);
        }
        let opened = match beneath.open_file(&place.relative) {
            Ok(opened) => Some(opened),
            Err(ReadError::Missing) => None,
            Err(error) => return Err(error),
        };
        if let Some((file, meta)) = &opened
            && self.recognise(file, *meta).map_err(ReadError::Refused)?
        {
            return self.read_on(file, meta.size, false);
        }
        let inode = opened.as_ref().map(|(_, meta)| meta.inode);
        if let Some((file, size)) = self.moved_aside(&beneath, place, inode) {
            // Until its writer has written elsewhere, it may go on in the file that was moved: the end of a line.
            let is_ended = opened.as_ref().is_some_and(|(_, meta)| meta.size > 0);
            if let Some(mut piece) = self.read_on(&file, size, is_ended)? {
                piece.more = true;
                return Ok(Some(piece));
            }
            if !is_ended {
                return Ok(None);
            }
        }
        let (file, meta) = opened.ok_or(ReadError::Missing)?;
        self.begin(&file, meta, place.found, new_generation)
            .map_err(ReadError::Refused)?;
        self.read_on(&file, meta.size, false)
    }

    /// Where the reading stood before the first piece of a file.
    pub(super) fn at_the_begin_of(&self, piece: &Piece) -> Self {
        Self {
            position: piece.from,
            skipped: piece.skipped,
            inside_line: Inside::No,
            key_lines: 0,
            ..self.clone()
        }
    }

    /// Whether it still is the file that was read.
    fn recognise(&mut self, file: &File, meta: Meta) -> io::Result<bool> {
        let same = self.generation != 0 && self.inode == meta.inode && meta.size >= self.position;
        if !same {
            return Ok(false);
        }
        let bytes = beginning(file)?;
        let hash = |length: usize| Some(ContentHash::of(&bytes[..length]));
        if bytes.len() < self.head.length
            || (self.head.length > 0 && hash(self.head.length) != self.head.hash)
        {
            return Ok(false);
        }
        self.head = Head {
            length: bytes.len(),
            hash: hash(bytes.len()),
        };
        Ok(true)
    }

    fn begin(&mut self, file: &File, meta: Meta, found: bool, generation: u64) -> io::Result<()> {
        let bytes = beginning(file)?;
        let first_ever = self.generation == 0;
        *self = Self {
            inode: meta.inode,
            generation: generation.max(1),
            head: Head {
                length: bytes.len(),
                hash: Some(ContentHash::of(&bytes)),
            },
            ..Self::default()
        };
        if found && first_ever {
            self.keep_within(meta.size, MAX_FOUND);
        }
        Ok(())
    }

    /// The file that was read, under another name in the same directory. `inode`: of what has its name now.
    fn moved_aside(
        &self,
        beneath: &Beneath,
        place: &Place,
        inode: Option<u64>,
    ) -> Option<(File, u64)> {
        if self.generation == 0 || inode == Some(self.inode) {
            return None;
        }
        let relative = &place.relative;
        let dir = place.root.join(relative.parent()?);
        let entries = std::fs::read_dir(dir).ok()?.take(MAX_BESIDE);
        let found = entries
            .filter_map(Result::ok)
            .find(|entry| entry.ino() == self.inode)?;
        let (file, meta) = beneath
            .open_file(&relative.with_file_name(found.file_name()))
            .ok()?;
        let mut same = self.clone();
        let is_same = same.recognise(&file, meta).ok()?;
        is_same.then_some((file, meta.size))
    }

    /// Passes over what is too far behind the end.
    fn keep_within(&mut self, size: u64, most: u64) {
        let behind = size.saturating_sub(self.position);
        if behind > most {
            let jump = behind - most;
            self.position += jump;
            self.skipped += jump;
            self.inside_line = Inside::Skipped;
        }
    }

    fn read_on(
        &mut self,
        file: &File,
        size: u64,
        is_ended: bool,
    ) -> Result<Option<Piece>, ReadError> {
        self.keep_within(size, MAX_BEHIND);
        let bytes = read_at(file, self.position, PIECE).map_err(ReadError::Refused)?;
        let from = self.position;
        let mut lines = Vec::new();
        let mut masker = Masker {
            key_lines: self.key_lines,
        };
        let mut at = 0;
        while lines.len() < MAX_BATCH_LINES {
            let rest = &bytes[at..];
            let (line, next) = match memchr(b'\n', rest) {
                Some(end) => (&rest[..end], at + end + 1),
                // Half a line waits for its end, unless none will come or it is too long.
                None if rest.is_empty() => break,
                None if rest.len() == PIECE => (rest, bytes.len()),
                None if is_ended && bytes.len() < PIECE => (rest, bytes.len()),
                None => break,
            };
            let is_whole = next > at + line.len();
            match self.inside_line {
                Inside::No => {
                    let (text, cut) = clean::line(line, &mut masker);
                    let cut = cut || (!is_whole && !is_ended);
                    let offset = from + at as u64;
                    lines.push(ShippedLine { offset, text, cut });
                }
                Inside::Cut => {}
                Inside::Skipped => self.skipped += (next - at) as u64,
            }
            self.inside_line = match self.inside_line {
                _ if is_whole => Inside::No,
                Inside::No => Inside::Cut,
                inside => inside,
            };
            at = next;
        }
        if at == 0 {
            return Ok(None);
        }
        self.key_lines = masker.key_lines;
        self.position = from + at as u64;
        let piece = Piece {
            generation: self.generation,
            skipped: 0,
            from,
            to: self.position,
            more: self.position < size,
            lines,
        };
        Ok(Some(self.with_skipped(piece)))
    }

    /// What was passed over is told with the lines behind it.
    fn with_skipped(&mut self, mut piece: Piece) -> Piece {
        match piece.lines.first() {
            Some(first) if self.skipped > 0 => {
                piece.from = first.offset;
                piece.skipped = std::mem::take(&mut self.skipped);
            }
            // Nothing but the middle of a line: no batch yet.
            None if self.skipped > 0 => piece.from = piece.to,
            _ => {}
        }
        piece
    }
}

fn beginning(file: &File) -> io::Result<Vec<u8>> {
    read_at(file, 0, HEAD)
}

fn read_at(file: &File, from: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut length = 0;
    while length < most {
        match file.read_at(&mut bytes[length..], from + length as u64) {
            Ok(0) => break,
            Ok(got) => length += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
