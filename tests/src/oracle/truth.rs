//! What was really written, and when: each content of each file with its
//! number, its hash, when it stood and when the next one began to replace it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::Document;
use serde_json::Value;

use crate::fixtures;
use crate::writer::{self, Manner, PHASE, Project};

/// A content that stood this long must be kept.
pub const STOOD: Duration = Duration::from_millis(250);
/// A sleeping thread looks this often whether it is woken in time,
const PULSE: Duration = Duration::from_millis(10);
/// and when it is later than this, so is an agent: what a promise of 250 ms leaves.
const LATE: Duration = Duration::from_millis(50);

/// One content of one file.
#[derive(Debug, Clone)]
pub struct Written {
    /// Grows with every write of a file; the `count` in its document.
    pub n: u64,
    /// As the agent says it.
    pub hash: String,
    /// When it was complete.
    pub at: Instant,
    /// When the next one began; none while it stands.
    pub replaced_at: Option<Instant>,
}

/// The contents of each file by its project's token, oldest first.
pub type Files = BTreeMap<String, Vec<Written>>;

/// A time in which only the last content counts: the agent did not run, or the
/// machine was so busy that nobody did.
#[derive(Debug, Clone, Copy)]
pub struct Away {
    /// From here on,
    pub from: Instant,
    /// until here; none while it lasts.
    pub until: Option<Instant>,
}

impl Written {
    /// Whether it stood long enough, for one who looked only outside of these times.
    #[must_use]
    pub fn must_be_kept(&self, away: &[Away]) -> bool {
        let Some(replaced_at) = self.replaced_at else {
            return true;
        };
        let mut from = self.at;
        for gap in away.iter().filter(|gap| gap.from < replaced_at) {
            if gap.until.is_some_and(|until| until <= from) {
                continue;
            }
            if gap.from >= from + STOOD {
                return true;
            }
            match gap.until {
                Some(until) => from = until,
                None => return false,
            }
        }
        replaced_at >= from + STOOD
    }
}

/// The truth log of one test.
#[derive(Debug, Default)]
pub struct TruthLog {
    files: Mutex<Files>,
    away: Mutex<Vec<Away>>,
    stalls: Mutex<Vec<Away>>,
}

impl TruthLog {
    /// Writes the n-th content of a project's phase file, and notes it.
    ///
    /// # Panics
    /// When it cannot be written, or `n` does not grow.
    pub fn write(&self, project: &Project, n: u64, manner: Manner) {
        let document = fixtures::numbered(&project.name(), n);
        self.write_document(project, n, &document, manner);
    }

    /// The same with a document of the test's own, whose `count` is `n`.
    ///
    /// # Panics
    /// When it cannot be written, or `n` does not grow.
    pub fn write_document(&self, project: &Project, n: u64, document: &Value, manner: Manner) {
        let text = serde_json::to_vec_pretty(document).expect("JSON");
        let parsed = Document::parse(&text, &["last_updated"]).expect("JSON");
        let token = project.token().to_string();
        let begun = Instant::now();
        writer::write(&project.file(PHASE), &text, manner).expect("the file can be written");
        let written = Written {
            n,
            hash: parsed.hash.to_string(),
            at: Instant::now(),
            replaced_at: None,
        };
        let mut files = lock(&self.files);
        let file = files.entry(token).or_default();
        if let Some(before) = file.last_mut() {
            assert!(before.n < n, "numbers grow: {n} after {}", before.n);
            before.replaced_at.get_or_insert(begun);
        }
        file.push(written);
    }

    /// A project's file is about to be deleted: its content stands no longer.
    pub fn ends(&self, project: &Project) {
        let mut files = lock(&self.files);
        let last = files.get_mut(&project.token().to_string());
        if let Some(last) = last.and_then(|file| file.last_mut()) {
            last.replaced_at.get_or_insert_with(Instant::now);
        }
    }

    /// The agent ends now, or is about to; or its outbox has no room, its queue
    /// overflows, or what held its events is lost: only last contents count.
    pub fn agent_ends(&self) {
        lock(&self.away).push(Away {
            from: Instant::now(),
            until: None,
        });
    }

    /// The agent watches again, and keeps what it sees.
    pub fn agent_watches(&self) {
        let now = Instant::now();
        for gap in lock(&self.away).iter_mut() {
            gap.until.get_or_insert(now);
        }
    }

    /// A thread that only sleeps woke up late: until now nobody ran.
    fn machine_stood_still(&self, from: Instant) {
        let until = Some(Instant::now());
        lock(&self.stalls).push(Away { from, until });
    }

    /// How often and how long in all the machine was too busy for anybody.
    #[must_use]
    pub fn stalls(&self) -> (usize, Duration) {
        let stalls = lock(&self.stalls);
        let length = |stall: &Away| {
            stall
                .until
                .map_or(Duration::ZERO, |until| until - stall.from)
        };
        (stalls.len(), stalls.iter().map(length).sum())
    }

    /// Everything that was written.
    #[must_use]
    pub fn files(&self) -> Files {
        lock(&self.files).clone()
    }

    /// The number of the newest content of each file.
    #[must_use]
    pub fn newest(&self) -> BTreeMap<String, u64> {
        let files = lock(&self.files);
        let newest = |(token, file): (&String, &Vec<Written>)| {
            file.last().map(|last| (token.clone(), last.n))
        };
        files.iter().filter_map(newest).collect()
    }

    /// When the agent did not run, or nobody did, in the order of their beginnings.
    #[must_use]
    pub fn away(&self) -> Vec<Away> {
        let mut all = lock(&self.away).clone();
        all.extend(lock(&self.stalls).iter());
        all.sort_by_key(|away| away.from);
        all
    }
}

/// Notes when the machine lets nobody run; until dropped.
#[derive(Debug)]
pub(crate) struct Pulse(Arc<AtomicBool>);

impl Pulse {
    pub(crate) fn start(truth: &Arc<TruthLog>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (truth, told) = (Arc::clone(truth), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || pulse(&truth, &told));
        Self(stop)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sleeping is what is measured, on a thread of its own"
)]
fn pulse(truth: &TruthLog, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        std::thread::sleep(PULSE);
        if began.elapsed() > PULSE + LATE {
            truth.machine_stood_still(began);
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
