//! The hub's memory and its rules, without locks and tasks: what is held, what
//! a frame does to it, what a reader who stopped at some `seq` has missed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use protocol::{Source, Timestamp, merge_patch};
use serde_json::{Map, Value};

use super::change::{Change, HostRecord, OutFrame, Subject, Whole};
use super::filter::Filter;
use super::incoming::{Incoming, Said, is_urgent, new_build};
use super::{MAX_BUILDS, MAX_BYTES, MAX_HOSTS, MAX_RESUME, RESUMABLE_FOR_MS};

/// A build and where it ended in the order of changes.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) whole: Arc<Whole>,
    pub(super) completed_seq: Option<u64>,
    /// Its text, bytes: never too low; exact after [`State::measure`].
    bytes: usize,
}

/// A build as Postgres has it.
#[derive(Debug)]
pub(super) struct BuildRow {
    pub(super) map: Map<String, Value>,
    pub(super) completed_seq: Option<u64>,
}

/// Builds and hosts as Postgres has them.
#[derive(Debug, Default)]
pub(super) struct RowSet {
    /// All changes up to this one are in it.
    pub(super) seq: u64,
    pub(super) builds: Vec<BuildRow>,
    pub(super) hosts: Vec<protocol::Host>,
}

/// What became of a frame.
#[derive(Debug)]
pub(super) enum Applied {
    /// It is in memory, and this is to be told.
    Change(Change),
    /// It was in memory already.
    Old,
    /// Something before it is missing: read Postgres.
    Gap,
}

/// All that is held. `seq` is the newest change taken in.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) seq: u64,
    /// A reader who stopped before this one cannot be resumed: what changed since may have left.
    floor: u64,
    /// Builds that belong into a snapshot are missing in memory.
    truncated: bool,
    builds: HashMap<String, Entry>,
    hosts: BTreeMap<String, Arc<HostRecord>>,
    bytes: usize,
}

impl State {
    /// Everything anew. `since` is the oldest position after which `rows` have every change.
    pub(super) fn load(rows: RowSet, since: u64, truncated: bool, now: Timestamp) -> Self {
        let mut state = Self {
            seq: rows.seq,
            floor: since,
            truncated,
            ..Self::default()
        };
        for row in rows.builds {
            if let Some(whole) = Whole::new(row.map, now) {
                let bytes = whole.data().get().len();
                state.put(Arc::new(whole), row.completed_seq, bytes);
            }
        }
        for host in rows.hosts {
            state
                .hosts
                .insert(host.name.clone(), Arc::new(HostRecord::new(host, now)));
        }
        state.evict(now);
        state
    }

    pub(super) fn truncated(&self) -> bool {
        self.truncated
    }

    pub(super) fn len(&self) -> usize {
        self.builds.len()
    }

    pub(super) fn build(&self, id: &str) -> Option<&Arc<Whole>> {
        self.builds.get(id).map(|entry| &entry.whole)
    }

    /// Builds of a snapshot, those that changed last first.
    pub(super) fn snapshot_builds(&self, now: Timestamp) -> Vec<Arc<Whole>> {
        let entries = self.builds.values().map(|entry| &entry.whole);
        let mut builds: Vec<_> = entries
            .filter(|build| build.in_snapshot(now))
            .cloned()
            .collect();
        builds.sort_by_key(|build| std::cmp::Reverse(build.seq));
        builds
    }

