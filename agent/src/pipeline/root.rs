//! A root's life: it may not exist yet, vanish, come back, or be on a file
//! system that gives no events. Nothing is polled for a missing root: the
//! nearest directory above it that exists is watched, one step down at a time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::{RootState, RootStatus};

use super::left_out::LeftOut;
use super::{Job, Pipeline, SECOND_LOOK};
use crate::listing::{Identity, OpenDir};
use crate::watches::{Limit, Rank, WatchError};

/// How often a root without (all its) events is looked through.
const SCAN_EVERY: Duration = Duration::from_secs(10);
/// Looking through takes at most a fiftieth of the time, however large the root is.
const SCAN_SHARE: u32 = 50;
/// A root that comes and goes under the walk is looked at this often before a pause.
const ATTEMPTS: usize = 8;

/// How one root is doing.
#[derive(Debug)]
pub(super) struct RootWatch {
    /// The directory that is being watched; none while it is missing.
    pub(super) present: Option<Identity>,
    /// It was walked once: what appears from now on is new.
    pub(super) looked: bool,
    /// While it is missing: the directory above it that is watched.
    pub(super) ancestor: Option<PathBuf>,
    /// The kernel's limit that keeps some of it unwatched.
    pub(super) limit: Option<Limit>,
    /// The system refused: why.
    pub(super) refused: Option<String>,
    /// File systems beneath it that give no events for changes made elsewhere.
    pub(super) remote: BTreeMap<PathBuf, &'static str>,
    /// What is not watched on purpose.
    pub(super) left_out: LeftOut,
    scan_every: Duration,
    /// What was logged of it last.
    told: Option<String>,
}

impl RootWatch {
    /// Not looked at yet.
    pub(super) fn new() -> Self {
        Self {
            present: None,
            looked: false,
            ancestor: None,
            limit: None,
            refused: None,
            remote: BTreeMap::new(),
            left_out: LeftOut::default(),
            scan_every: SCAN_EVERY,
            told: None,
        }
    }

    /// A file system that gives no events; those mounted in it go without saying.
    pub(super) fn note_remote(&mut self, path: &Path, kind: &'static str) {
        if !self.remote.keys().any(|mount| path.starts_with(mount)) {
            self.remote.insert(path.to_owned(), kind);
        }
    }

    /// What is not fully watched, to see whether that changed.
    pub(super) fn gaps(&self) -> (Option<Limit>, usize) {
        (self.limit, self.remote.len())
    }

    /// Events do not tell of every change, so that it is looked through now and then.
    fn needs_scans(&self) -> bool {
        self.limit.is_some() || self.refused.is_some() || !self.remote.is_empty()
    }

    /// No watch of its own is to be expected: it is scanned, or watched under another name.
    fn is_done_without(&self, path: &Path) -> bool {
        self.needs_scans() || self.left_out.has(path)
    }

    /// State, reason and remedy, for people.
    fn status(&self, path: &Path, max_depth: usize) -> (RootState, Option<String>, Option<String>) {
        let every = self.scan_every.as_secs();
        if let Some(limit) = self.limit {
            let reason = format!(
                "{}; the root is looked through every {every} s instead",
                limit.reason()
            );
            return (RootState::Degraded, Some(reason), Some(limit.remedy()));
        }
        if let Some(why) = &self.refused {
            let remedy = format!("run the agent as a user who may read {}", path.display());
            return (RootState::Degraded, Some(why.clone()), Some(remedy));
        }
        if let Some((mount, kind)) = self.remote.first_key_value() {
            let reason = format!(
                "{} is on {kind}, where changes made elsewhere give no events; it is looked through every {every} s",
                mount.display()
            );
            let remedy = "run an agent on the machine that writes there".to_owned();
            return (RootState::Degraded, Some(reason), Some(remedy));
        }
        match (self.present, &self.ancestor) {
            (Some(_), _) if let Some((reason, remedy)) = self.left_out.status(max_depth) => {
                (RootState::Degraded, Some(reason), Some(remedy))
            }
            (Some(_), _) => (RootState::Watching, None, None),
            (None, Some(above)) => {
                let what = match path.symlink_metadata() {
                    Ok(_) => "it is no directory",
                    Err(_) => "it does not exist",
                };
                let reason = format!("{what}; {} is watched for it", above.display());
                (RootState::Missing, Some(reason), None)
            }
            (None, None) => (RootState::Starting, None, None),
        }
    }
}

