//! The open builds that the leader watches for silence: by when each must
//! have shown a sign of life. Small entries, so that ten thousand fit; the
//! tracks themselves are loaded when a deadline passes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{BuildState, ProjectToken, Timestamp};

use crate::fold::{TimerKind, Track};
use crate::store::TrackKey;

/// An open build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) build_id: String,
    pub(crate) state: BuildState,
    /// Label of the root that it lies beneath.
    pub(crate) root: String,
    alive_at: Option<Timestamp>,
    limit_ms: Option<i64>,
    deadline: Option<Timestamp>,
}

/// What a sign of life in a presence means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nothing new.
    Known,
    /// `alive_at` moves: no event, no frame.
    Moved,
    /// The build was called stalled, and is not.
    Wakes,
}

/// All open builds, by track and by deadline.
#[derive(Debug, Default)]
pub(crate) struct OpenBuilds {
    open: BTreeMap<TrackKey, Open>,
    deadlines: BTreeSet<(Timestamp, TrackKey)>,
}

/// When a sign of life was, on our clock: a host's clock may be off, and a file's time may be
/// anything, but it was not after we heard of it.
fn on_our_clock(at: Timestamp, offset_ms: i64, now: Timestamp) -> Timestamp {
    at.plus_millis(offset_ms.saturating_neg()).min(now)
}

impl OpenBuilds {
    /// Takes over how a track stands now. `offset_ms` is the host's clock minus ours.
    pub(crate) fn update(&mut self, key: &TrackKey, track: &Track, offset_ms: i64, now: Timestamp) {
        let Some(build) = track.current().filter(|build| !build.has_ended()) else {
            if let Some(ended) = self.open.remove(key) {
                self.forget_deadline(key, ended.deadline);
            }
            return;
        };
        let mut entry = Open {
            build_id: build.id.clone(),
            state: build.state,
            root: build.root.clone(),
            alive_at: build.alive_at,
            limit_ms: track.silence().map(|silence| silence.limit_ms),
            deadline: None,
        };
        let unmoved = self.open.get(key).is_some_and(|old| {
            (&old.build_id, old.alive_at, old.limit_ms)
                == (&entry.build_id, entry.alive_at, entry.limit_ms)
        });
        if unmoved {
            // The same sign of life, heard again later, is not a younger one.
            entry.deadline = self.open.get(key).and_then(|old| old.deadline);
        } else {
            entry.deadline = entry.deadline_after(offset_ms, now);
        }
        self.put(key, entry);
    }

    fn put(&mut self, key: &TrackKey, entry: Open) {
        if let Some(old) = self.open.get(key) {
            self.forget_deadline(key, old.deadline);
        }
        if let Some(deadline) = entry.deadline {
            self.deadlines.insert((deadline, key.clone()));
        }
        self.open.insert(key.clone(), entry);
    }

    fn forget_deadline(&mut self, key: &TrackKey, deadline: Option<Timestamp>) {
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, key.clone()));
        }
    }

    /// A sign of life from a presence.
    pub(crate) fn life(
        &mut self,
        key: &TrackKey,
        at: Timestamp,
        offset_ms: i64,
        now: Timestamp,
    ) -> Life {
        let Some(old) = self.open.get(key) else {
            return Life::Known;
        };
        if old.alive_at >= Some(at) {
            return Life::Known;
        }
        if old.state == BuildState::Stalled {
            return Life::Wakes;
        }
        let mut entry = old.clone();
        entry.alive_at = Some(at);
        entry.deadline = entry.deadline_after(offset_ms, now);
        self.put(key, entry);
        Life::Moved
    }

    pub(crate) fn get(&self, key: &TrackKey) -> Option<&Open> {
        self.open.get(key)
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Tracks whose deadline has passed, the earliest first, at most `limit`.
    pub(crate) fn due(&self, now: Timestamp, limit: usize) -> Vec<TrackKey> {
        let passed = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        passed.take(limit).map(|(_, key)| key.clone()).collect()
    }

    /// Looks at this one again later.
    pub(crate) fn postpone(&mut self, key: &TrackKey, until: Timestamp) {
        if let Some(mut entry) = self.open.get(key).cloned() {
            entry.deadline = entry.deadline.map(|_| until);
            self.put(key, entry);
        }
    }

    /// The open builds of a host.
    pub(crate) fn of_host<'a>(
        &'a self,
        host: &'a str,
    ) -> impl Iterator<Item = (&'a TrackKey, &'a Open)> {
        let first = TrackKey {
            host: host.to_owned(),
            producer: String::new(),
            project: ProjectToken(0),
        };
        self.open
            .range(first..)
            .take_while(move |(key, _)| key.host == host)
    }
}

