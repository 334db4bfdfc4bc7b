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
    pub(crate) reason: String,
    pub(crate) payload: &'a [u8],
}

impl DeadMessage<'_> {
    fn short_reason(&self) -> String {
        let reason = self.reason.replace('\0', "\u{fffd}");
        reason.chars().take(MAX_REASON_CHARS).collect()
    }
}

impl WriterSession {
    /// Sets messages aside, with one statement; one that is there already is not a second row.
    pub(crate) async fn set_aside(&self, messages: &[DeadMessage<'_>]) -> Result<(), StoreError> {
        let positions: Vec<i64> = messages.iter().map(|message| message.stream_seq).collect();
        let subjects: Vec<&str> = messages.iter().map(|message| message.subject).collect();
        let payloads: Vec<&[u8]> = messages.iter().map(|message| message.payload).collect();
        let reasons: Vec<String> = messages.iter().map(DeadMessage::short_reason).collect();
        let sql = "INSERT INTO dead_letter (stream_seq, subject, reason, payload)
                   SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[])
                   ON CONFLICT (stream_seq, sha256(payload)) DO NOTHING";
        let params: [&(dyn ToSql + Sync); 4] = [&positions, &subjects, &reasons, &payloads];
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
