//! The watching thread: takes hints, walks, reads, decides and writes events
//! to the outbox. It sleeps until a hint comes or the earliest thing that was
//! put off is due; idle, it does not wake at all.

mod event;
mod growing;
mod held;
mod hints;
mod left_out;
mod logs;
mod observe;
mod problem;
mod protection;
mod root;
mod walk;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use protocol::Timestamp;
use tokio::sync::oneshot;

use crate::agenda::Agenda;
use crate::board::Board;
use crate::change::Known;
use crate::hint::{Filter, Hint};
use crate::listing::Identity;
use crate::logs::Logs;
use crate::mailbox::{Flag, Inbox, Mailbox};
use crate::outbox::Outbox;
use crate::producer::Producers;
use crate::prune::Prune;
use crate::roots::Roots;
use crate::schedule::Schedule;
use crate::watches::Watches;
use growing::Growing;
use held::Writer;
pub(crate) use protection::Walk;
use root::RootWatch;

/// A new directory is walked again after this time: what was made together
/// with it may have been moved or linked in behind the first walk's back.
const SECOND_LOOK: Duration = Duration::from_millis(100);
/// What was read so shortly before hints are known to be lost was read in the burst that lost them.
const BURST: Duration = Duration::from_secs(10);
/// Hints that are taken at once, so that what is due is not kept waiting long.
const BATCH: usize = 1_024;

/// What the thread is to watch, and for whom.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The host's name.
    pub(crate) host: String,
    /// The watched roots.
    pub(crate) roots: Roots,
    /// Whose files are looked for.
    pub(crate) producers: Producers,
    /// Directories that are not walked.
    pub(crate) prune: Prune,
    /// Directories deeper below a root are not walked.
    pub(crate) max_depth: usize,
    /// The agent's own directory: its writes are nobody's build.
    pub(crate) state_dir: PathBuf,
    /// Inputs and outputs of tools may leave the host.
    pub(crate) tool_texts: bool,
    /// Where it says which logs may have grown.
    pub(crate) logs: Logs,
    /// Walks that are left out: only in tests that show what they are for.
    pub(crate) without: Vec<Walk>,
}

/// What is put off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Job {
    /// Read a state file.
    Read(Arc<Path>),
    /// Walk a directory again.
    Walk(Arc<Path>),
    /// Look through a root that gives no events.
    Scan(usize),
    /// Read the files again whose events the outbox did not take.
    Refused,
}

/// Whether states of a file came and went unseen since its last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Gap {
    #[default]
    No,
    /// Hints were lost; if it stands as it did, none of them was its own.
    Perhaps,
    /// It was read in the very burst in which hints were lost.
    Likely,
}

/// A state file that was seen, or of which something is remembered.
#[derive(Debug, Default)]
struct Tracked {
    known: Option<Known>,
    schedule: Schedule,
    /// A deletion was seen since the last content.
    deleted: bool,
    /// Whether states of it came and went unseen.
    gap: Gap,
    /// When its last event was written.
    recorded_at: Option<Instant>,
    /// The system refused to let it be read.
    denied: bool,
    /// When it was first missed.
    vanished_at: Option<Timestamp>,
    /// It was met on the first walk of its root.
    first_look: bool,
    /// The last walk that met it.
    walk: u64,
    /// How far it was read, of a file that grows.
    growing: Option<Box<Growing>>,
    /// It is read on as it is written to.
    grows: bool,
    /// Its lines count as soon as they are whole.
    appended: bool,
    /// Whether somebody writes to it.
    writer: Writer,
}

/// The thread's state.
struct Pipeline {
    setup: Setup,
    own_dir: Option<Identity>,
    started_at: Timestamp,
    inbox: Inbox,
    outbox: Arc<Outbox>,
    board: Arc<Board>,
    watches: Watches,
    roots: Vec<RootWatch>,
    files: BTreeMap<Arc<Path>, Tracked>,
    agenda: Agenda<Job>,
    /// Directories that could not be read or passed; a change of their rights matters.
    denied: BTreeSet<PathBuf>,
    /// Files whose events the outbox did not take; the first tries for all.
    refused: BTreeSet<Arc<Path>>,
    wants_attributes: Arc<AtomicBool>,
    walk: u64,
    /// The number of the last event; grows over all files and boots.
    events: Cell<i64>,
    /// Hints were lost before this walk: what it finds new may be not the first.
    finds_gaps: bool,
}

/// The running thread.
#[derive(Debug)]
pub(crate) struct Watching {
    /// Sent when every root was looked at once.
    pub(crate) looked: oneshot::Receiver<()>,
    /// Dropped when the thread ends, for whatever reason.
    pub(crate) ended: oneshot::Receiver<()>,
    /// To be joined after `ended`.
    pub(crate) thread: JoinHandle<()>,
}

/// Starts the thread.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(
    setup: Setup,
    mailbox: Mailbox,
    inbox: Inbox,
    outbox: Arc<Outbox>,
    board: Arc<Board>,
) -> anyhow::Result<Watching> {
    let mut pipeline = Pipeline::new(setup, mailbox, inbox, outbox, board);
    pipeline.recall();
    pipeline.report();
    let (looked_tx, looked) = oneshot::channel();
    let (ended_tx, ended) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("phaseline-watch".into())
        .spawn(move || {
            pipeline.run(looked_tx);
            drop(ended_tx);
        })?;
    Ok(Watching {
        looked,
        ended,
        thread,
    })
}

