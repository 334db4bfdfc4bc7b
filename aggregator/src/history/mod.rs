//! The past: stored facts folded again, to see a build as it was, or to put a
//! new projection in place of the old when the fold has learned something.

mod moment;
mod rebuild;
mod snapshots;

use std::collections::BTreeMap;

use protocol::{Build, Timestamp, subject};

use crate::fold::{Effect, Track};
use crate::store::{Base, Store, StoreError, StoredRun, TrackKey};

pub(crate) use moment::{Moment, build_at, builds_at};
pub use rebuild::{Rebuilt, rebuild};
pub(crate) use snapshots::keep_taking;

/// What a track's facts come to.
#[derive(Debug)]
struct Replay {
    track: Track,
    /// Builds by id, each as the last fact left it, with the time of its last change.
    builds: BTreeMap<String, (Build, Timestamp)>,
    /// Events that were folded into another build before.
    moved: Vec<(i64, String)>,
    facts: u64,
}

/// The runs whose facts are all there: those after the last of which the first facts are past retention.
fn whole(runs: &[StoredRun]) -> (u32, &[StoredRun]) {
    let lost = runs.iter().rposition(|run| !run.whole);
    let first = lost.map_or(0, |place| place + 1);
    let before = lost.map_or(0, |place| runs[place].build.run);
    (before, &runs[first..])
}

/// From where facts are folded: the state before them, and which they are.
#[derive(Debug)]
struct Start {
    replay: Replay,
    /// Builds that the facts are filed under.
    ids: Vec<String>,
    /// Those after this one.
    after: i64,
}

impl Start {
    /// With the first fact of these runs, which are all of a track after `before` runs.
    fn of_runs(key: &TrackKey, before: u32, runs: &[StoredRun]) -> Self {
        let mut ids: Vec<String> = runs.iter().map(|run| run.build.id.clone()).collect();
        // What came before the first run is filed under it.
        let first = subject::build_id(&key.host, key.project, before + 1);
        if !ids.contains(&first) {
            ids.push(first);
        }
        let track = Track::after_runs(&key.host, &key.producer, key.project, before);
        Self {
            replay: Replay::begin(track),
            ids,
            after: 0,
        }
    }

    /// After what a snapshot knows already.
    fn of_snapshot(base: Base) -> Self {
        let mut replay = Replay::begin(base.track);
        if let Some(build) = replay.track.current().cloned() {
            let known = (build, base.changed_at);
            replay.builds.insert(known.0.id.clone(), known);
        }
        Self {
            replay,
            ids: base.builds,
            after: base.after,
        }
    }
}

impl Replay {
    fn begin(track: Track) -> Self {
        Self {
            track,
            builds: BTreeMap::new(),
            moved: Vec::new(),
            facts: 0,
        }
    }
}

/// Folds the facts until a moment or to their end.
async fn replay(
    store: &Store,
    start: Start,
    until: Option<Timestamp>,
) -> Result<Replay, StoreError> {
    let Start {
        mut replay,
        ids,
        mut after,
    } = start;
    loop {
        let page = store.facts(&ids, after, until).await?;
        let Some(last) = page.last() else {
            return Ok(replay);
        };
        after = last.id;
        for stored in page {
            replay.facts += 1;
            let outcome = replay.track.fold(&stored.fact);
            if outcome.build_id != stored.build_id {
                replay.moved.push((stored.id, outcome.build_id));
            }
            if outcome.effect == Effect::Folded {
                for build in outcome.changed {
                    replay
                        .builds
                        .insert(build.id.clone(), (build, stored.committed_at));
                }
            }
        }
    }
}
