//! Builds as they were at a moment. One that has not changed since is as its row
//! says; of one that has, the facts until then are folded again, on from the
//! track's last snapshot before. Only those under way at that moment are folded,
//! so that a listing costs no more than a few.

use std::time::{Duration, Instant};

use protocol::page::BuildPage;
use protocol::{Build, Timestamp};

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
                builds.push(without_place(row.build));
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
    Moment::Was(Box::new(without_place(build)))
}

/// A moment has no place in the order of changes.
fn without_place(build: Build) -> Build {
    Build { seq: 0, ..build }
}

/// What is left of a build whose events are past retention: that it was there, and since when. What its row says of now
/// is not what it was.
fn unknown(now: &Build) -> Build {
    Build {
        session_id: now.session_id.clone(),
        state_reason: Some("the events that tell how it was are past retention".to_owned()),
        started_at: now.started_at,
        last_updated: now.last_updated,
        same_as: now.same_as.clone(),
        ..Build::new(now.identity())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    /// A build of which everything is known.
    fn whole() -> Map<String, Value> {
        let at = "2026-11-20T10:08:17.042Z";
        let first = json!({
            "id": "h-0011223344556677-3", "host": "h", "producer": "adw", "project": "shop", "root": "~",
            "path": "src/shop", "session_id": "s", "run": 3, "origin": "http", "found": true, "state": "completed",
            "state_reason": "said so", "status": "done", "phase": "Test", "phase_number": "2/2",
            "phases": [{"name": "Test", "state": "completed", "started_at": at, "ended_at": at, "iterations": 1}],
            "progress": 1.0, "detail": "all well", "test_iteration": 2, "started_at": at, "ended_at": at,
            "changed_at": at, "observed_at": at, "last_updated": at, "gap_at": at, "alive_at": at, "same_as": "other"
        });
        let rest = json!({
            "seq": 7, "branch": "main", "issue": "83", "pr_url": "https://example.com/1", "commit": "0c3571f",
            "coding_agent": "claude-code", "model": "m", "cost_usd": 1.5, "cost_estimated": false,
            "tokens": {"input": 1}, "context": {"used": 1}, "todos": [{"text": "t"}],
            "calls": [{"name": "Bash", "input": "ls", "output": "secret"}], "agents": [{"name": "a"}],
            "tests": {"passed": 1}, "decisions": {"total": 1}, "tasks": {"total": 1}, "summary": "well", "error": "none",
            "facts": [{"key": "k", "label": "K", "text": "v"}], "fields": {"k": "v"}
        });
        let members = [first, rest].into_iter().filter_map(|part| match part {
            Value::Object(members) => Some(members),
            _ => None,
        });
        members.flatten().collect()
    }

    #[test]
    fn of_a_build_past_retention_nothing_is_told_that_may_have_changed() {
        let now: Build = serde_json::from_value(Value::Object(whole())).unwrap();
        let Value::Object(now_told) = serde_json::to_value(&now).unwrap() else {
            panic!("a build is an object");
        };
        for (member, value) in &now_told {
            assert!(!value.is_null(), "the sample lacks {member}");
        }
        let then = serde_json::to_value(unknown(&now)).unwrap();
        let as_now: Vec<&str> = now_told
            .iter()
            .filter(|(member, value)| then[member.as_str()] == **value)
            .map(|(member, _)| member.as_str())
            .collect();
        let lasting = [
            "found",
            "host",
            "id",
            "last_updated",
            "origin",
            "path",
            "producer",
            "project",
            "root",
            "run",
            "same_as",
            "session_id",
            "started_at",
        ];
        assert_eq!(as_now, lasting);
        assert_eq!(
            (&then["state"], &then["calls"]),
            (&json!("unknown"), &Value::Null)
        );
    }
}
