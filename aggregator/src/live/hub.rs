//! The state of [`super::state`] shared by all tasks, with everybody who is to
//! be told. A change is taken in and handed on under one lock, so that a
//! connection which joins under it misses nothing and sees nothing twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use protocol::page::Stale;
use protocol::{Build, Host, Timestamp};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::ahead::Ahead;
use super::change::{Change, News};
use super::incoming::Incoming;
use super::join::SharedSnapshot;
use super::logs::{self, LogFrame};
use super::state::{Applied, RowSet, State};
use super::{MAX_BUILDS, RING};
use crate::metrics::Metrics;

/// Whether a frame was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Now.
    New,
    /// Before.
    Known,
    /// Something before it is missing.
    Gap,
}

/// All builds and hosts of the live view.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) builds: Vec<Build>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) seq: u64,
    pub(crate) truncated: bool,
}

/// The live view of this replica.
pub(crate) struct Hub {
    state: Mutex<State>,
    pub(super) shared: Mutex<Option<SharedSnapshot>>,
    pub(super) news: broadcast::Sender<News>,
    logs: broadcast::Sender<Arc<LogFrame>>,
    loaded: watch::Sender<bool>,
    pub(super) ahead: Ahead,
    beacon: watch::Sender<Option<Instant>>,
    stale: watch::Sender<Option<Stale>>,
    pub(super) metrics: Arc<Metrics>,
}

impl Hub {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self::with_ring(metrics, RING)
    }

    pub(super) fn with_ring(metrics: Arc<Metrics>, ring: usize) -> Self {
        Self {
            state: Mutex::default(),
            shared: Mutex::default(),
            news: broadcast::Sender::new(ring),
            logs: broadcast::Sender::new(logs::RING),
            loaded: watch::Sender::new(false),
            ahead: Ahead::new(),
            beacon: watch::Sender::new(None),
            stale: watch::Sender::new(None),
            metrics,
        }
    }

    /// The newest change taken in.
    pub(crate) fn seq(&self) -> u64 {
        self.state().seq
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// True once Postgres was read.
    pub(crate) fn loaded(&self) -> watch::Receiver<bool> {
        self.loaded.subscribe()
    }

    pub(crate) fn is_loaded(&self) -> bool {
        *self.loaded.borrow()
    }

    /// Everything that changes from now on.
    pub(crate) fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// When a leader was last heard.
    pub(crate) fn beacon(&self) -> watch::Receiver<Option<Instant>> {
        self.beacon.subscribe()
    }

    pub(super) fn heard_beacon(&self) {
        self.beacon.send_replace(Some(Instant::now()));
    }

    /// Log lines of all builds from here on.
    pub(crate) fn logs(&self) -> broadcast::Receiver<Arc<LogFrame>> {
        self.logs.subscribe()
    }

    pub(super) fn tell_log(&self, frame: LogFrame) {
        // An error only means that nobody looks at a log.
        let _ = self.logs.send(Arc::new(frame));
    }

    /// Why what is shown may be old; none while it is up to date.
    pub(crate) fn stale(&self) -> watch::Receiver<Option<Stale>> {
        self.stale.subscribe()
    }

    /// Whoever is told already is not told again.
    pub(super) fn set_stale(&self, stale: Option<Stale>) {
        let reason = |stale: &Option<Stale>| stale.as_ref().map(|stale| stale.reason.clone());
        self.stale.send_if_modified(|told| {
            let news = reason(told) != reason(&stale);
            if news {
                *told = stale;
            }
            news
        });
    }

    /// What a snapshot holds, for the pages; none before the first load.
    pub(crate) fn held(&self) -> Option<Held> {
        if !self.is_loaded() {
            return None;
        }
        let now = now();
        let state = self.state();
        let builds = state.snapshot_builds(now);
        let hosts = state.hosts().map(|record| record.host.clone()).collect();
        let (seq, truncated) = (state.seq, state.truncated());
        drop(state);
        let builds = builds.iter().filter_map(|whole| whole.build()).collect();
        Some(Held {
            builds,
            hosts,
            seq,
            truncated,
        })
    }

    /// A build that is in memory.
    pub(crate) fn build(&self, id: &str) -> Option<Build> {
        let whole = self.state().build(id).cloned();
        whole.and_then(|whole| whole.build())
    }

    /// Takes in a frame and hands it on.
    pub(super) fn take(&self, incoming: Incoming) -> Taken {
        let now = now();
        let waited = now.millis_since(incoming.at);
        let mut state = self.state();
        match state.apply(incoming, now) {
            Applied::Old => Taken::Known,
            Applied::Gap => Taken::Gap,
            Applied::Change(change) => {
                self.metrics.live.hop_commit_to_hub.observe_ms(waited);
                self.tell(change);
                self.note(&state);
                Taken::New
            }
        }
    }

    /// Takes in what Postgres has and hands on what is new. False when
    /// Postgres is behind what was taken in: it was restored, so load anew.
    pub(super) fn catch_up(&self, rows: RowSet) -> bool {
        let mut state = self.state();
        if rows.seq < state.seq {
            return false;
        }
        for change in state.catch_up(rows, now()) {
            self.tell(change);
        }
        self.note(&state);
        true
    }

    /// Replaces everything. Whoever is connected is given a snapshot. Answers with how many builds and hosts are
    /// held: rows may have one twice.
    pub(super) fn load(&self, rows: RowSet, since: u64, truncated: bool) -> (usize, usize) {
        // Taken before the state, as everywhere.
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut state = self.state();
        *state = State::load(rows, since, truncated, now());
        let _ = self.news.send(News::Reset);
        self.note(&state);
        self.loaded.send_replace(true);
        (state.len(), state.hosts().count())
    }

    /// Lets old builds go; true when so many went that those left out before have room again.
    pub(super) fn sweep(&self) -> bool {
        let mut state = self.state();
        state.drop_old(now());
        self.note(&state);
        state.truncated() && state.len() < MAX_BUILDS / 4 * 3
    }

    /// Figures that are read rather than counted.
    pub(crate) fn refresh_metrics(&self) {
        self.metrics.live.queue.set(gauge(self.news.len()));
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a few lines of map handling must not take the whole view with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, mut change: Change) {
        change.count_receivers_in(&self.metrics);
        self.metrics.live.changes.inc();
        // An error only means that nobody is connected.
        let _ = self.news.send(News::Change(Arc::new(change)));
    }

    fn note(&self, state: &State) {
        self.ahead.reached(state.seq);
        self.metrics
            .live
            .seq
            .set(i64::try_from(state.seq).unwrap_or(i64::MAX));
        self.metrics.live.builds.set(gauge(state.len()));
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}
