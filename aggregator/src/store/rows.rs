//! From rows to what the API shows. `body` is the whole, and the columns that
//! move without it (or are known only at the commit) win over it.

use std::time::SystemTime;

use protocol::page::{DeadLetter, StoredEvent};
use protocol::{Build, Host, Timestamp};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::StoreError;

/// The columns that [`build`] reads.
pub(super) const BUILD_COLUMNS: &str =
    "body, seq, last_updated, alive_at, completed_seq, opened_seq";
/// The columns that [`event`] reads. A timer's finding is its envelope.
pub(super) const EVENT_COLUMNS: &str = "id, kind, file, late, found, changed_at, observed_at, broker_at, committed_at, \
     hash, size, message, (CASE WHEN agent IS NULL THEN envelope ELSE document END)::text AS document";
/// Every host, by name.
pub(super) const HOSTS: &str =
    "SELECT body, seq, last_updated, last_seen_at FROM host ORDER BY name";

pub(super) fn time(row: &Row, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_system_time(row.try_get(column)?))
}

pub(super) fn optional_time(row: &Row, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let time: Option<SystemTime> = row.try_get(column)?;
    Ok(time.map(Timestamp::from_system_time))
}

/// Counters are never negative; a negative one would be somebody's manual edit.
pub(super) fn count(row: &Row, column: &str) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| StoreError::Row(format!("{column} is {value}")))
}

/// A build as of its last change.
pub(super) fn body(row: &Row) -> Result<Build, StoreError> {
    let Json(build): Json<Build> = row.try_get("body")?;
    Ok(build)
}

pub(super) fn build(row: &Row) -> Result<Build, StoreError> {
    let mut build = body(row)?;
    build.seq = count(row, "seq")?;
    build.last_updated = time(row, "last_updated")?;
    if let Some(alive_at) = optional_time(row, "alive_at")? {
        build.alive_at = Some(alive_at);
    }
    Ok(build)
}

pub(super) fn completed_seq(row: &Row) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = row.try_get("completed_seq")?;
    Ok(value.and_then(|value| u64::try_from(value).ok()))
}

pub(super) fn host(row: &Row) -> Result<Host, StoreError> {
    let Json(mut host): Json<Host> = row.try_get("body")?;
    host.seq = count(row, "seq")?;
    host.last_updated = time(row, "last_updated")?;
    if let Some(seen) = optional_time(row, "last_seen_at")? {
        host.last_seen_at = Some(seen);
    }
    Ok(host)
}

pub(super) fn event(row: &Row) -> Result<StoredEvent, StoreError> {
    let document: Option<String> = row.try_get("document")?;
    let document = document
        .map(RawValue::from_string)
        .transpose()
        .map_err(|error| StoreError::Row(format!("document of an event: {error}")))?;
    Ok(StoredEvent {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        file: row.try_get("file")?,
        late: row.try_get("late")?,
        found: row.try_get("found")?,
        changed_at: time(row, "changed_at")?,
        observed_at: time(row, "observed_at")?,
        broker_at: optional_time(row, "broker_at")?,
        committed_at: time(row, "committed_at")?,
        hash: row.try_get("hash")?,
        size: count(row, "size")?,
        document,
        message: row.try_get("message")?,
    })
}

pub(super) fn dead_letter(row: &Row) -> Result<DeadLetter, StoreError> {
    let beginning: &[u8] = row.try_get("beginning")?;
    Ok(DeadLetter {
        id: row.try_get("id")?,
        received_at: time(row, "received_at")?,
        subject: row.try_get("subject")?,
        reason: row.try_get("reason")?,
        size: count(row, "size")?,
        excerpt: excerpt(beginning),
    })
}

/// Characters of a dead letter that people are shown.
const EXCERPT_CHARS: usize = 400;
/// Bytes that hold so many characters.
pub(super) const EXCERPT_BYTES: i32 = 4 * EXCERPT_CHARS as i32;

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .take(EXCERPT_CHARS)
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(excerpt(b"{\"a\":\n\x00\xff"), "{\"a\": \u{fffd}\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 5000]).chars().count(), EXCERPT_CHARS);
    }
}
