//! What stands in Postgres, read past every part of Phaseline.

use protocol::Build;
use serde_json::Value;

use crate::postgres::Database;

/// A row of `event`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Order of commits.
    pub id: i64,
    /// Identity; `None` for the aggregator's own events.
    pub identity: Option<(String, String, i64)>,
    /// Host.
    pub host: String,
    /// Project token.
    pub project: String,
    /// The build it belongs to.
    pub build_id: String,
    /// Kind.
    pub kind: String,
    /// File relative to the project.
    pub file: Option<String>,
    /// Kept without effect.
    pub late: bool,
    /// Was there before the agent.
    pub found: bool,
    /// Content hash.
    pub hash: Option<String>,
    /// The content.
    pub document: Option<Value>,
}

/// A row of `build`.
#[derive(Debug, Clone)]
pub struct BuildRow {
    /// Its body, as the API shows it.
    pub build: Build,
    /// seq of its first change.
    pub opened_seq: i64,
    /// seq of its last change.
    pub seq: i64,
    /// seq of its end.
    pub completed_seq: Option<i64>,
    /// State column.
    pub state: String,
}

impl Database {
    /// All events in the order of commits.
    ///
    /// # Errors
    /// When Postgres or the table is not there.
    pub async fn events(&self) -> Result<Vec<EventRow>, String> {
        let client = self.connect().await.map_err(told)?;
        let rows = client
            .query(
                "SELECT id, agent, boot::text, seq, host, project_token, build_id, kind, file, late, found, hash, document::text \
                 FROM event ORDER BY id",
                &[],
            )
            .await
            .map_err(told)?;
        Ok(rows.iter().map(event_row).collect())
    }

    /// All builds by their first change.
    ///
    /// # Errors
    /// When Postgres or the table is not there, or a body is no build.
    pub async fn builds(&self) -> Result<Vec<BuildRow>, String> {
        let client = self.connect().await.map_err(told)?;
        let rows = client
            .query(
                "SELECT body::text, opened_seq, seq, completed_seq, state FROM build ORDER BY opened_seq",
                &[],
            )
            .await
            .map_err(told)?;
        let build = |row: &tokio_postgres::Row| {
            let body: String = row.get(0);
            Ok(BuildRow {
                build: serde_json::from_str(&body).map_err(|e| format!("{e}: {body}"))?,
                opened_seq: row.get(1),
                seq: row.get(2),
                completed_seq: row.get(3),
                state: row.get(4),
            })
        };
        rows.iter().map(build).collect()
    }

    /// A number that a query gives.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn number(&self, query: &str) -> Result<i64, String> {
        let client = self.connect().await.map_err(told)?;
        let row = client.query_one(query, &[]).await.map_err(told)?;
        row.try_get(0).map_err(told)
    }

    /// A text that a query gives.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn text(&self, query: &str) -> Result<String, String> {
        let client = self.connect().await.map_err(told)?;
        let row = client.query_one(query, &[]).await.map_err(told)?;
        row.try_get(0).map_err(told)
    }

    /// Runs statements.
    ///
    /// # Errors
    /// When one fails.
    pub async fn execute(&self, statements: &str) -> Result<(), String> {
        let client = self.connect().await.map_err(told)?;
        client.batch_execute(statements).await.map_err(told)
    }
}

/// The cause too: the driver's own words are only "db error".
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn told(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

fn event_row(row: &tokio_postgres::Row) -> EventRow {
    let agent: Option<String> = row.get(1);
    let boot: Option<String> = row.get(2);
    let seq: Option<i64> = row.get(3);
    let document: Option<String> = row.get(12);
    EventRow {
        id: row.get(0),
        identity: agent
            .zip(boot)
            .zip(seq)
            .map(|((agent, boot), seq)| (agent, boot, seq)),
        host: row.get(4),
        project: row.get(5),
        build_id: row.get(6),
        kind: row.get(7),
        file: row.get(8),
        late: row.get(9),
        found: row.get(10),
        hash: row.get(11),
        document: document.and_then(|text| serde_json::from_str(&text).ok()),
    }
}
