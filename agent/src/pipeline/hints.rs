//! What hints lead to: files that are read, directories that are walked,
//! and what is forgotten with a directory that went away.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::{Job, Pipeline, now_utc};
use crate::hint::Hint;
use crate::schedule::Cause;

impl Pipeline {
    pub(super) fn take_hints(&mut self, hints: &mut Vec<Hint>) {
        if hints.is_empty() {
            return;
        }
        // First, so that a read for an earlier hint of this batch knows of it.
        self.mark_deleted(hints);
        let mut walks = BTreeSet::new();
        for hint in hints.drain(..) {
            match hint {
                Hint::File(path, cause) => self.file_hint(&path, cause),
                Hint::Appeared(path) => self.appeared(&path, &mut walks),
                Hint::Vanished(path, cause) => self.vanished(&path, cause, &mut walks),
                Hint::Attributes(path) => self.rights_changed(&path, &mut walks),
            }
        }
        self.walk_all(&walks);
    }

    pub(super) fn mark_deleted(&mut self, hints: &[Hint]) {
        for hint in hints {
            if let Hint::File(path, Cause::Deleted) | Hint::Vanished(path, Cause::Deleted) = hint {
                for tracked in self.files_within(path) {
                    tracked.1.deleted = true;
                }
            }
        }
    }

    pub(super) fn file_hint(&mut self, path: &Path, cause: Cause) {
        if !self.is_more_than_a_log(path, false) {
            return;
        }
        let away = matches!(cause, Cause::Deleted | Cause::MovedAway);
        let key: Arc<Path> = match self.files.get_key_value(path) {
            Some((key, _)) => Arc::clone(key),
            None if away || self.setup.roots.owner(path).is_none() => return,
            None => path.into(),
        };
        let tracked = self.files.entry(Arc::clone(&key)).or_default();
        if away {
            tracked.vanished_at.get_or_insert_with(now_utc);
        }
        let now = Instant::now();
        tracked.writer.on(cause, now);
        let read_now = match cause {
            Cause::Touched if tracked.grows => tracked.schedule.grew(now),
            Cause::Touched if tracked.appended => tracked.schedule.on(Cause::Settled, now),
            _ => tracked.schedule.on(cause, now),
        };
        if read_now {
            self.read(&key);
        } else {
            let due = tracked.schedule.due();
            self.agenda.set(&Job::Read(key), due);
        }
    }

    fn appeared(&mut self, path: &Path, walks: &mut BTreeSet<PathBuf>) {
        if self.setup.roots.concerns(path) {
            self.check_roots_within(path);
        }
        if let Some(walk) = self.walk_for(path) {
            walks.insert(walk.to_owned());
        }
    }

    fn vanished(&mut self, path: &Path, cause: Cause, walks: &mut BTreeSet<PathBuf>) {
        walks.retain(|walk| !walk.starts_with(path));
        if self.setup.roots.concerns(path) {
            self.watches.remove_all(path);
        } else {
            self.watches.forget(path);
        }
        self.denied.retain(|dir| !dir.starts_with(path));
        self.forget_left_out(path, walks);
        let keys: Vec<_> = self
            .files_within(path)
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for key in keys {
            self.file_hint(&key, cause);
        }
        if self.setup.roots.concerns(path) {
            self.check_roots_within(path);
        }
        // It may be there again already, and the hint of that may have come before this one was read.
        if let Some(walk) = self.walk_for(path) {
            walks.insert(walk.to_owned());
        }
    }

    /// What was left out went with this path; what is another name of a directory in it is to be watched now.
    fn forget_left_out(&mut self, path: &Path, walks: &mut BTreeSet<PathBuf>) {
        let mut news = false;
        for root in 0..self.roots.len() {
            let left_out = &mut self.roots[root].left_out;
            let doubles = left_out.doubles();
            let freed = doubles.filter(|(_, other)| other.starts_with(path));
            walks.extend(freed.map(|(place, _)| place.to_owned()));
            if !left_out.cut(path).is_empty() {
                self.tell(root);
                news = true;
            }
        }
        if news {
            self.report();
        }
    }

    fn rights_changed(&mut self, path: &Path, walks: &mut BTreeSet<PathBuf>) {
        let from = (Bound::Included(path), Bound::Unbounded);
        let freed: Vec<PathBuf> = self
            .denied
            .range::<Path, _>(from)
            .take_while(|dir| dir.starts_with(path))
            // A directory that may be listed and not passed refuses each one in it.
            .filter(|dir| dir.as_path() == path || dir.parent() == Some(path))
            .cloned()
            .collect();
        for dir in freed {
            self.denied.remove(&dir);
            if self.setup.roots.is_root(&dir) {
                self.check_roots_within(&dir);
            } else {
                walks.insert(dir);
            }
        }
    }
}
