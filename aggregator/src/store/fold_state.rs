//! What the leader reads back: tracks (the fold's memory) on demand, and at
//! take-over the newest seq, the hosts and every track with an open build.

use std::collections::BTreeMap;

use protocol::{Host, ProjectToken, Timestamp};

use super::rows;
use super::session::WriterSession;
use super::{StoreError, answered, describe};
use crate::fold::Track;
use tokio_postgres::types::ToSql;

/// Which track: one producer in one project on one host. Sorts by host first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TrackKey {
    pub(crate) host: String,
    pub(crate) producer: String,
    pub(crate) project: ProjectToken,
}

/// A track from its row.
#[derive(Debug)]
pub(crate) struct LoadedTrack {
    pub(crate) track: Track,
    /// Size of the row, bytes: what keeping it in memory costs, roughly.
    pub(crate) bytes: usize,
}

const TRACKS: &str = "
SELECT t.host, t.producer, t.project_token, t.fold, b.id AS build_id, b.alive_at
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (host, producer, project_token)
JOIN track t USING (host, producer, project_token)
LEFT JOIN LATERAL (
    SELECT id, alive_at FROM build
    WHERE build.host = t.host AND build.producer = t.producer AND build.project_token = t.project_token
    ORDER BY run DESC LIMIT 1
) b ON true";

/// Where calls that name a session go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionTrack {
    pub(crate) key: TrackKey,
    pub(crate) build_id: String,
    /// That build has not ended.
    pub(crate) open: bool,
}

/// A session that may have another track in the same directory.
#[derive(Debug)]
pub(crate) struct Beside<'a> {
    pub(crate) key: &'a TrackKey,
    pub(crate) session: String,
    /// Label of the root, and the directory in it.
    pub(crate) root: &'a str,
    pub(crate) path: &'a str,
}

/// A session is usually named like its project's directory; one that its files name otherwise is found by that.
/// Claude Code's never are: what its hooks call the project is any word.
const TRACK_OF_SESSION: &str = "
SELECT host, producer, project_token, id, open FROM (
    SELECT *, ended_at IS NULL AS open FROM build
    WHERE host = $1 AND producer = $2 AND session_id = $3
    UNION ALL
    SELECT *, true AS open FROM build
    WHERE host = $1 AND producer = $2 AND project = $3 AND ended_at IS NULL AND session_id IS DISTINCT FROM $3
        AND producer <> 'claude-code'
) found
WHERE state <> 'unknown' OR body->>'same_as' IS NULL
ORDER BY open DESC, session_id IS NOT DISTINCT FROM $3 DESC, opened_seq DESC LIMIT 1";

/// The newest active build of another producer in a project.
const TRACK_NEAR: &str = "
SELECT host, producer, project_token FROM build
WHERE host = $1 AND project_token = $2 AND producer <> $3 AND ended_at IS NULL
ORDER BY opened_seq DESC LIMIT 1";

/// Of each session the newest build beside a track, in the same directory: where it is its track's newest.
const TRACKS_BESIDE: &str = "
SELECT wanted.place, found.host, found.producer, found.project_token
FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS wanted (place, host, producer, project_token, session, root, path)
JOIN LATERAL (
    SELECT host, producer, project_token, run FROM build
    WHERE session_id = wanted.session AND host = wanted.host AND producer = wanted.producer
        AND path = wanted.path AND body->>'root' = wanted.root AND project_token <> wanted.project_token
        AND (state <> 'unknown' OR body->>'same_as' IS NULL)
    ORDER BY opened_seq DESC LIMIT 1
) found ON true
WHERE NOT EXISTS (
    SELECT 1 FROM build newer
    WHERE newer.host = found.host AND newer.producer = found.producer
        AND newer.project_token = found.project_token AND newer.run > found.run
)";

const OPEN_KEYS: &str = "
SELECT DISTINCT host, producer, project_token FROM build WHERE ended_at IS NULL
ORDER BY host, producer, project_token";

impl WriterSession {
    /// The tracks of these keys; one that has no row is absent, one whose row
    /// cannot be read is an error text in place of the track.
    pub(crate) async fn tracks(
        &self,
        keys: &[TrackKey],
    ) -> Result<BTreeMap<TrackKey, Result<LoadedTrack, String>>, StoreError> {
        let hosts: Vec<&str> = keys.iter().map(|key| key.host.as_str()).collect();
        let producers: Vec<&str> = keys.iter().map(|key| key.producer.as_str()).collect();
        let projects: Vec<String> = keys.iter().map(|key| key.project.to_string()).collect();
        let params: [&(dyn ToSql + Sync); 3] = [&hosts, &producers, &projects];
        let rows = answered(self.client().query(TRACKS, &params)).await?;
        rows.iter().map(track).collect()
    }