impl Pipeline {
    /// Walks all roots.
    pub(super) fn look_at_all(&mut self) {
        for root in 0..self.roots.len() {
            self.look_at(root);
        }
    }

    /// Walks a root, or watches for it to appear.
    pub(super) fn look_at(&mut self, root: usize) {
        let begun = Instant::now();
        let settled = (0..ATTEMPTS).any(|_| self.try_to_look_at(root));
        let now = Instant::now();
        let watch = &mut self.roots[root];
        watch.scan_every = SCAN_EVERY.max((now - begun) * SCAN_SHARE);
        let next = if settled {
            watch.needs_scans().then(|| now + watch.scan_every)
        } else {
            Some(now + SECOND_LOOK)
        };
        self.agenda.set(&Job::Scan(root), next);
        self.tell(root);
        self.report();
    }

    /// Logs what changed for a root, once.
    pub(super) fn tell(&mut self, root: usize) {
        let max_depth = self.setup.max_depth;
        let path = &self.setup.roots.get(root).path;
        let watch = &mut self.roots[root];
        let (state, reason, remedy) = watch.status(path, max_depth);
        if watch.told == reason {
            return;
        }
        match &reason {
            Some(reason) => {
                tracing::warn!(path = %path.display(), ?state, remedy, "root is not fully watched: {reason}");
            }
            None => tracing::info!(path = %path.display(), "root is watched"),
        }
        watch.told = reason;
    }

