//! States that the outbox did not take, e.g. because its disk was full. Each
//! file is read again, and its next event says whether states of it were lost
//! meanwhile: not when the file still stands as it did when it was refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use protocol::{ContentHash, Event};

use super::store::Refused;

/// Files that are remembered, each some 200 bytes: more than one agent was ever seen to watch.
const MAX_FILES: usize = 65_536;

/// By file what was refused of it.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    files: HashMap<PathBuf, Refused>,
}

/// What is noted of an event that was refused: its state, unless it told of others before it.
pub(super) fn of(event: &Event) -> Refused {
    (!event.gap).then(|| state_of(event))
}

/// What tells a state of a file from its others.
fn state_of(event: &Event) -> ContentHash {
    event.hash.unwrap_or_else(|| {
        let why = event.unreadable.as_ref().map(|why| why.message.as_str());
        ContentHash::of(format!("{:?} {why:?}", event.kind).as_bytes())
    })
}

impl Refusals {
    /// Takes what the last process left.
    pub(super) fn recall(&mut self, left: Vec<(PathBuf, Refused)>) {
        for (file, refused) in left.into_iter().take(MAX_FILES) {
            self.files.entry(file).or_insert(refused);
        }
    }

    /// A state was refused, or (none) one that told of others before it.
    /// Answers with what is now to be kept of the file, when that is news.
    pub(super) fn note(&mut self, file: &Path, state: Refused) -> Option<Refused> {
        let now = match self.files.get(file) {
            Some(before) if *before == state => return None,
            Some(None) => return None,
            Some(Some(_)) => None,
            None if self.files.len() >= MAX_FILES => return None,
            None => state,
        };
        self.files.insert(file.to_owned(), now);
        Some(now)
    }

    /// Whether one is noted of this file, and if so whether it was another than this.
    pub(super) fn before(&self, file: &Path, event: &Event) -> Option<bool> {
        if self.files.is_empty() {
            return None;
        }
        let refused = self.files.get(file)?;
        Some(*refused != Some(state_of(event)))
    }

    /// An event of the file was written.
    pub(super) fn told(&mut self, file: &Path) {
        self.files.remove(file);
    }
}
