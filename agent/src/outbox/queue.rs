//! What the watching thread has found and the disk does not have yet. A disk
//! that is slow for a moment (half a second is usual where others sync) would
//! else keep that thread from reading files, and contents come and go meanwhile.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::Event;

use super::inner::{Inner, Work};
use super::refusals;
use super::store::Refused;
use super::{Outbox, OutboxError};
use crate::change::Known;

/// Some ten seconds of a busy host; then the watching thread waits for the disk.
const MAX_ITEMS: usize = 4_096;
/// The same in bytes of contents: reached by a handful of the largest files.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// One thing to be written, in its order.
#[derive(Debug)]
pub(super) enum Item {
    /// An event of a file, with what is known of the file after it and, of a
    /// growing one, how far it was read.
    Event {
        event: Box<Event>,
        path: PathBuf,
        known: Known,
        grown: Option<String>,
    },
    /// What is known of a file that was rewritten without a change.
    Known { path: PathBuf, known: Known },
    /// How far a growing file was read.
    Grown { path: PathBuf, saved: String },
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Event { event, grown, .. } => {
                let document = event.document.as_ref().map_or(0, |text| text.get().len());
                document + grown.as_ref().map_or(0, String::len)
            }
            Self::Known { .. } => 0,
            Self::Grown { saved, .. } => saved.len(),
        }
    }
}

impl Item {
    /// The state that it tells of its file; none of a file that grows, whose next event tells it again.
    pub(super) fn state(&self) -> Option<(PathBuf, Refused)> {
        match self {
            Self::Event {
                event,
                path,
                grown: None,
                ..
            } => Some((path.clone(), refusals::of(event))),
            _ => None,
        }
    }
}

/// Things to be written, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    items: Vec<Item>,
    bytes: usize,
}

impl Queue {
    /// Adds one at the end. Who adds looks first whether there is room.
    pub(super) fn push(&self, item: Item) {
        let mut waiting = self.lock();
        waiting.bytes += item.bytes();
        waiting.items.push(item);
    }

    /// No more should be added before it was written.
    pub(super) fn is_full(&self) -> bool {
        let waiting = self.lock();
        waiting.items.len() >= MAX_ITEMS || waiting.bytes >= MAX_BYTES
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// Takes all. Whoever does holds the database, so that nobody writes later ones before these.
    pub(super) fn take(&self) -> Vec<Item> {
        std::mem::take(&mut *self.lock()).items
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// Takes an event, which gets its identity when it is written, with what is
    /// now known of its file and, of a growing one, how far it was read.
    ///
    /// # Errors
    /// See [`OutboxError`]; then it is not taken.
    pub(crate) fn record(
        &self,
        event: Event,
        path: &Path,
        known: &Known,
        grown: Option<String>,
    ) -> Result<(), OutboxError> {
        self.take(Item::Event {
            event: Box::new(event),
            path: path.to_owned(),
            known: known.clone(),
            grown,
        })
    }

    /// Remembers a file that was rewritten without a change.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn remember(&self, path: &Path, known: &Known) -> Result<(), OutboxError> {
        self.take(Item::Known {
            path: path.to_owned(),
            known: known.clone(),
        })
    }

    /// Keeps how far a growing file was read without an event.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn save_grown(&self, path: &Path, saved: String) -> Result<(), OutboxError> {
        self.take(Item::Grown {
            path: path.to_owned(),
            saved,
        })
    }

    fn take(&self, item: Item) -> Result<(), OutboxError> {
        let careful = self.careful.load(Ordering::SeqCst);
        if !careful && !self.queue.is_full() {
            self.queue.push(item);
            self.added.notify_one();
            return Ok(());
        }
        let state = item.state();
        let taken = self.write().and_then(|()| {
            let write = |inner: &mut Inner| inner.write(item, self.agent, false);
            self.with(Work::Record, write)
        });
        match (&taken, state) {
            (Ok(()), _) => {
                self.syncer.written();
                self.added.notify_one();
            }
            // Noted already where it was tried; not where the outbox cannot even be opened.
            (Err(_), Some((path, state))) => self.lock().refuse(&path, state),
            (Err(_), None) => {}
        }
        taken
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// See [`OutboxError`]; then the watching thread is told to read everything again.
    pub(crate) fn write(&self) -> Result<(), OutboxError> {
        if self.queue.is_empty() {
            return Ok(());
        }
        self.with(Work::Record, |inner| {
            let written = inner.write_all(self.queue.take(), self.agent);
            // Before the watching thread is told, so that it writes for itself what it then reads.
            if written.is_err() {
                self.careful.store(true, Ordering::SeqCst);
            }
            written
        })?;
        self.syncer.written();
        Ok(())
    }

    /// Nothing is refused: what is found next is queued again.
    pub(crate) fn may_queue(&self) {
        self.careful.store(false, Ordering::SeqCst);
    }

    /// Every file that was refused has been read again.
    pub(crate) fn nothing_is_refused(&self) {
        self.works(&mut self.lock(), Work::Record);
    }
}
