//! An event as a row: what is written of it, and what is read of it again.

use bytes::Bytes;
use protocol::{ContentHash, Event, EventKind};
use rusqlite::{Connection, params};

use super::StoreError;
use super::room::Room;

/// An event that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Position in the outbox.
    pub(crate) id: i64,
    /// Producer and project: at most one event of these is on its way.
    pub(crate) line: String,
    /// Where it is published.
    pub(crate) subject: String,
    /// Its `Nats-Msg-Id`.
    pub(crate) message_id: String,
    /// The event as JSON.
    pub(crate) payload: Bytes,
}

/// Writes an event's row. `beside`: bytes that are written with it.
pub(super) fn insert(
    tx: &Connection,
    room: &mut Room,
    event: &Event,
    file: &[u8],
    beside: usize,
) -> Result<Row, StoreError> {
    let mut row = Row {
        id: 0,
        line: line(event),
        subject: protocol::subject::event(event),
        message_id: event.message_id(),
        payload: serde_json::to_vec(event)?.into(),
    };
    let boundary = event.recreated || event.kind == EventKind::Removed;
    tx.prepare_cached(
        "INSERT INTO event (line, file, boundary, subject, message_id, payload, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        row.line,
        file,
        boundary,
        row.subject,
        row.message_id,
        &row.payload[..],
        checksum(&row).0
    ])?;
    if room.is_exceeded_by(tx, (row.payload.len() + beside) as u64)? {
        return Err(StoreError::Limit(room.max_bytes));
    }
    row.id = tx.last_insert_rowid();
    Ok(row)
}

fn line(event: &Event) -> String {
    format!("{}/{}", event.producer, event.project_token)
}

pub(super) fn checksum(row: &Row) -> ContentHash {
    let mut bytes = Vec::with_capacity(row.payload.len() + 256);
    for part in [&row.line, &row.subject, &row.message_id] {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    bytes.extend_from_slice(&row.payload);
    ContentHash::of(&bytes)
}
