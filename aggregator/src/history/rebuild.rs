//! `phaseline-aggregator rebuild`: every stored fact is folded anew, track by
//! track; what differs from the projection replaces it, with a new seq, so that
//! readers see it as a change. It holds the leader's lock: nobody else writes.
//! It stops at retention: a build whose oldest event left is younger than its
//! `opened_at` (the commit of its first) stays as it is, and so do the runs before it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use protocol::{Build, Timestamp};

use super::{Replay, Start, replay, whole};
use crate::fold::costs;
use crate::store::{
    BuildRow, DatabaseTarget, Moves, Rows, Store, StoredRun, TrackKey, WriterSession,
};

/// How often progress is told, beginning at once.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What a rebuild did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Facts folded.
    pub facts: u64,
    /// Builds that came out as they were.
    pub same: u64,
    /// Builds that came out different, or are new.
    pub changed: u64,
    /// Builds that are none any more.
    pub gone: u64,
    /// Builds whose first events are past retention: left as they are.
    pub skipped: u64,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "folded {} facts: {} builds unchanged, {} changed, {} removed, {} skipped (their first events are past retention)",
            self.facts, self.same, self.changed, self.gone, self.skipped
        )
    }
}

/// Folds all stored facts anew.
///
/// # Errors
/// When an aggregator is writing, or Postgres cannot be used. What was rebuilt until then stays.
pub async fn rebuild(database: &DatabaseTarget) -> anyhow::Result<Rebuilt> {
    let store = Store::new(database)
        .map_err(|expected| anyhow!("use the database: expected {expected}"))?;
    store.migrate().await.context("prepare the database")?;
    let session = store.writer_session().await?;
    if !session.try_lead().await? {
        bail!("rebuild: an aggregator is writing to this database; stop all of them first");
    }
    let mut seq = session.newest_seq().await?;
    let mut rebuilt = Rebuilt::default();
    let tracks = store.all_tracks().await?;
    let mut told: Option<Instant> = None;
    for (done, key) in tracks.iter().enumerate() {
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            tracing::info!(done, of = tracks.len(), facts = rebuilt.facts, "rebuilding");
        }
        seq = track(&store, &session, key, seq, &mut rebuilt)
            .await
            .with_context(|| format!("rebuild {} on {}", key.producer, key.host))?;
    }
    Ok(rebuilt)
}

/// Rebuilds one track; answers the newest seq after it.
async fn track(
    store: &Store,
    session: &WriterSession,
    key: &TrackKey,
    seq: i64,
    rebuilt: &mut Rebuilt,
) -> anyhow::Result<i64> {
    let all = store.runs(key).await?;
    let (before, runs) = whole(&all);
    rebuilt.skipped += (all.len() - runs.len()) as u64;
    if runs.is_empty() {
        return Ok(seq);
    }
    let mut replay = replay(store, Start::of_runs(key, before, runs), None).await?;
    rebuilt.facts += replay.facts;
    let loaded = session.tracks(std::slice::from_ref(key)).await?.remove(key);
    if let Some(Ok(stored)) = &loaded {
        replay.track.catch_up(&stored.track);
    }
    let stored = loaded.and_then(Result::ok).map(|loaded| loaded.track);
    let compared = compare(runs, &mut replay);
    rebuilt.same += compared.same;
    rebuilt.changed += compared.changed.len() as u64;
    rebuilt.gone += compared.gone.len() as u64;
    let nothing_new = compared.changed.is_empty()
        && compared.gone.is_empty()
        && replay.moved.is_empty()
        && stored.as_ref() == Some(&replay.track);
    if nothing_new {
        return Ok(seq);
    }
    write(session, key, replay, compared, seq).await
}

struct Compared {
    same: u64,
    /// With whether its end is new.
    changed: Vec<(Build, bool)>,
    gone: Vec<String>,
}

/// Sets what came out beside what is stored. Signs of life without an event are kept.
fn compare(runs: &[StoredRun], replay: &mut Replay) -> Compared {
    let stored: BTreeMap<&str, &StoredRun> = runs
        .iter()
        .map(|run| (run.build.id.as_str(), run))
        .collect();
    let mut compared = Compared {
        same: 0,
        changed: Vec::new(),
        gone: Vec::new(),
    };
    for (build, _) in replay.builds.values_mut() {
        let before = stored.get(build.id.as_str());
        if let Some(before) = before {
            build.alive_at = build.alive_at.max(before.build.alive_at);
        }
        let same = |before: &&&StoredRun| {
            plain(&before.build) == plain(build) && before.costs == costs::parts(build)
        };
        if before.as_ref().is_some_and(same) {
            compared.same += 1;
        } else {
            let is_end = build.has_ended() && build.same_as.is_none();
            let ends = is_end && !before.is_some_and(|before| before.completed);
            compared.changed.push((build.clone(), ends));
        }
    }
    if let Some(alive_at) = replay
        .track
        .current()
        .and_then(|build| replay.builds.get(&build.id)?.0.alive_at)
    {
        replay.track.saw_life(alive_at);
    }
    compared.gone = runs
        .iter()
        .map(|run| run.build.id.clone())
        .filter(|id| !replay.builds.contains_key(id))
        .collect();
    compared
}

/// Without what the commit gives it.
fn plain(build: &Build) -> Build {
    Build {
        seq: 0,
        last_updated: Timestamp::default(),
        ..build.clone()
    }
}

async fn write(
    session: &WriterSession,
    key: &TrackKey,
    replay: Replay,
    compared: Compared,
    seq: i64,
) -> anyhow::Result<i64> {
    let mut next = seq;
    let mut take = || {
        next += 1;
        next
    };
    let builds = compared
        .changed
        .iter()
        .map(|(build, ends)| {
            Ok(BuildRow {
                build,
                key,
                seq: take(),
                completed_seq: ends.then(&mut take),
                body: serde_json::to_string(&plain(build))?,
                costs: costs::stored(build),
            })
        })
        .collect::<serde_json::Result<Vec<_>>>()?;
    let text = serde_json::to_string(&replay.track)?;
    let rows = Rows {
        builds,
        tracks: vec![(key, text.as_str())],
        ..Rows::default()
    };
    let moves = Moves {
        events: replay.moved,
        gone: compared.gone,
        builds: replay.builds.into_keys().collect(),
    };
    session.rewrite(&rows, &moves, seq, next).await?;
    Ok(next)
}
