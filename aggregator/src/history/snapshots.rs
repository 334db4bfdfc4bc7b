//! Who leads writes a snapshot of each build that changed, at every full hour and
//! at the beginning. It goes beside the commits and in small batches: nothing
//! waits for it, and a missing one only makes a past moment slower to tell.

use std::time::Duration;

use crate::store::{Store, StoreError};

/// An hour, milliseconds.
const HOUR_MS: i64 = 3_600_000;
/// Between two batches, so that commits go first.
const PAUSE: Duration = Duration::from_millis(200);
/// After the full hour, so that what was committed before it is seen.
const MARGIN: Duration = Duration::from_secs(1);

/// Takes snapshots for as long as this replica leads.
pub(crate) async fn keep_taking(store: Store, retention: Duration) {
    let mut seq = None;
    loop {
        match round(&store, retention, seq).await {
            Ok(done) => seq = Some(done),
            Err(error) => {
                tracing::warn!(%error, "failed to take the hour's snapshots; next try in an hour");
            }
        }
        tokio::time::sleep(until_the_hour(crate::live::now().as_millis())).await;
    }
}

/// Goes on from a seq, or from where the last snapshot is; answers how far it came.
async fn round(store: &Store, retention: Duration, from: Option<i64>) -> Result<i64, StoreError> {
    let mut seq = match from {
        Some(seq) => seq,
        None => store.snapshot_seq().await?,
    };
    let mut written = 0;
    loop {
        let round = store.take_snapshots(seq, retention).await?;
        written += round.written;
        seq = round.newest.unwrap_or(seq);
        // What changes from here on is the next hour's.
        if !round.more {
            tracing::debug!(written, "took the hour's snapshots");
            return Ok(seq);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn until_the_hour(now_ms: i64) -> Duration {
    let left = HOUR_MS - now_ms.rem_euclid(HOUR_MS);
    Duration::from_millis(left.unsigned_abs()) + MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_full_hour_is_at_most_an_hour_away() {
        assert_eq!(until_the_hour(0), Duration::from_secs(3_600) + MARGIN);
        assert_eq!(until_the_hour(3_599_999), Duration::from_millis(1) + MARGIN);
        assert_eq!(
            until_the_hour(3_600_001),
            Duration::from_millis(3_599_999) + MARGIN
        );
    }
}
