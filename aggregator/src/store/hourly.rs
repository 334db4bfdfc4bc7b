//! Snapshots: what the fold remembered of a track, once an hour, so that a past
//! moment is folded from the hour before it and not from the first event. The
//! leader's task writes them beside the commits, for what has changed only.

use std::time::Duration;

use protocol::Timestamp;

use super::fold_state::TrackKey;
use super::{Store, StoreError, rows};
use crate::fold::Track;

/// Builds per statement: some 50 ms of work.
const BATCH: i64 = 200;
/// Runs of a track before the wanted one in whose snapshots its beginning is looked for.
const RUNS_BACK: i32 = 20;

// One statement sees the tracks, builds and events of one moment, because the one
// writer commits them together; `clock_timestamp` is read after that moment, so that
// no event in it was committed later than `taken_at`.
const TAKE: &str = "
WITH picked AS MATERIALIZED (
    SELECT id, host, producer, project_token, run, seq, last_updated FROM build
    WHERE seq > $1 AND last_updated > now() - make_interval(secs => $2) ORDER BY seq LIMIT $3
), written AS (
    INSERT INTO snapshot (build_id, hour, taken_at, last_event, build_seq, changed_at, fold)
    SELECT id, date_trunc('hour', clock_timestamp()), clock_timestamp(), COALESCE((SELECT max(id) FROM event), 0),
           seq, last_updated, fold
    FROM picked JOIN track USING (host, producer, project_token)
    WHERE NOT EXISTS (
        SELECT 1 FROM build later WHERE later.host = picked.host AND later.producer = picked.producer
            AND later.project_token = picked.project_token AND later.run > picked.run)
    ON CONFLICT (build_id, hour) DO UPDATE SET taken_at = EXCLUDED.taken_at, last_event = EXCLUDED.last_event,
        build_seq = EXCLUDED.build_seq, changed_at = EXCLUDED.changed_at, fold = EXCLUDED.fold
    RETURNING 1
)
SELECT max(seq) AS newest, count(*) = $3 AS more, (SELECT count(*) FROM written) AS written FROM picked";

// None is there without the events behind it: retention takes it before them.
const BEFORE: &str = "
SELECT snapshot.last_event, snapshot.changed_at, snapshot.fold, build.run
FROM snapshot JOIN build ON build.id = snapshot.build_id
WHERE build.host = $1 AND build.producer = $2 AND build.project_token = $3 AND build.run BETWEEN $4 AND $5
    AND snapshot.taken_at <= $6
ORDER BY snapshot.taken_at DESC LIMIT 1";

const LATER_RUNS: &str = "
SELECT id FROM build WHERE host = $1 AND producer = $2 AND project_token = $3 AND run >= $4 ORDER BY run";

/// How far a round of snapshots came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Builds up to this seq have been looked at; none when there was none.
    pub(crate) newest: Option<i64>,
    /// There may be more behind it.
    pub(crate) more: bool,
    /// Snapshots written.
    pub(crate) written: i64,
}

/// A track as it was at some earlier moment.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) track: Track,
    /// The current build's last change then.
    pub(crate) changed_at: Timestamp,
    /// Events after this one are to be folded.
    pub(crate) after: i64,
    /// Builds that those may be filed under.
    pub(crate) builds: Vec<String>,
}

impl Store {
    /// The seq up to which builds have snapshots.
    pub(crate) async fn snapshot_seq(&self) -> Result<i64, StoreError> {
        let client = self.client().await?;
        let sql = "SELECT COALESCE(max(build_seq), 0) FROM snapshot";
        Ok(client.query_one(sql, &[]).await?.try_get(0)?)
    }

    /// Writes one batch of snapshots, of builds that changed after a seq and whose events are not past retention.
    pub(crate) async fn take_snapshots(
        &self,
        after: i64,
        retention: Duration,
    ) -> Result<Round, StoreError> {
        let client = self.client().await?;
        let row = client
            .query_one(TAKE, &[&after, &retention.as_secs_f64(), &BATCH])
            .await?;
        Ok(Round {
            newest: row.try_get("newest")?,
            more: row.try_get("more")?,
            written: row.try_get("written")?,
        })
    }

    /// The newest snapshot of a track that may tell how a run was; none that can be used and read.
    pub(crate) async fn base(
        &self,
        key: &TrackKey,
        run: u32,
        at: Timestamp,
    ) -> Result<Option<Base>, StoreError> {
        let client = self.client().await?;
        let query = client.prepare_cached(BEFORE).await?;
        let project = key.project.to_string();
        let run = i32::try_from(run).unwrap_or(i32::MAX);
        let (first, at) = (run.saturating_sub(RUNS_BACK), at.to_system_time());
        let found = client
            .query_opt(
                &query,
                &[&key.host, &key.producer, &project, &first, &run, &at],
            )
            .await?;
        let Some(row) = found else {
            return Ok(None);
        };
        let text: &str = row.try_get("fold")?;
        // One of an older version is none: the beginning is still there, or it is not.
        let Ok(track) = serde_json::from_str::<Track>(text) else {
            return Ok(None);
        };
        let query = client.prepare_cached(LATER_RUNS).await?;
        let from: i32 = row.try_get("run")?;
        let later = client
            .query(&query, &[&key.host, &key.producer, &project, &from])
            .await?;
        let builds: Result<Vec<String>, _> = later.iter().map(|row| row.try_get("id")).collect();
        Ok(Some(Base {
            track,
            changed_at: rows::time(&row, "changed_at")?,
            after: row.try_get("last_event")?,
            builds: builds?,
        }))
    }
}
