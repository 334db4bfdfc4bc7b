//! The stored facts of a track in the order of their commits, to be folded
//! again, and the transaction that puts a new projection in place of the old.

use protocol::{Build, Event, Timestamp};
use serde_json::value::RawValue;
use tokio_postgres::Row;

use super::fold_state::TrackKey;
use super::rows::{self, BUILD_COLUMNS};
use super::session::WriterSession;
use super::{CommitError, Committed, Rows, Store, StoreError};
use crate::fold::costs::Part;
use crate::fold::{Fact, TimerFact};

/// Facts that are read at once.
const PAGE: i64 = 500;
/// Size of the files in one page, bytes; a page has at least one fact.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;

/// A fact as it was committed.
#[derive(Debug)]
pub(crate) struct StoredFact {
    /// Its place in the order of commits.
    pub(crate) id: i64,
    /// The build it was folded into.
    pub(crate) build_id: String,
    /// When it was committed.
    pub(crate) committed_at: Timestamp,
    /// The fact itself.
    pub(crate) fact: Fact,
}

/// A run as the projection has it.
#[derive(Debug)]
pub(crate) struct StoredRun {
    /// The build.
    pub(crate) build: Build,
    /// Whether its end was given a seq.
    pub(crate) completed: bool,
    /// The parts of its cost.
    pub(crate) costs: Option<Vec<Part>>,
    /// All its events are there; false when retention took the first.
    pub(crate) whole: bool,
}

const FACTS: &str = "
SELECT id, build_id, committed_at, agent IS NULL AS timer, envelope::text AS envelope, document::text AS document
FROM (
    SELECT *, sum(size) OVER (ORDER BY id) - size AS before
    FROM (
        SELECT * FROM event
        WHERE build_id = ANY($1) AND id > $2 AND ($3::timestamptz IS NULL OR date_trunc('milliseconds', committed_at) <= $3)
        ORDER BY id LIMIT $4
    ) page
) sized WHERE before < $5::bigint ORDER BY id";

const TRACKS: &str = "
SELECT host, producer, project_token FROM build GROUP BY host, producer, project_token
ORDER BY host, producer, project_token";

const MOVE_EVENTS: &str = "
UPDATE event SET build_id = moved.build_id
FROM unnest($1::bigint[], $2::text[]) AS moved (id, build_id) WHERE event.id = moved.id";

const OPENED: &str = "
UPDATE build SET opened_at = first.at
FROM (SELECT build_id, min(committed_at) AS at FROM event WHERE build_id = ANY($1) GROUP BY build_id) first
WHERE build.id = first.build_id AND build.opened_at <> first.at";

impl Store {
    /// A page of the facts of these builds after a place, in the order of their
    /// commits; empty when there are no more. With `until`, only those committed by then.
    pub(crate) async fn facts(
        &self,
        build_ids: &[String],
        after: i64,
        until: Option<Timestamp>,
    ) -> Result<Vec<StoredFact>, StoreError> {
        let client = self.client().await?;
        let query = client.prepare_cached(FACTS).await?;
        let until = until.map(Timestamp::to_system_time);
        let found = client
            .query(&query, &[&build_ids, &after, &until, &PAGE, &PAGE_BYTES])
            .await?;
        found.iter().map(stored_fact).collect()
    }

    /// Every track that ever had a build.
    pub(crate) async fn all_tracks(&self) -> Result<Vec<TrackKey>, StoreError> {
        let client = self.client().await?;
        let found = client.query(TRACKS, &[]).await?;
        found.iter().map(super::fold_state::key).collect()
    }

    /// The track that a build belongs to.
    pub(crate) async fn track_of(&self, build_id: &str) -> Result<Option<TrackKey>, StoreError> {
        let client = self.client().await?;
        let query = client
            .prepare_cached("SELECT host, producer, project_token FROM build WHERE id = $1")
            .await?;
        let found = client.query_opt(&query, &[&build_id]).await?;
        found.as_ref().map(super::fold_state::key).transpose()
    }

