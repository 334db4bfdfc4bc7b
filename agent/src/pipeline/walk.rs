//! Walking: each directory is watched first and listed then, so that nothing
//! can appear in between. What a walk does not meet any more is checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use std::{collections::BTreeSet, io};

use rustix::io::Errno;

use super::left_out::Why;
use super::{Gap, Job, Pipeline, SECOND_LOOK, Tracked, Walk, tops};
use crate::filesystem::Kind;
use crate::listing::{Identity, Listing, OpenDir};
use crate::mailbox::Flag;
use crate::prune;
use crate::schedule::Cause;
use crate::watches::{Limit, Rank, WatchError};

/// A directory to be walked.
#[derive(Clone)]
struct Step {
    path: PathBuf,
    /// Below the root.
    depth: usize,
    /// Device of its parent; none where a walk begins.
    parent_dev: Option<u64>,
    rank: Rank,
}

impl Pipeline {
    /// Walks a whole root.
    pub(super) fn walk_root(&mut self, root: usize) {
        let path = self.setup.roots.get(root).path.clone();
        self.denied.retain(|dir| !dir.starts_with(&path));
        self.walk_from(root, &path);
        self.wants_attributes
            .store(!self.denied.is_empty(), Ordering::Relaxed);
        self.roots[root].looked = true;
    }

    /// Walks these directories now and again a moment later.
    pub(super) fn walk_all(&mut self, dirs: &BTreeSet<PathBuf>) {
        for dir in tops(dirs) {
            if self.setup.does(Walk::OfNew) {
                self.walk_below(dir);
            } else {
                let identity = Identity::of_dir(dir).ok();
                let _ = self.watches.add(dir, Rank::Plain, self.walk, identity);
            }
            if self.setup.does(Walk::SecondLook) {
                let again = Job::Walk(Arc::from(dir.as_path()));
                self.agenda.set(&again, Some(Instant::now() + SECOND_LOOK));
            }
        }
    }

    /// Walks one directory beneath a root.
    pub(super) fn walk_below(&mut self, dir: &Path) {
        if let Some(root) = self.setup.roots.owner(dir) {
            let before = self.roots[root].gaps();
            let news = self.walk_from(root, dir);
            self.wants_attributes
                .store(!self.denied.is_empty(), Ordering::Relaxed);
            if self.roots[root].gaps() != before {
                // Reports it and sees to the scans.
                self.look_at(root);
            } else if news {
                self.tell(root);
                self.report();
            }
        }
    }

