//! Deleting by age, in small batches, so that no delete holds up a commit.
//! Builds outlive their events.

use std::time::Duration;

use super::{Store, StoreError};

/// Rows per statement: some 50 ms of work.
const BATCH: i64 = 5_000;

const EVENTS: &str = "
DELETE FROM event WHERE id IN (
    SELECT id FROM event WHERE committed_at < now() - make_interval(secs => $1) ORDER BY committed_at LIMIT $2)";
const DEAD_LETTERS: &str = "
DELETE FROM dead_letter WHERE id IN (
    SELECT id FROM dead_letter WHERE received_at < now() - make_interval(secs => $1) ORDER BY received_at LIMIT $2)";
// A minute earlier than events: an event behind one may have been committed at its time.
const SNAPSHOTS: &str = "
DELETE FROM snapshot WHERE (build_id, hour) IN (
    SELECT build_id, hour FROM snapshot WHERE taken_at < now() - make_interval(secs => $1::float8 - 60) ORDER BY taken_at LIMIT $2)";
// The newest that is too old tells how the host was when the rest begins.
const HOSTS: &str = "
DELETE FROM host_past WHERE (name, seq) IN (
    SELECT name, seq FROM host_past old WHERE at < now() - make_interval(secs => $1) AND EXISTS (
        SELECT 1 FROM host_past WHERE name = old.name AND seq > old.seq AND at < now() - make_interval(secs => $1))
    ORDER BY at LIMIT $2)";

/// Their log goes with the events; how many lines there were goes with the last of them.
const LOG_LINES: &str = "
DELETE FROM log_line WHERE (build_id, number) IN (
    SELECT build_id, number FROM log_line WHERE committed_at < now() - make_interval(secs => $1) ORDER BY committed_at LIMIT $2)";
const LOG_SOURCES: &str = "
DELETE FROM log_source WHERE (agent, project_token, file, generation) IN (
    SELECT agent, project_token, file, generation FROM log_source
    WHERE seen_at < now() - make_interval(secs => $1) ORDER BY seen_at LIMIT $2)";
const BUILD_LOGS: &str = "
DELETE FROM build_log WHERE build_id IN (
    SELECT build_id FROM build_log WHERE updated_at < now() - make_interval(secs => $1) ORDER BY updated_at LIMIT $2)
AND NOT EXISTS (SELECT FROM log_line WHERE log_line.build_id = build_log.build_id)";

impl Store {
    /// Deletes one batch of events, log lines, dead letters, snapshots and hosts' changes older than
    /// `age`; answers how many rows went. Call again while it is not 0.
    pub(crate) async fn retire(&self, age: Duration) -> Result<u64, StoreError> {
        let client = self.client().await?;
        let seconds = age.as_secs_f64();
        // First: a snapshot without the events behind it would tell of a past that never was.
        let mut deleted = client.execute(SNAPSHOTS, &[&seconds, &BATCH]).await?;
        if deleted > 0 {
            return Ok(deleted);
        }
        for statement in [
            EVENTS,
            LOG_LINES,
            LOG_SOURCES,
            BUILD_LOGS,
            DEAD_LETTERS,
            HOSTS,
        ] {
            deleted += client.execute(statement, &[&seconds, &BATCH]).await?;
        }
        Ok(deleted)
    }
}
