//! The watched directories: one non-recursive watch each, and what happens at
//! the kernel's limit. Directories in which a producer keeps its state come
//! first, then projects; others give their watch up for them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use notify::{Config, ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::io::Errno;

use crate::hint::Filter;
use crate::listing::Identity;
use crate::mailbox::{Flag, Mailbox};

/// How much a directory's watch is worth, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Something new may appear in it.
    Plain,
    /// It has a producer's directory, which may be deleted and come back.
    Project,
    /// A producer keeps its state in it.
    State,
    /// A root, or a directory on the way to one that does not exist yet.
    Root,
}

/// The kernel's limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// `fs.inotify.max_user_watches`
    Watches,
    /// `fs.inotify.max_user_instances`
    Instances,
}

/// Why a directory is not watched.
#[derive(Debug)]
pub(crate) enum WatchError {
    /// A limit of the kernel.
    Limit(Limit),
    /// It is not there any more.
    Gone,
    /// The system refused.
    Refused(io::Error),
}

/// A watched directory.
#[derive(Debug, Clone, Copy)]
struct Watched {
    rank: Rank,
    /// The last walk that met it.
    walk: u64,
    /// Which directory it is; none for one that is watched only for what may appear in it.
    identity: Option<Identity>,
}

/// What is watched.
#[derive(Debug)]
pub(crate) struct Watches {
    watcher: Option<RecommendedWatcher>,
    dirs: BTreeMap<PathBuf, Watched>,
    /// The kernel has one watch for a directory, however many names it has: under which one it is watched.
    names: HashMap<Identity, PathBuf>,
    filter: Filter,
    mailbox: Mailbox,
    evicted: Vec<PathBuf>,
}

impl Watches {
    /// Nothing is watched yet.
    pub(crate) fn new(filter: Filter, mailbox: Mailbox) -> Self {
        Self {
            watcher: None,
            dirs: BTreeMap::new(),
            names: HashMap::new(),
            filter,
            mailbox,
            evicted: Vec::new(),
        }
    }

    /// Watches a directory that a walk met. It is asked of the kernel even if it is watched
    /// already: another directory may be at this path now.
    ///
    /// # Errors
    /// See [`WatchError`]. At the limit a directory of lower rank gives way first.
    pub(crate) fn add(
        &mut self,
        dir: &Path,
        rank: Rank,
        walk: u64,
        identity: Option<Identity>,
    ) -> Result<(), WatchError> {
        loop {
            match self.ask(dir) {
                Ok(()) => break,
                Err(WatchError::Limit(Limit::Watches)) if self.evict_below(rank) => {}
                Err(error) => {
                    self.drop_entry(dir);
                    return Err(error);
                }
            }
        }
        let before = self.dirs.get(dir).copied();
        let identity = identity.or(before.and_then(|known| known.identity));
        if before.is_none_or(|known| known.identity != identity) {
            self.drop_entry(dir);
            if let Some(identity) = identity {
                self.names.insert(identity, dir.to_owned());
            }
        }
        let rank = before.map_or(rank, |known| known.rank.max(rank));
        let watched = Watched {
            rank,
            walk,
            identity,
        };
        self.dirs.insert(dir.to_owned(), watched);
        Ok(())
    }

    /// The other name under which this directory is watched.
    pub(crate) fn other_name(&self, dir: &Path, identity: Identity) -> Option<&Path> {
        let name = self.names.get(&identity)?;
        (name != dir).then_some(name)
    }

    /// Raises the rank of a watched directory.
    pub(crate) fn promote(&mut self, dir: &Path, rank: Rank) {
        if let Some(known) = self.dirs.get_mut(dir) {
            known.rank = rank.max(known.rank);
        }
    }

    /// Watched directories at or beneath this one that this walk has not met.
    pub(crate) fn older_than(&self, walk: u64, top: &Path) -> Vec<PathBuf> {
        let unmet = |dir: &&PathBuf| self.dirs.get(*dir).is_some_and(|known| known.walk != walk);
        self.range(top).filter(unmet).cloned().collect()
    }

    /// Forgets a directory that vanished from a watched one, and all beneath
    /// it. The watcher saw that too and has dropped their watches by itself.
    pub(crate) fn forget(&mut self, top: &Path) {
        for dir in self.beneath(top) {
            self.drop_entry(&dir);
        }
    }

    /// Stops watching a directory and all beneath it, where the watcher does
    /// not do so by itself: the watches of a root that was moved live on.
    pub(crate) fn remove_all(&mut self, top: &Path) {
        for dir in self.beneath(top) {
            self.remove(&dir);
        }
    }

    /// Stops watching one directory.
    pub(crate) fn remove(&mut self, dir: &Path) {
        if self.drop_entry(dir) {
            self.unwatch(dir);
        }
    }