    /// The runs of a track, oldest first.
    pub(crate) async fn runs(&self, key: &TrackKey) -> Result<Vec<StoredRun>, StoreError> {
        let client = self.client().await?;
        // A database of before may say that a build was opened after a part of it that came first.
        let query = client
            .prepare_cached(&format!(
                "SELECT {BUILD_COLUMNS},
                    costs::text AS costs, COALESCE((SELECT min(committed_at) FROM event WHERE build_id = build.id) <= opened_at, false) AS whole
                 FROM build WHERE host = $1 AND producer = $2 AND project_token = $3 ORDER BY run"
            ))
            .await?;
        let project = key.project.to_string();
        let found = client
            .query(&query, &[&key.host, &key.producer, &project])
            .await?;
        let run = |row: &Row| {
            Ok(StoredRun {
                build: rows::build(row)?,
                completed: rows::completed_seq(row)?.is_some(),
                costs: costs(row)?,
                whole: row.try_get("whole")?,
            })
        };
        found.iter().map(run).collect()
    }
}

/// What cannot be read is as good as none: it is made anew.
fn costs(row: &Row) -> Result<Option<Vec<Part>>, StoreError> {
    let text: Option<&str> = row.try_get("costs")?;
    Ok(text.and_then(|text| serde_json::from_str(text).ok()))
}

fn stored_fact(row: &Row) -> Result<StoredFact, StoreError> {
    let bad = |error: serde_json::Error| StoreError::Row(format!("an event's envelope: {error}"));
    let envelope: &str = row.try_get("envelope")?;
    let fact = if row.try_get("timer")? {
        Fact::Timer(serde_json::from_str::<TimerFact>(envelope).map_err(bad)?)
    } else {
        let mut event: Event = serde_json::from_str(envelope).map_err(bad)?;
        let document: Option<String> = row.try_get("document")?;
        event.document = document
            .map(RawValue::from_string)
            .transpose()
            .map_err(bad)?;
        Fact::Observed(event)
    };
    Ok(StoredFact {
        id: row.try_get("id")?,
        build_id: row.try_get("build_id")?,
        committed_at: rows::time(row, "committed_at")?,
        fact,
    })
}

/// What a new projection of a track changes beside its rows.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// Events that now belong to another build.
    pub(crate) events: Vec<(i64, String)>,
    /// Builds that are none any more.
    pub(crate) gone: Vec<String>,
    /// Every build of the new projection.
    pub(crate) builds: Vec<String>,
}

impl WriterSession {
    /// Puts a track's new projection in place of the old, in one transaction.
    pub(crate) async fn rewrite(
        &self,
        rows: &Rows<'_>,
        moves: &Moves,
        expected: i64,
        next: i64,
    ) -> Result<Committed, CommitError> {
        let client = self.client();
        client.batch_execute("BEGIN").await?;
        let done = self.rewrite_inside(rows, moves, expected, next).await;
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        client.batch_execute(end).await?;
        done
    }

    async fn rewrite_inside(
        &self,
        rows: &Rows<'_>,
        moves: &Moves,
        expected: i64,
        next: i64,
    ) -> Result<Committed, CommitError> {
        let client = self.client();
        let (ids, build_ids): (Vec<i64>, Vec<&str>) = moves
            .events
            .iter()
            .map(|(id, build)| (*id, build.as_str()))
            .unzip();
        client.execute(MOVE_EVENTS, &[&ids, &build_ids]).await?;
        client
            .execute("DELETE FROM build WHERE id = ANY($1)", &[&moves.gone])
            .await?;
        // They hold what the older fold remembered. The next full hour brings new ones.
        for ids in [&moves.builds, &moves.gone] {
            client
                .execute("DELETE FROM snapshot WHERE build_id = ANY($1)", &[ids])
                .await?;
        }
        let committed = self.commit(rows, expected, next).await?;
        client.execute(OPENED, &[&moves.builds]).await?;
        Ok(committed)
    }
}