    /// False: it came or went meanwhile, so that nobody would notice what comes next.
    fn try_to_look_at(&mut self, root: usize) -> bool {
        let path = self.setup.roots.get(root).path.clone();
        let watch = &mut self.roots[root];
        watch.limit = None;
        watch.refused = None;
        watch.remote.clear();
        match OpenDir::open(&path, true) {
            Ok(dir) => {
                watch.present = Some(dir.identity);
                drop(dir);
                self.leave_ancestor(root, None);
                self.walk_root(root);
                self.watches.has(&path) || self.roots[root].is_done_without(&path)
            }
            Err(error) => {
                watch.present = None;
                watch.left_out.cut(&path);
                match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                        self.await_root(root, &path)
                    }
                    _ => {
                        watch.refused = Some(format!("{}: {error}", path.display()));
                        self.denied.insert(path);
                        true
                    }
                }
            }
        }
    }

    /// Watches the nearest directory above a missing root. False: it is not the nearest any more.
    fn await_root(&mut self, root: usize, path: &Path) -> bool {
        let Some(above) = nearest(path).map(Path::to_owned) else {
            return false;
        };
        let identity = Identity::of(&above).ok();
        if let Some(other) = identity.and_then(|it| self.watches.other_name(&above, it)) {
            // A second watch on one directory would take the first one's name.
            let why = format!(
                "it does not exist, and {} is watched as {}; it is looked for every {} s",
                above.display(),
                other.display(),
                SCAN_EVERY.as_secs()
            );
            self.roots[root].refused = Some(why);
            return true;
        }
        match self.watches.add(&above, Rank::Root, self.walk, None) {
            Ok(()) => self.leave_ancestor(root, Some(above)),
            Err(WatchError::Gone) => return false,
            Err(WatchError::Limit(limit)) => {
                self.roots[root].limit = Some(limit);
                return true;
            }
            Err(WatchError::Refused(error)) => {
                let why = format!(
                    "it does not exist, and {} cannot be watched for it: {error}",
                    above.display()
                );
                self.roots[root].refused = Some(why);
                return true;
            }
        }
        // The next step down may have appeared before the watch was there.
        nearest(path) == self.roots[root].ancestor.as_deref() && !path.is_dir()
    }

    /// Watches another directory for a root, or none any more.
    fn leave_ancestor(&mut self, root: usize, next: Option<PathBuf>) {
        let last = std::mem::replace(&mut self.roots[root].ancestor, next);
        let Some(last) = last else { return };
        let needed = self.setup.roots.owner(&last).is_some()
            || self
                .roots
                .iter()
                .any(|root| root.ancestor.as_ref() == Some(&last));
        if !needed {
            self.watches.remove(&last);
        }
    }

    /// Checks that what is watched is still what is at the roots' paths. The
    /// kernel tells of most changes; not of a directory far above that was
    /// moved, nor of a file system that was mounted.
    pub(super) fn check_roots(&mut self) {
        self.check_roots_within(Path::new("/"));
        self.check_doubles();
        self.report();
    }

    /// Looks at places that were watched under another name and are so no more.
    fn check_doubles(&mut self) {
        let mut stale = Vec::new();
        for watch in &self.roots {
            for (path, other) in watch.left_out.doubles() {
                let still = self.watches.has(other) && self.is_at(other, Identity::of(path).ok());
                if !still {
                    stale.push(path.to_owned());
                }
            }
        }
        for path in stale {
            self.look_beneath(&path);
        }
    }

    /// Whether this directory is at that path, as a walk would come to it: a symbolic link leads to a root only.
    pub(super) fn is_at(&self, path: &Path, identity: Option<Identity>) -> bool {
        let now = match self.setup.roots.is_root(path) {
            true => Identity::of(path),
            false => Identity::of_dir(path),
        };
        identity.is_some() && now.ok() == identity
    }

    /// Walks a root, or a directory beneath one.
    pub(super) fn look_beneath(&mut self, path: &Path) {
        match self.setup.roots.number(path) {
            Some(root) => self.look_at(root),
            None => self.walk_below(path),
        }
    }

    /// Checks the roots at or beneath this path.
    pub(super) fn check_roots_within(&mut self, top: &Path) {
        let within: Vec<(usize, PathBuf)> = (0..self.roots.len())
            .map(|root| (root, self.setup.roots.get(root).path.clone()))
            .filter(|(_, path)| path.starts_with(top))
            .collect();
        let mut stale = Vec::new();
        for (root, path) in &within {
            let now = Identity::of(path).ok().filter(|_| path.is_dir());
            match self.roots[*root].present {
                Some(was) if now != Some(was) => {
                    // An inner root loses its watches with it, and is looked at below.
                    self.watches.remove_all(path);
                    stale.push(*root);
                }
                None if now.is_some() || self.waits_elsewhere(*root, path) => stale.push(*root),
                _ => {}
            }
        }
        for (root, path) in &within {
            let watch = &self.roots[*root];
            let lost =
                watch.present.is_some() && !watch.is_done_without(path) && !self.watches.has(path);
            if lost || stale.contains(root) {
                self.look_at(*root);
            }
        }
    }

    /// The nearest directory above a missing root is not the one that is watched for it.
    fn waits_elsewhere(&self, root: usize, path: &Path) -> bool {
        let watched = self.roots[root].ancestor.as_deref();
        if self.roots[root].needs_scans() {
            // It is looked at again in a while anyway.
            return false;
        }
        nearest(path) != watched || watched.is_some_and(|dir| !self.watches.has(dir))
    }

    /// Tells the presence how the roots are doing.
    pub(super) fn report(&self) {
        let each = self.setup.roots.iter().zip(&self.roots);
        let statuses = each.map(|(root, watch)| {
            let (state, reason, remedy) = watch.status(&root.path, self.setup.max_depth);
            RootStatus {
                label: root.label.clone(),
                path: root.path.to_string_lossy().into_owned(),
                state,
                watches: self.watches.count(&root.path),
                reason,
                remedy,
            }
        });
        self.board.set_roots(statuses.collect());
    }
}

/// The nearest directory above this path that exists.
fn nearest(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|dir| dir.is_dir())
}