    /// Whether there was one.
    fn drop_entry(&mut self, dir: &Path) -> bool {
        let Some(known) = self.dirs.remove(dir) else {
            return false;
        };
        if let Some(identity) = known.identity
            && self.names.get(&identity).is_some_and(|name| name == dir)
        {
            self.names.remove(&identity);
        }
        true
    }

    /// Directories that lost their watch to others since this was last asked.
    pub(crate) fn take_evicted(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.evicted)
    }

    /// How many directories are watched at or beneath this one.
    pub(crate) fn count(&self, top: &Path) -> u64 {
        self.range(top).count() as u64
    }

    /// Whether this directory is watched.
    pub(crate) fn has(&self, dir: &Path) -> bool {
        self.dirs.contains_key(dir)
    }

    fn range(&self, top: &Path) -> impl Iterator<Item = &PathBuf> {
        // Paths are ordered by component, so what is beneath a directory follows it.
        self.dirs
            .range::<Path, _>((Bound::Included(top), Bound::Unbounded))
            .map(|(dir, _)| dir)
            .take_while(move |dir| dir.starts_with(top))
    }

    fn beneath(&self, top: &Path) -> Vec<PathBuf> {
        self.range(top).cloned().collect()
    }

    fn unwatch(&mut self, dir: &Path) {
        if let Some(watcher) = &mut self.watcher {
            // It fails where the watcher has noticed the end by itself.
            let _ = watcher.unwatch(dir);
        }
    }

    fn evict_below(&mut self, rank: Rank) -> bool {
        let least = self.dirs.iter().min_by_key(|(_, known)| known.rank);
        let Some((dir, _)) = least.filter(|(_, least)| least.rank < rank) else {
            return false;
        };
        let dir = dir.clone();
        self.remove(&dir);
        self.evicted.push(dir);
        true
    }

    fn ask(&mut self, dir: &Path) -> Result<(), WatchError> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => none.insert(start(&self.filter, &self.mailbox)?),
        };
        watcher
            .watch(dir, RecursiveMode::NonRecursive)
            .map_err(|error| match error.kind {
                ErrorKind::MaxFilesWatch => WatchError::Limit(Limit::Watches),
                ErrorKind::PathNotFound => WatchError::Gone,
                ErrorKind::Io(error) => match Errno::from_io_error(&error) {
                    Some(Errno::NOENT | Errno::NOTDIR) => WatchError::Gone,
                    _ => WatchError::Refused(error),
                },
                other => WatchError::Refused(io::Error::other(format!("{other:?}"))),
            })
    }
}

/// Starts the watcher. Its callback runs on its own thread and only hands over.
fn start(filter: &Filter, mailbox: &Mailbox) -> Result<RecommendedWatcher, WatchError> {
    let (filter, mailbox) = (filter.clone(), mailbox.clone());
    let callback = move |event: notify::Result<notify::Event>| match event {
        Ok(event) if event.need_rescan() => mailbox.raise(Flag::Rescan),
        Ok(event) => {
            if let Some(hint) = filter.hint(event) {
                mailbox.hint(hint);
            }
        }
        Err(_) => mailbox.raise(Flag::Rescan),
    };
    RecommendedWatcher::new(callback, Config::default()).map_err(|error| match error.kind {
        ErrorKind::Io(error) => match Errno::from_io_error(&error) {
            Some(Errno::MFILE) => WatchError::Limit(Limit::Instances),
            _ => WatchError::Refused(error),
        },
        other => WatchError::Refused(io::Error::other(format!("{other:?}"))),
    })
}

impl Limit {
    /// For people: what was reached.
    pub(crate) fn reason(self) -> String {
        let name = self.setting();
        match read_limit(name) {
            Some(limit) => format!("the kernel's limit {name} ({limit}) is reached"),
            None => format!("the kernel's limit {name} is reached"),
        }
    }

    /// The command that raises it: twice the limit, at least what a large machine needs.
    pub(crate) fn remedy(self) -> String {
        let name = self.setting();
        let floor = match self {
            Self::Watches => 524_288,
            Self::Instances => 1_024,
        };
        let wanted = read_limit(name).unwrap_or(0).saturating_mul(2).max(floor);
        format!("sudo sysctl -w {name}={wanted}")
    }

    fn setting(self) -> &'static str {
        match self {
            Self::Watches => "fs.inotify.max_user_watches",
            Self::Instances => "fs.inotify.max_user_instances",
        }
    }
}

fn read_limit(name: &str) -> Option<u64> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_comes_with_the_command_that_raises_it() {
        let remedy = Limit::Watches.remedy();
        assert!(remedy.starts_with("sudo sysctl -w fs.inotify.max_user_watches="));
        let reason = Limit::Instances.reason();
        assert!(reason.contains("fs.inotify.max_user_instances"));
    }
}
