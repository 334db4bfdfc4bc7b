//! Builds as they were at a moment. One that has not changed since is as its row
//! says; of one that has, the facts until then are folded again, on from the
//! track's last snapshot before. Only those under way at that moment are folded,
//! so that a listing costs no more than a few.

use std::time::{Duration, Instant};

use protocol::page::BuildPage;
use protocol::{Build, BuildState, Timestamp};

use super::{Start, replay, whole};
use crate::store::{Filter, Store, StoreError, StoredRun};

/// Builds folded for one page: more than are ever under way at once on a fleet of build machines.
const MAX_FOLDED: usize = 200;
/// A page is closed early after this long: whoever asks waits for 4 s.
const FOLD_FOR: Duration = Duration::from_secs(2);

/// A build at a moment.
#[derive(Debug)]
pub(crate) enum Moment {
    /// As it was; `seq` is 0, as a moment has no place in the order of changes.
    Was(Box<Build>),
    /// It had not begun.
    NotYet,
    /// There is no such build.
    NoBuild,
    /// The events that tell are past retention.
    Forgotten,
}

/// Tells how a build was when everything committed by `at` had been folded.
///
/// # Errors
/// When Postgres cannot be asked or holds what this program does not write.
pub(crate) async fn build_at(store: &Store, id: &str, at: Timestamp) -> Result<Moment, StoreError> {
    match store.candidate(id, at).await? {
        None => Ok(Moment::NoBuild),
        Some(None) => Ok(Moment::NotYet),
        Some(Some(row)) if row.settled => Ok(was(row.build)),
        Some(Some(row)) => folded(store, &row.build, at).await,
    }
}

/// A page of builds as they were. It may be shorter than asked for although more follow:
/// `next` tells. One whose events are past retention is there as unknown.
///
/// # Errors
/// When Postgres cannot be asked or holds what this program does not write.
pub(crate) async fn builds_at(
    store: &Store,
    filter: &Filter,
    at: Timestamp,
) -> Result<BuildPage, StoreError> {
    let until = Instant::now() + FOLD_FOR;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let (mut builds, mut folds, mut last) = (Vec::new(), 0, filter.before);
    loop {
        let rows = store.candidates(filter, at, last, limit + 1).await?;
        let are_all = rows.len() <= limit;
        for row in rows {
            let enough = builds.len() >= limit;
            let tired = folds > 0 && (folds >= MAX_FOLDED || Instant::now() >= until);
            if enough || (tired && !row.settled) {
                let next = last.map(|seq| seq.to_string());
                return Ok(BuildPage { builds, next });
            }
            last = Some(row.opened_seq);
            if row.settled {
                builds.push(moment(row.build));
                continue;
            }
            folds += 1;
            let build = match folded(store, &row.build, at).await? {
                Moment::Was(build) => *build,
                Moment::Forgotten => unknown(&row.build),
                Moment::NotYet | Moment::NoBuild => continue,
            };
            if filter.moving.shows(&build) {
                builds.push(build);
            }
        }
        if are_all {
            return Ok(BuildPage { builds, next: None });
        }
    }
}

/// Folds what is known of a build until a moment.
async fn folded(store: &Store, now: &Build, at: Timestamp) -> Result<Moment, StoreError> {
    let Some(key) = store.track_of(&now.id).await? else {
        return Ok(Moment::NoBuild);
    };
    if let Some(base) = store.base(&key, now.run, at).await? {
        let mut replay = replay(store, Start::of_snapshot(base), Some(at)).await?;
        if let Some((build, changed)) = replay.builds.remove(&now.id) {
            return Ok(changed_at(build, changed));
        }
    }
    let runs = store.runs(&key).await?;
    let (before, runs) = whole(&runs);
    let is_whole = |run: &StoredRun| run.build.id == now.id;
    if !runs.iter().any(is_whole) {
        return Ok(Moment::Forgotten);
    }
    let mut replay = replay(store, Start::of_runs(&key, before, runs), Some(at)).await?;
    Ok(match replay.builds.remove(&now.id) {
        Some((build, changed)) => changed_at(build, changed),
        None => Moment::NotYet,
    })
}

fn changed_at(build: Build, last_updated: Timestamp) -> Moment {
    was(Build {
        last_updated,
        ..build
    })
}

fn was(build: Build) -> Moment {
    Moment::Was(Box::new(moment(build)))
}

fn moment(build: Build) -> Build {
    Build { seq: 0, ..build }
}

/// What is left of a build whose events are past retention: that it was there.
fn unknown(now: &Build) -> Build {
    Build {
        state: BuildState::Unknown,
        state_reason: Some("the events that tell how it was are past retention".to_owned()),
        status: None,
        phase: None,
        phase_number: None,
        phases: Vec::new(),
        progress: None,
        detail: None,
        test_iteration: None,
        ended_at: None,
        changed_at: None,
        observed_at: None,
        gap_at: None,
        alive_at: None,
        seq: 0,
        branch: None,
        issue: None,
        pr_url: None,
        commit: None,
        coding_agent: None,
        model: None,
        cost_usd: None,
        cost_estimated: None,
        tokens: None,
        context: None,
        todos: None,
        calls: None,
        agents: None,
        tests: None,
        decisions: None,
        tasks: None,
        summary: None,
        error: None,
        facts: Vec::new(),
        fields: serde_json::Map::new(),
        ..now.clone()
    }
}
