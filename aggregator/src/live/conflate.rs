//! How often one reader is told: at once, unless that would be more than 50
//! frames a second. Then changes are gathered for at most 200 ms, the newest
//! of each build counts, and failures, completions and to-dos never wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::change::{Change, Key, OutFrame};

/// Frames a second that are sent one by one: what a page can draw each of.
const PER_SECOND: f64 = 50.0;
/// The least that a reader may ask for: one gathering in ten seconds; heartbeats come in between.
const LEAST_PER_SECOND: f64 = 0.1;
/// Longest gathering unless the reader asked for less: short enough to look immediate.
const GATHER: Duration = Duration::from_millis(200);
/// Builds and hosts in one gathering; more are sent at once, so that the memory of a reader is bounded.
const MAX_PENDING: usize = 1_024;

#[derive(Debug)]
struct Pending {
    change: Arc<Change>,
    /// An earlier change of the same build was not sent: a patch would not fit.
    skipped: bool,
}

/// The decision for one connection. Frames that it gives out are to be sent at
/// once and in order; after them, everything up to the last offered change has
/// been sent, unless something [`is_pending`](Self::is_pending).
#[derive(Debug)]
pub(crate) struct Conflator {
    full: bool,
    per_second: f64,
    tokens: f64,
    refilled: Instant,
    pending: BTreeMap<u64, Pending>,
    by_key: HashMap<Key, u64>,
    due: Option<Instant>,
    replaced: u64,
}

impl Conflator {
    /// `full`: the reader wants whole builds instead of patches.
    pub(crate) fn new(full: bool, now: Instant) -> Self {
        Self {
            full,
            per_second: PER_SECOND,
            tokens: PER_SECOND,
            refilled: now,
            pending: BTreeMap::new(),
            by_key: HashMap::new(),
            due: None,
            replaced: 0,
        }
    }

    /// The reader asks for fewer frames of each build; never for more than others get.
    pub(crate) fn set_rate(&mut self, per_second: f64) {
        self.per_second = per_second.clamp(LEAST_PER_SECOND, PER_SECOND);
        self.tokens = self.tokens.min(self.per_second.max(1.0));
    }

    /// A change that concerns this reader; what is to be sent now is added to `out`.
    pub(crate) fn offer(&mut self, change: Arc<Change>, now: Instant, out: &mut Vec<OutFrame>) {
        self.refill(now);
        if change.urgent {
            self.gather(change);
            self.flush(out);
        } else if self.pending.is_empty() && self.tokens >= 1.0 {
            self.give(&change, self.full, out);
        } else {
            self.gather(change);
            let span = GATHER.max(Duration::from_secs_f64(1.0 / self.per_second));
            self.due.get_or_insert(now + span);
            if self.pending.len() >= MAX_PENDING {
                self.flush(out);
            }
        }
    }

    /// When [`flush`](Self::flush) is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether something waits.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Everything that waits, in the order of the newest changes.
    pub(crate) fn flush(&mut self, out: &mut Vec<OutFrame>) {
        self.due = None;
        self.by_key.clear();
        for pending in std::mem::take(&mut self.pending).into_values() {
            let whole = self.full || pending.skipped;
            self.give(&pending.change, whole, out);
        }
    }

    /// Forgets what waits: the reader is given the newest states another way.
    pub(crate) fn clear(&mut self) {
        self.due = None;
        self.by_key.clear();
        self.pending.clear();
    }

    /// Changes that a later one replaced since the last call.
    pub(crate) fn take_replaced(&mut self) -> u64 {
        std::mem::take(&mut self.replaced)
    }

    fn gather(&mut self, change: Arc<Change>) {
        let earlier = self.by_key.insert(change.key(), change.seq);
        let skipped = earlier.is_some_and(|seq| self.pending.remove(&seq).is_some());
        self.replaced += u64::from(skipped);
        self.pending.insert(change.seq, Pending { change, skipped });
    }

    fn give(&mut self, change: &Change, whole: bool, out: &mut Vec<OutFrame>) {
        self.tokens = (self.tokens - 1.0).max(0.0);
        change.received();
        out.push(change.frame(whole));
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second.max(1.0));
    }
}