    /// Where to walk when something appeared at this path: it, if it is a directory that is wanted; its parent, if
    /// that is to say why it is left out.
    pub(super) fn walk_for<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let root = self.setup.roots.owner(path)?;
        let parent = path.parent()?;
        let at_the_limit = depth(&self.setup.roots.get(root).path, parent) >= self.setup.max_depth;
        let is_state = self.setup.producers.owns(path);
        if self.is_wanted_dir(path) {
            return Some(path);
        }
        let left_out = match path.symlink_metadata() {
            Ok(meta) => (at_the_limit && meta.is_dir()) || (is_state && meta.is_symlink()),
            // The rights of its directory were taken: a walk finds that and says so.
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        };
        let is_walked = || self.setup.roots.is_root(parent) || self.is_wanted_dir(parent);
        (left_out && is_walked()).then_some(parent)
    }

    /// Whether there is a directory at this path that is to be walked.
    fn is_wanted_dir(&self, path: &Path) -> bool {
        let Some(root) = self.setup.roots.owner(path) else {
            return false;
        };
        let root = &self.setup.roots.get(root).path;
        let is_dir = || path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if root == path || !is_dir() {
            return false;
        }
        let between = path.ancestors().skip(1).take_while(|dir| dir != root);
        let mut pruned = between.map(|dir| self.is_pruned(dir, || false));
        // A producer's directories may be deeper than the deepest that is walked.
        let extra = self.setup.producers.leads(path).unwrap_or(0);
        depth(root, path) <= self.setup.max_depth + extra
            && !pruned.any(|pruned| pruned)
            && !self.is_pruned(path, || path.parent().is_some_and(prune::is_project))
    }

    /// Whether a directory is left out. A producer's own never is.
    fn is_pruned(&self, dir: &Path, parent_is_project: impl FnOnce() -> bool) -> bool {
        !self.setup.producers.owns(dir) && self.setup.prune.skips(dir, parent_is_project)
    }

    /// What a directory's watch is worth by its name.
    fn rank(&self, dir: &Path) -> Rank {
        if self.setup.producers.owns(dir) {
            Rank::State
        } else if self.setup.producers.leads(dir).is_some() {
            Rank::Project
        } else {
            Rank::Plain
        }
    }

    /// True: what is left out on purpose is not the same as before.
    fn walk_from(&mut self, root: usize, start: &Path) -> bool {
        self.walk += 1;
        let left_out = self.roots[root].left_out.cut(start);
        let top = self.setup.roots.get(root).path.clone();
        let mut steps = vec![Step {
            path: start.to_owned(),
            depth: depth(&top, start),
            parent_dev: None,
            rank: if start == top {
                Rank::Root
            } else {
                self.rank(start)
            },
        }];
        while let Some(step) = steps.pop() {
            if self.inbox.is_raised(Flag::Stop) {
                return false;
            }
            if let Err(error) = self.enter(root, &step, &mut steps) {
                self.not_entered(root, &step.path, &error);
            }
        }
        for evicted in self.watches.take_evicted() {
            if let Some(root) = self.setup.roots.owner(&evicted) {
                self.roots[root].limit = Some(Limit::Watches);
            }
        }
        self.sweep(root, start);
        self.check_unmet(root, start);
        !self.roots[root].left_out.is_as(start, &left_out)
    }

    /// Directories that were watched and not met are gone, or not wanted any more.
    fn sweep(&mut self, root: usize, start: &Path) {
        for dir in self.watches.older_than(self.walk, start) {
            let awaits_a_root = self
                .roots
                .iter()
                .any(|root| root.ancestor.as_ref() == Some(&dir));
            if self.setup.roots.owner(&dir) == Some(root) && !awaits_a_root {
                self.watches.remove(&dir);
            }
        }
    }

    /// Watches one directory, then lists it and notes where to go on.
    fn enter(&mut self, root: usize, step: &Step, steps: &mut Vec<Step>) -> io::Result<()> {
        let dir = OpenDir::open(&step.path, step.rank == Rank::Root)?;
        if Some(dir.identity) == self.own_dir {
            return Ok(());
        }
        if step.parent_dev != Some(dir.identity.dev) {
            match dir.kind() {
                Kind::Kernel if step.rank != Rank::Root => return Ok(()),
                Kind::Remote(kind) => {
                    self.roots[root].note_remote(&step.path, kind);
                }
                Kind::Local | Kind::Kernel => {}
            }
        }
        let identity = dir.identity;
        if let Some(other) = self.watches.other_name(&step.path, identity)
            && self.is_at(other, Some(identity))
        {
            let other = other.to_owned();
            self.leave_to(root, &step.path, other);
            return Ok(());
        }
        let watched = self.watch(root, &step.path, step.rank, identity)?;
        if watched && !self.is_at(&step.path, Some(identity)) {
            // Another one came here before the watch, which is of that one: it has to be entered.
            steps.push(step.clone());
            return Ok(());
        }
        let mut listing = dir.list(&step.path, &self.setup.producers)?;
        if let Some(rank) = rank_by(&listing) {
            if watched {
                self.watches.promote(&step.path, rank);
            } else if self.watch(root, &step.path, rank, identity)? {
                let again = OpenDir::open(&step.path, step.rank == Rank::Root)?;
                listing = again.list(&step.path, &self.setup.producers)?;
            }
        }
        self.note(root, step, identity.dev, &listing, steps);
        Ok(())
    }

    /// Leaves a directory to the name under which it is watched too. The kernel has one watch for both names, so
    /// taking this name's may have taken the other's: that one is watched and listed again.
    fn leave_to(&mut self, root: usize, path: &Path, other: PathBuf) {
        if self.watches.has(path) {
            self.watches.remove(path);
            let again = Job::Walk(Arc::from(other.as_path()));
            self.agenda.set(&again, Some(Instant::now()));
        }
        let left_out = &mut self.roots[root].left_out;
        left_out.note(path.to_owned(), Why::SameAs(other));
    }

    fn note(
        &mut self,
        root: usize,
        step: &Step,
        dev: u64,
        listing: &Listing,
        steps: &mut Vec<Step>,
    ) {
        let next = |path: PathBuf, rank| Step {
            path,
            depth: step.depth + 1,
            parent_dev: Some(dev),
            rank,
        };
        for name in &listing.state_links {
            let path = step.path.join(name);
            self.roots[root].left_out.note(path, Why::Link);
        }
        // Last in, first out: state comes before all else.
        for name in listing.dirs.iter().chain(&listing.state_dirs) {
            let path = step.path.join(name);
            let rank = self.rank(&path);
            let extra = self.setup.producers.leads(&path).unwrap_or(0);
            let skipped = self.is_pruned(&path, || listing.is_project);
            if skipped || self.setup.roots.is_root(&path) {
                continue;
            }
            if step.depth < self.setup.max_depth + extra {
                steps.push(next(path, rank));
            } else {
                self.roots[root].left_out.note(path, Why::TooDeep);
            }
        }
        for name in &listing.state_files {
            self.met(root, &step.path.join(name));
        }
    }

    /// A state file is there.
    fn met(&mut self, root: usize, path: &Path) {
        let first_look = !self.roots[root].looked;
        if !self.is_more_than_a_log(path, first_look) {
            return;
        }
        let gap = match self.finds_gaps {
            true => Gap::Perhaps,
            false => Gap::No,
        };
        let (walk, now) = (self.walk, Instant::now());
        let key: Arc<Path> = match self.files.get_key_value(path) {
            Some((key, _)) => Arc::clone(key),
            None => path.into(),
        };
        let tracked = self
            .files
            .entry(Arc::clone(&key))
            .or_insert_with(|| Tracked {
                first_look,
                gap,
                ..Tracked::default()
            });
        tracked.walk = walk;
        if tracked.schedule.on(Cause::Settled, now) {
            self.read(&key);
        } else {
            let due = tracked.schedule.due();
            self.agenda.set(&Job::Read(key), due);
        }
    }

    /// Files that should have been met and were not may be gone.
    fn check_unmet(&mut self, root: usize, start: &Path) {
        let walk = self.walk;
        let unmet: Vec<_> = self
            .files_within(start)
            .filter(|(_, tracked)| {
                let present = tracked.known.as_ref().is_some_and(|known| known.present);
                present && tracked.walk != walk
            })
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for key in unmet {
            if self.setup.roots.owner(&key) == Some(root) {
                self.file_hint(&key, Cause::MovedAway);
            }
        }
    }

    /// Watches a directory. False: at the kernel's limit, so it is listed but not watched.
    fn watch(
        &mut self,
        root: usize,
        path: &Path,
        rank: Rank,
        identity: Identity,
    ) -> io::Result<bool> {
        if rank == Rank::Plain && self.roots[root].limit.is_some() {
            // At the limit since the last full walk; asking for each of the others would only take time.
            return Ok(false);
        }
        match self.watches.add(path, rank, self.walk, Some(identity)) {
            Ok(()) => Ok(true),
            Err(WatchError::Limit(limit)) => {
                self.roots[root].limit = Some(limit);
                Ok(false)
            }
            Err(WatchError::Gone) => Err(io::ErrorKind::NotFound.into()),
            Err(WatchError::Refused(error)) => Err(error),
        }
    }

    fn not_entered(&mut self, root: usize, path: &Path, error: &io::Error) {
        match Errno::from_io_error(error) {
            // Gone again, or no directory any more: its parent's watch tells of what comes next.
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.watches.remove(path),
            _ if error.kind() == io::ErrorKind::NotFound => self.watches.remove(path),
            _ => {
                tracing::debug!(path = %path.display(), %error, "failed to walk a directory");
                self.denied.insert(path.to_owned());
                let watch = &mut self.roots[root];
                if self.setup.roots.is_root(path) {
                    watch.refused = Some(format!("{}: {error}", path.display()));
                } else {
                    let why = Why::Refused(error.to_string());
                    watch.left_out.note(path.to_owned(), why);
                }
            }
        }
    }
}

/// What a directory's watch is worth by what is in it, if that is more than by its name.
fn rank_by(listing: &Listing) -> Option<Rank> {
    if !listing.state_files.is_empty() {
        return Some(Rank::State);
    }
    (!listing.state_dirs.is_empty()).then_some(Rank::Project)
}

fn depth(root: &Path, path: &Path) -> usize {
    path.strip_prefix(root)
        .map_or(0, |below| below.components().count())
}