    /// The track of a producer's session on a host: that of the newest active build with
    /// it, else of the newest.
    pub(crate) async fn track_of_session(
        &self,
        host: &str,
        producer: &str,
        session: &str,
    ) -> Result<Option<SessionTrack>, StoreError> {
        let params: [&(dyn ToSql + Sync); 3] = [&host, &producer, &session];
        let row = answered(self.client().query_opt(TRACK_OF_SESSION, &params)).await?;
        let place = |row: &tokio_postgres::Row| {
            Ok(SessionTrack {
                key: key(row)?,
                build_id: row.try_get("id")?,
                open: row.try_get("open")?,
            })
        };
        row.as_ref().map(place).transpose()
    }

    /// The track of another producer's newest active build in a project.
    pub(crate) async fn track_near(
        &self,
        host: &str,
        project: ProjectToken,
        producer: &str,
    ) -> Result<Option<TrackKey>, StoreError> {
        let params: [&(dyn ToSql + Sync); 3] = [&host, &project.to_string(), &producer];
        let row = answered(self.client().query_opt(TRACK_NEAR, &params)).await?;
        row.as_ref().map(key).transpose()
    }

    /// The tracks beside these whose newest build is of the wanted session, by the place of what was wanted.
    pub(crate) async fn tracks_beside(
        &self,
        wanted: &[Beside<'_>],
    ) -> Result<BTreeMap<usize, TrackKey>, StoreError> {
        let places: Vec<i32> = (0..).take(wanted.len()).collect();
        let column = |of: fn(&Beside<'_>) -> String| wanted.iter().map(of).collect::<Vec<_>>();
        let hosts = column(|beside| beside.key.host.clone());
        let producers = column(|beside| beside.key.producer.clone());
        let projects = column(|beside| beside.key.project.to_string());
        let sessions = column(|beside| beside.session.clone());
        let roots = column(|beside| beside.root.to_owned());
        let paths = column(|beside| beside.path.to_owned());
        let params: [&(dyn ToSql + Sync); 7] = [
            &places, &hosts, &producers, &projects, &sessions, &roots, &paths,
        ];
        let rows = answered(self.client().query(TRACKS_BESIDE, &params)).await?;
        let found = rows.iter().map(|row| {
            let place: i32 = row.try_get("place")?;
            Ok((usize::try_from(place).unwrap_or(0), key(row)?))
        });
        found.collect()
    }

    /// Every track that has an open build, by key only: the tracks are loaded in pages.
    pub(crate) async fn open_keys(&self) -> Result<Vec<TrackKey>, StoreError> {
        let rows = answered(self.client().query(OPEN_KEYS, &[])).await?;
        rows.iter().map(key).collect()
    }

    /// The newest seq.
    pub(crate) async fn newest_seq(&self) -> Result<i64, StoreError> {
        let sql = "SELECT seq FROM change_counter";
        let row = answered(self.client().query_one(sql, &[])).await?;
        Ok(row.try_get(0)?)
    }

    /// Every host.
    pub(crate) async fn all_hosts(&self) -> Result<Vec<Host>, StoreError> {
        let rows = answered(self.client().query(rows::HOSTS, &[])).await?;
        rows.iter().map(rows::host).collect()
    }
}

pub(super) fn key(row: &tokio_postgres::Row) -> Result<TrackKey, StoreError> {
    let project: String = row.try_get("project_token")?;
    Ok(TrackKey {
        host: row.try_get("host")?,
        producer: row.try_get("producer")?,
        project: project
            .parse()
            .map_err(|error| StoreError::Row(format!("project token {project}: {error}")))?,
    })
}

type KeyedTrack = (TrackKey, Result<LoadedTrack, String>);

fn track(row: &tokio_postgres::Row) -> Result<KeyedTrack, StoreError> {
    let key = key(row)?;
    let text: &str = row.try_get("fold")?;
    let loaded = match serde_json::from_str::<Track>(text) {
        Ok(mut track) => {
            restore_life(&mut track, row)?;
            Ok(LoadedTrack {
                track,
                bytes: text.len(),
            })
        }
        Err(error) => Err(format!(
            "the stored fold of {} in project {} on host {} cannot be read: {error}",
            key.producer, key.project, key.host
        )),
    };
    Ok((key, loaded))
}

/// Presences move `build.alive_at` without touching the track's row.
fn restore_life(track: &mut Track, row: &tokio_postgres::Row) -> Result<(), StoreError> {
    let id: Option<&str> = row.try_get("build_id")?;
    let alive_at = row
        .try_get::<_, Option<std::time::SystemTime>>("alive_at")
        .map_err(|error| StoreError::Row(describe(&error)))?;
    let is_current = track.current().map(|build| build.id.as_str()) == id;
    if let (true, Some(alive_at)) = (is_current, alive_at) {
        track.saw_life(Timestamp::from_system_time(alive_at));
    }
    Ok(())
}