impl Pipeline {
    fn new(
        setup: Setup,
        mailbox: Mailbox,
        inbox: Inbox,
        outbox: Arc<Outbox>,
        board: Arc<Board>,
    ) -> Self {
        let wants_attributes = Arc::new(AtomicBool::new(false));
        let filter = Filter {
            roots: setup.roots.clone(),
            producers: setup.producers.clone(),
            wants_attributes: Arc::clone(&wants_attributes),
        };
        Self {
            own_dir: Identity::of(&setup.state_dir).ok(),
            started_at: now_utc(),
            roots: (0..setup.roots.len()).map(|_| RootWatch::new()).collect(),
            watches: Watches::new(filter, mailbox),
            setup,
            inbox,
            outbox,
            board,
            files: BTreeMap::new(),
            agenda: Agenda::new(),
            denied: BTreeSet::new(),
            refused: BTreeSet::new(),
            wants_attributes,
            walk: 0,
            events: Cell::new(0),
            finds_gaps: false,
        }
    }

    /// Takes what is remembered of the files beneath the roots. Where that
    /// cannot be read, the outbox asks for it again when it can.
    fn recall(&mut self) {
        self.files.clear();
        self.refused.clear();
        for (path, known) in self.outbox.files().unwrap_or_default() {
            self.events.set(self.events.get().max(known.event));
            if self.setup.roots.owner(&path).is_some() {
                let tracked = Tracked {
                    known: Some(known),
                    ..Tracked::default()
                };
                self.files.insert(path.into(), tracked);
            }
        }
    }

    fn run(mut self, looked: oneshot::Sender<()>) {
        self.look_at_all();
        self.end_turn();
        let _ = looked.send(());
        let mut hints = Vec::new();
        while !self.inbox.is_raised(Flag::Stop) {
            if !self.inbox.wait(self.agenda.next(), BATCH, &mut hints) {
                break;
            }
            if self.inbox.take(Flag::Anew) && self.setup.does(Walk::AfterDamage) {
                self.begin_anew();
            }
            if self.inbox.take(Flag::Rescan) && self.setup.does(Walk::AfterOverflow) {
                self.rescan(&mut hints);
            } else {
                self.take_hints(&mut hints);
            }
            if self.inbox.take(Flag::Room) {
                self.read_refused();
            }
            if self.inbox.take(Flag::Check) {
                self.check_roots();
            }
            self.do_what_is_due();
            self.end_turn();
        }
        self.finish();
    }

    /// Where nothing is refused (any more), the outbox is trusted with what is found next.
    fn end_turn(&self) {
        if self.refused.is_empty() && !self.inbox.is_raised(Flag::Anew) {
            self.outbox.may_queue();
        }
    }

    fn next_event(&self) -> i64 {
        self.events.set(self.events.get() + 1);
        self.events.get()
    }

    /// The outbox knows other things than before: everything is held against them.
    fn begin_anew(&mut self) {
        self.recall();
        self.agenda = Agenda::new();
        for root in &mut self.roots {
            root.looked = false;
        }
        self.look_at_all();
        if self.refused.is_empty() && !self.inbox.is_raised(Flag::Anew) {
            self.outbox.nothing_is_refused();
        }
    }

    /// Hints were lost: one full walk instead of many small ones.
    fn rescan(&mut self, hints: &mut Vec<Hint>) {
        tracing::warn!("file events were lost in a burst: walking all roots once");
        // What waits is older than the walk; only deletions tell more than it will find.
        while self.inbox.wait(Some(Instant::now()), usize::MAX, hints) && !hints.is_empty() {
            self.mark_deleted(hints);
            hints.clear();
        }
        let now = Instant::now();
        for tracked in self.files.values_mut() {
            let recent = |at: Instant| now.duration_since(at) < BURST;
            tracked.gap = match tracked.recorded_at.is_some_and(recent) {
                true => Gap::Likely,
                false => Gap::Perhaps,
            };
        }
        self.finds_gaps = true;
        self.look_at_all();
        self.finds_gaps = false;
    }

    fn do_what_is_due(&mut self) {
        let mut walks = BTreeSet::new();
        for job in self.agenda.take_due(Instant::now()) {
            match job {
                Job::Read(path) => self.read(&path),
                Job::Walk(path) => {
                    walks.insert(path.to_path_buf());
                }
                Job::Scan(root) => self.look_at(root),
                Job::Refused => self.read_refused(),
            }
        }
        for dir in tops(&walks) {
            self.walk_below(dir);
        }
    }

    /// Reads the refused files, until one is refused again.
    fn read_refused(&mut self) {
        for path in std::mem::take(&mut self.refused) {
            if self.refused.is_empty() {
                self.read(&path);
            } else {
                self.refused.insert(path);
            }
        }
        if self.refused.is_empty() {
            self.outbox.nothing_is_refused();
        }
    }

    /// Before the end: what was put off to be read once more is read now.
    fn finish(&mut self) {
        let armed: Vec<_> = self
            .files
            .iter()
            .filter(|(_, tracked)| tracked.schedule.due().is_some())
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for path in armed {
            self.read(&path);
        }
        self.save_growing();
    }

    fn files_within<'a>(
        &'a mut self,
        top: &'a Path,
    ) -> impl Iterator<Item = (&'a Arc<Path>, &'a mut Tracked)> {
        // Paths are ordered by component, so what is beneath a directory follows it.
        self.files
            .range_mut::<Path, _>((Bound::Included(top), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(top))
    }
}

/// Paths that are not beneath another one of the set.
fn tops(paths: &BTreeSet<PathBuf>) -> Vec<&PathBuf> {
    let mut tops: Vec<&PathBuf> = Vec::new();
    for path in paths {
        // Ordered by component, what is beneath a path follows it at once.
        if tops.last().is_none_or(|top| !path.starts_with(top)) {
            tops.push(path);
        }
    }
    tops
}

fn now_utc() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

#[cfg(test)]
mod tests;