    /// Hosts by name.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Arc<HostRecord>> {
        self.hosts.values()
    }

    /// Takes in the frame that follows on `seq`.
    pub(super) fn apply(&mut self, incoming: Incoming, now: Timestamp) -> Applied {
        if incoming.seq <= self.seq {
            return Applied::Old;
        }
        if incoming.seq != self.seq + 1 {
            return Applied::Gap;
        }
        let (seq, at, text) = (incoming.seq, incoming.at, incoming.text);
        let (subject, urgent) = match incoming.said {
            Said::Update { id, patch } => {
                let Some((whole, known)) = self.patched(&id, &patch, at, now) else {
                    return Applied::Gap;
                };
                if whole.seq != seq {
                    return Applied::Gap;
                }
                let completed_seq = self.builds.get(&id).and_then(|entry| entry.completed_seq);
                let bytes = self.builds.get(&id).map_or(0, |entry| entry.bytes) + text.len();
                self.put(Arc::clone(&whole), completed_seq, bytes);
                (
                    Subject::Build {
                        now: whole,
                        patch: known.then_some(text),
                    },
                    is_urgent(&patch),
                )
            }
            Said::Complete { id } => {
                let Some(entry) = self.builds.get_mut(&id) else {
                    return Applied::Gap;
                };
                entry.completed_seq = Some(seq);
                (
                    Subject::Complete {
                        build: Arc::clone(&entry.whole),
                        frame: text,
                    },
                    true,
                )
            }
            Said::Host(host) => {
                let record = Arc::new(HostRecord::new(*host, at));
                self.hosts
                    .insert(record.host.name.clone(), Arc::clone(&record));
                (
                    Subject::Host {
                        now: record,
                        frame: text,
                    },
                    false,
                )
            }
        };
        self.seq = seq;
        self.evict(now);
        Applied::Change(Change::new(seq, subject, urgent, Source::Event))
    }

    /// The build after the patch, and whether readers hold the state before it.
    fn patched(
        &self,
        id: &str,
        patch: &Map<String, Value>,
        at: Timestamp,
        now: Timestamp,
    ) -> Option<(Arc<Whole>, bool)> {
        if let Some(map) = new_build(patch) {
            // Nobody holds anything of it, and the patch has all that is not null; whole is simpler to read.
            return Some((Arc::new(Whole::new(map, at)?), true));
        }
        let before = &self.builds.get(id)?.whole;
        let mut map = before.map.clone();
        merge_patch::apply(&mut map, patch);
        Some((Arc::new(Whole::new(map, at)?), before.in_snapshot(now)))
    }

    /// Takes in what Postgres has after `seq`, and lists what is to be told, in order.
    pub(super) fn catch_up(&mut self, rows: RowSet, now: Timestamp) -> Vec<Change> {
        let last = self.seq;
        let mut changes = Vec::new();
        let mut tell = |seq, subject, urgent| {
            changes.push(Change::new(seq, subject, urgent, Source::Sync));
        };
        for row in rows.builds {
            let Some(whole) = Whole::new(row.map, now).map(Arc::new) else {
                continue;
            };
            if let Some(seq) = row.completed_seq.filter(|seq| *seq > last) {
                let frame = whole.complete_frame(seq).text;
                tell(
                    seq,
                    Subject::Complete {
                        build: Arc::clone(&whole),
                        frame,
                    },
                    true,
                );
            }
            if whole.seq > last {
                tell(
                    whole.seq,
                    Subject::Build {
                        now: Arc::clone(&whole),
                        patch: None,
                    },
                    true,
                );
            }
            let bytes = whole.data().get().len();
            self.put(whole, row.completed_seq, bytes);
        }
        for host in rows.hosts.into_iter().filter(|host| host.seq > last) {
            let record = Arc::new(HostRecord::new(host, now));
            self.hosts
                .insert(record.host.name.clone(), Arc::clone(&record));
            let frame = record.sync_frame().text;
            tell(record.host.seq, Subject::Host { now: record, frame }, false);
        }
        changes.sort_by_key(|change| change.seq);
        self.seq = self.seq.max(rows.seq);
        self.evict(now);
        changes
    }

    /// What a reader who has everything up to `since` has missed, in order;
    /// none when only a snapshot helps.
    pub(super) fn missed(&self, since: u64, filter: &Filter) -> Option<Vec<OutFrame>> {
        if since > self.seq || since < self.floor {
            return None;
        }
        let mut frames = Vec::new();
        for entry in self
            .builds
            .values()
            .filter(|entry| filter.wants_build(&entry.whole))
        {
            if entry.whole.seq > since {
                frames.push(entry.whole.frame(Source::Sync));
            }
            if let Some(seq) = entry.completed_seq.filter(|seq| *seq > since) {
                frames.push(entry.whole.complete_frame(seq));
            }
            if frames.len() > MAX_RESUME {
                return None;
            }
        }
        let hosts = self
            .hosts
            .values()
            .filter(|record| filter.wants_host(record));
        frames.extend(
            hosts
                .filter(|record| record.host.seq > since)
                .map(|record| record.sync_frame()),
        );
        frames.sort_by_key(|frame| frame.seq);
        (frames.len() <= MAX_RESUME).then_some(frames)
    }

    fn put(&mut self, whole: Arc<Whole>, completed_seq: Option<u64>, bytes: usize) {
        self.bytes += bytes;
        let entry = Entry {
            whole,
            completed_seq,
            bytes,
        };
        if let Some(old) = self.builds.insert(entry.whole.id.clone(), entry) {
            self.bytes -= old.bytes;
        }
    }

    /// Keeps the limits. Builds that ended long ago go first, then those that changed least recently.
    pub(super) fn evict(&mut self, now: Timestamp) {
        if self.builds.len() > MAX_BUILDS || self.bytes > MAX_BYTES {
            self.drop_old(now);
            self.measure();
        }
        while self.builds.len() > MAX_BUILDS || self.bytes > MAX_BYTES {
            let oldest = self
                .builds
                .values()
                .min_by_key(|entry| (!entry.whole.has_ended(), entry.whole.seq));
            let Some(id) = oldest.map(|entry| entry.whole.id.clone()) else {
                break;
            };
            self.truncated = true;
            self.leave(&id);
        }
        while self.hosts.len() > MAX_HOSTS {
            let oldest = self.hosts.values().min_by_key(|record| record.host.seq);
            let Some(name) = oldest.map(|record| record.host.name.clone()) else {
                break;
            };
            if let Some(record) = self.hosts.remove(&name) {
                self.floor = self.floor.max(record.host.seq);
            }
        }
    }

    /// Builds that a snapshot no longer shows leave once nobody needs them for a resume.
    pub(super) fn drop_old(&mut self, now: Timestamp) {
        let done = |whole: &Whole| {
            let quiet = whole
                .last_updated()
                .is_none_or(|time| now.millis_since(time) > RESUMABLE_FOR_MS);
            quiet && !whole.in_snapshot(now)
        };
        let old: Vec<String> = self
            .builds
            .values()
            .filter(|entry| done(&entry.whole))
            .map(|entry| entry.whole.id.clone())
            .collect();
        for id in old {
            self.leave(&id);
        }
    }

    fn leave(&mut self, id: &str) {
        if let Some(entry) = self.builds.remove(id) {
            self.bytes -= entry.bytes;
            self.floor = self
                .floor
                .max(entry.whole.seq)
                .max(entry.completed_seq.unwrap_or(0));
        }
    }

    /// The text's real size, when the sum of patches says that it is too large.
    fn measure(&mut self) {
        if self.bytes <= MAX_BYTES {
            return;
        }
        for entry in self.builds.values_mut() {
            entry.bytes = entry.whole.data().get().len();
        }
        self.bytes = self.builds.values().map(|entry| entry.bytes).sum();
    }
}