impl Open {
    /// Whether a finding about its host is to be told to this build.
    pub(crate) fn is_concerned(&self, kind: &TimerKind) -> bool {
        let unknown = self.state == BuildState::Unknown;
        match kind {
            TimerKind::HostGone { .. } => !unknown,
            TimerKind::HostBack => unknown,
            // Also when unknown: its host may be back only in this moment.
            TimerKind::RootMissing { root, .. } => *root == self.root,
            TimerKind::RootBack { root } => unknown && *root == self.root,
            TimerKind::Silent { .. }
            | TimerKind::Alive { .. }
            | TimerKind::Joins { .. }
            | TimerKind::JoinsSession { .. }
            | TimerKind::Joined { .. } => false,
        }
    }

    fn deadline_after(&self, offset_ms: i64, now: Timestamp) -> Option<Timestamp> {
        let alive_at = on_our_clock(self.alive_at?, offset_ms, now);
        Some(alive_at.plus_millis(self.limit_ms?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
    }

    fn key(host: &str, project: u64) -> TrackKey {
        TrackKey {
            host: host.into(),
            producer: "context-foundry".into(),
            project: ProjectToken(project),
        }
    }

    fn open(alive_at: Timestamp, limit_ms: i64, state: BuildState) -> Open {
        Open {
            build_id: "b".into(),
            state,
            root: "r".into(),
            alive_at: Some(alive_at),
            limit_ms: Some(limit_ms),
            deadline: Some(alive_at.plus_millis(limit_ms)),
        }
    }

    #[test]
    fn the_deadline_is_on_our_clock_and_never_beyond_what_we_heard() {
        // A host one hour ahead, heard now: its file time is one hour in our future.
        assert_eq!(on_our_clock(at(3600), 3_600_000, at(5)), at(0));
        // A file time of next year on a host whose clock is right.
        assert_eq!(on_our_clock(at(31_000_000), 0, at(5)), at(5));
    }

    #[test]
    fn deadlines_pass_in_order_and_life_moves_them() {
        let mut builds = OpenBuilds::default();
        builds.put(&key("a", 1), open(at(0), 600_000, BuildState::Running));
        builds.put(&key("a", 2), open(at(10), 600_000, BuildState::Running));
        assert_eq!(builds.next_deadline(), Some(at(600)));
        assert_eq!(builds.life(&key("a", 1), at(100), 0, at(101)), Life::Moved);
        assert_eq!(builds.life(&key("a", 1), at(100), 0, at(111)), Life::Known);
        assert_eq!(builds.due(at(600), 10), []);
        assert_eq!(builds.due(at(610), 10), [key("a", 2)]);
        assert_eq!(builds.due(at(9999), 1), [key("a", 2)]);
        builds.postpone(&key("a", 2), at(10_000));
        assert_eq!(builds.due(at(9999), 9), [key("a", 1)]);
    }

    #[test]
    fn life_of_a_stalled_build_wakes_it() {
        let mut builds = OpenBuilds::default();
        builds.put(&key("a", 1), open(at(0), 600_000, BuildState::Stalled));
        assert_eq!(builds.life(&key("a", 1), at(0), 0, at(1)), Life::Known);
        assert_eq!(builds.life(&key("a", 1), at(5), 0, at(6)), Life::Wakes);
        assert_eq!(builds.life(&key("b", 1), at(5), 0, at(6)), Life::Known);
    }

    #[test]
    fn the_builds_of_a_host_are_those_of_no_other() {
        let mut builds = OpenBuilds::default();
        for (host, project) in [("a", 1), ("a", u64::MAX), ("a.b", 1), ("b", 1)] {
            builds.put(&key(host, project), open(at(0), 1, BuildState::Running));
        }
        let of_a: Vec<_> = builds.of_host("a").map(|(key, _)| key.project.0).collect();
        assert_eq!(of_a, [1, u64::MAX]);
    }
}
