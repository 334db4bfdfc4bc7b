//! Hosts as they were: each change is kept beside the newest state.

use protocol::{Host, HostState, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::{Store, StoreError, rows};

const AT: &str = "
SELECT past.seq, past.at, past.last_seen_at, past.body
FROM host, LATERAL (
    SELECT seq, at, last_seen_at, body FROM host_past WHERE host_past.name = host.name AND at < $1 ORDER BY seq DESC LIMIT 1
) past
WHERE $2::text IS NULL OR host.name = $2 ORDER BY host.name";

impl Store {
    /// All hosts that had been heard of at a moment, or one, as their last change before it left them.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn hosts_at(
        &self,
        at: Timestamp,
        name: Option<&str>,
    ) -> Result<Vec<Host>, StoreError> {
        if name.is_some_and(|name| name.contains('\0')) {
            return Ok(Vec::new());
        }
        let client = self.client().await?;
        let query = client.prepare_cached(AT).await?;
        let after = at.plus_millis(1).to_system_time();
        let found = client.query(&query, &[&after, &name]).await?;
        found.iter().map(host).collect()
    }
}

fn host(row: &Row) -> Result<Host, StoreError> {
    let Json(mut host): Json<Host> = row.try_get("body")?;
    host.seq = rows::count(row, "seq")?;
    host.last_updated = rows::time(row, "at")?;
    // While it is up it is heard every few seconds, which leaves no trace.
    host.last_seen_at = match host.state {
        HostState::Up => None,
        HostState::Gone | HostState::Stopped => rows::optional_time(row, "last_seen_at")?,
    };
    Ok(host)
}
