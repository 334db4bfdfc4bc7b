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

impl Store {
    /// Deletes one batch of events and dead letters older than `age`; answers
    /// how many rows went. Call again while it is not 0.
    pub(crate) async fn retire(&self, age: Duration) -> Result<u64, StoreError> {
        let client = self.client().await?;
        let seconds = age.as_secs_f64();
        let mut deleted = 0;
        for statement in [EVENTS, DEAD_LETTERS] {
            deleted += client.execute(statement, &[&seconds, &BATCH]).await?;
        }
        Ok(deleted)
    }
}
