//! Messages that could not become events: kept with their bytes and the
//! reason, so that nothing is lost and nothing stalls.

use protocol::page::DeadLetter;

use tokio_postgres::types::ToSql;

use super::session::WriterSession;
use super::{Store, StoreError, answered, rows};

/// Characters of a reason; the longest that Postgres gives quote a part of the value.
const MAX_REASON_CHARS: usize = 2_000;

/// A message that is set aside.
#[derive(Debug)]
pub(crate) struct DeadMessage<'a> {
    pub(crate) stream_seq: i64,
    pub(crate) subject: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) payload: &'a [u8],
}

impl WriterSession {
    /// Sets a message aside; one that is there already is not a second row.
    pub(crate) async fn set_aside(&self, message: &DeadMessage<'_>) -> Result<(), StoreError> {
        let reason: String = message
            .reason
            .replace('\0', "\u{fffd}")
            .chars()
            .take(MAX_REASON_CHARS)
            .collect();
        let sql =
            "INSERT INTO dead_letter (stream_seq, subject, reason, payload) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (stream_seq, sha256(payload)) DO NOTHING";
        let params: [&(dyn ToSql + Sync); 4] = [
            &message.stream_seq,
            &message.subject,
            &reason,
            &message.payload,
        ];
        answered(self.client().execute(sql, &params)).await?;
        Ok(())
    }
}

impl Store {
    /// The newest messages that were set aside.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let client = self.client().await?;
        let query = client
            .prepare_cached(
                "SELECT id, received_at, subject, reason, octet_length(payload)::bigint AS size,
                        substring(payload FROM 1 FOR $2) AS beginning
                 FROM dead_letter ORDER BY id DESC LIMIT $1",
            )
            .await?;
        let limit = i64::from(limit);
        let rows = client
            .query(&query, &[&limit, &rows::EXCERPT_BYTES])
            .await?;
        rows.iter().map(rows::dead_letter).collect()
    }

    /// How many messages were set aside.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn dead_letter_count(&self) -> Result<u64, StoreError> {
        let client = self.client().await?;
        let query = client
            .prepare_cached("SELECT count(*) AS n FROM dead_letter")
            .await?;
        rows::count(&client.query_one(&query, &[]).await?, "n")
    }
}
