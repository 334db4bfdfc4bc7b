//! Reading a file that grows, from where the last reading ended, in bounded
//! pieces. A file that became shorter, begins otherwise or is another one is
//! read from its beginning, and what the old one added up to is kept.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use protocol::{ContentHash, Document, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Accumulator, Kind, Options, Sums, VOLATILE};
use crate::beneath::{Beneath, Meta, ReadError};

/// Bytes that are read at once: large enough that the calls cost nothing, small beside the agent's memory.
const PIECE: usize = 256 * 1024;
/// Bytes that are read in one turn, so that other files are not kept waiting:
/// some 20 milliseconds of work.
const TURN: u64 = 8 * 1024 * 1024;
/// Bytes at the beginning that say whether it still is the same file: the first
/// line with its session and identity, behind the longest path.
const HEAD: usize = 8 * 1024;

/// Where the reading of a file stands and what it added up to.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    inode: u64,
    /// Bytes that were read, half a line at the end included.
    read: u64,
    head: Head,
    sums: Accumulator,
    dirty: bool,
    /// Its end was seen since the agent began: what is read from there on was written just now.
    was_at_end: bool,
}

/// The beginning of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Head {
    length: usize,
    hash: Option<ContentHash>,
}

/// What is kept of it over restarts of the agent.
#[derive(Deserialize)]
struct Saved<'a> {
    inode: u64,
    offset: u64,
    head: Head,
    #[serde(borrow)]
    figures: &'a RawValue,
}

/// The same, borrowed: it is written often.
#[derive(Serialize)]
struct Saving<'a> {
    inode: u64,
    offset: u64,
    head: Head,
    figures: &'a Sums,
}

/// What one turn of reading found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// What the system says of the file.
    pub(crate) meta: Meta,
    /// There is more to be read at once.
    pub(crate) more: bool,
}

impl Stream {
    /// A file of this kind, of which nothing was read.
    pub(crate) fn new(kind: Kind) -> Self {
        let mut stream = Self::default();
        stream.sums.sums = Sums::new(kind);
        stream
    }

    /// Goes on where it was saved; none when the text was not written by [`Stream::saved`] of this kind.
    pub(crate) fn restore(kind: Kind, saved: &str) -> Option<Self> {
        let saved: Saved<'_> = serde_json::from_str(saved).ok()?;
        Some(Self {
            inode: saved.inode,
            read: saved.offset,
            head: saved.head,
            sums: Accumulator {
                sums: Sums::restore(kind, saved.figures.get())?,
                ..Accumulator::default()
            },
            dirty: false,
            was_at_end: false,
        })
    }

    /// The same, as what this kind of file is read and told.
    pub(crate) fn with(mut self, options: Options) -> Self {
        self.sums.sums.allow(options);
        self
    }

    /// The directory that the session works in, if its lines say so.
    pub(crate) fn cwd(&self) -> Option<&Path> {
        let cwd = self.sums.sums.cwd().map(Path::new);
        cwd.filter(|cwd| cwd.is_absolute())
    }

    /// The workflow that is told now, where the path does not say it.
    pub(crate) fn workflow(&self) -> Option<&str> {
        self.sums.sums.workflow()
    }

    /// What is told was told. True: there is more, of another workflow.
    pub(crate) fn was_told(&mut self) -> bool {
        let is_kept = self.sums.sums.is_due();
        self.dirty |= is_kept;
        self.sums.sums.was_told()
    }

    /// It was not: it is to be told again.
    pub(crate) fn was_not_told(&mut self) {
        self.sums.sums.was_not_told();
    }

    /// What is to be saved, as JSON. Half a line at the end is read again.
    pub(crate) fn saved(&self) -> String {
        let saved = Saving {
            inode: self.inode,
            offset: self.offset(),
            head: self.head,
            figures: &self.sums.sums,
        };
        serde_json::to_string(&saved).unwrap_or_default()
    }

    /// Where the first line begins that was not added up.
    pub(super) fn offset(&self) -> u64 {
        self.read - self.sums.lines.spans
    }

    /// Whether something was read that is not saved.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// It is saved as it is now.
    pub(crate) fn was_saved(&mut self) {
        self.dirty = false;
    }

    /// Whether any line was found yet; an empty file says nothing.
    pub(crate) fn has_lines(&self) -> bool {
        self.sums.sums.lines() > 0
    }

    /// Whether its last attempt has not told its result.
    pub(crate) fn is_running(&self) -> bool {
        self.sums.sums.is_running()
    }

    /// What of it is told at once when it changes; see [`Sums::headline`].
    pub(crate) fn headline(&self) -> ContentHash {
        self.sums.sums.headline()
    }

    /// What is told of it.
    pub(crate) fn document(&self) -> Document {
        Document::of(self.sums.sums.digest(), VOLATILE)
    }

    /// Reads on, at most [`TURN`] bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn follow(&mut self, beneath: &Beneath, file: &Path) -> Result<Turn, ReadError> {
        let (file, meta) = beneath.open_file(file)?;
        self.recognise(&file, meta).map_err(ReadError::Refused)?;
        // Of lines that lay there before it is not known when they were written.
        let at = Timestamp::from_millis(meta.mtime_ns / 1_000_000);
        self.sums.sums.at(self.was_at_end.then_some(at));
        let end = self.read.saturating_add(TURN);
        let mut piece = vec![0; PIECE];
        loop {
            let got = match file.read_at(&mut piece, self.read) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                got => got.map_err(ReadError::Refused)?,
            };
            if got == 0 {
                self.sums.at_end();
                self.was_at_end = true;
                return Ok(Turn { meta, more: false });
            }
            self.sums.feed(&piece[..got]);
            self.read += got as u64;
            self.dirty = true;
            if self.read >= end {
                return Ok(Turn { meta, more: true });
            }
        }
    }

    /// Whether it still is the file that was read; else it is begun anew.
    fn recognise(&mut self, file: &File, meta: Meta) -> io::Result<()> {
        let mut bytes = vec![0; HEAD];
        let mut length = 0;
        while length < HEAD {
            match file.read_at(&mut bytes[length..], length as u64) {
                Ok(0) => break,
                Ok(got) => length += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let hash = |length: usize| Some(ContentHash::of(&bytes[..length]));
        let same = (self.inode == meta.inode || self.read == 0)
            && meta.size >= self.read
            && length >= self.head.length
            && (self.head.length == 0 || hash(self.head.length) == self.head.hash);
        if !same {
            self.read = 0;
            self.sums.restart();
            self.dirty = true;
        }
        if !same || length > self.head.length {
            self.head = Head {
                length,
                hash: hash(length),
            };
        }
        self.inode = meta.inode;
        Ok(())
    }
}
