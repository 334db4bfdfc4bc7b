//! Queries of the API and the pages: what they show by its name. Listings of
//! builds are in `listing`.

use protocol::page::EventPage;
use protocol::{Build, CalledHost, Host, Timestamp};

use super::rows::{self, BUILD_COLUMNS, EVENT_COLUMNS};
use super::{Store, StoreError};

/// Most events per page.
pub(crate) const MAX_EVENTS: u32 = 500;
/// Size of the files on one page, bytes; the page is shorter when it would be exceeded (but has one event).
const MAX_EVENTS_BYTES: u32 = 8 * 1024 * 1024;

/// Why a listing gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The request is at fault; the text is a sentence for whoever made it.
    #[error("{0}")]
    BadFilter(String),
    /// Postgres is at fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<tokio_postgres::Error> for ReadError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// A build by its id.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn build(&self, id: &str) -> Result<Option<Build>, StoreError> {
        if id.contains('\0') {
            return Ok(None);
        }
        let client = self.client().await?;
        let query = client
            .prepare_cached(&format!("SELECT {BUILD_COLUMNS} FROM build WHERE id = $1"))
            .await?;
        let row = client.query_opt(&query, &[&id]).await?;
        row.as_ref().map(rows::build).transpose()
    }

    /// A page of a build's events, oldest first; `after` is the `next` of the
    /// page before. At most 500 at a time, and fewer when they are large.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn events(
        &self,
        build_id: &str,
        after: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let mut page = EventPage {
            events: Vec::new(),
            next: None,
        };
        if build_id.contains('\0') {
            return Ok(page);
        }
        let limit = limit.clamp(1, MAX_EVENTS);
        let client = self.client().await?;
        let query = client
            .prepare_cached(&format!(
                "SELECT {EVENT_COLUMNS}, available FROM (
                    SELECT *, sum(size) OVER (ORDER BY id) - size AS before, count(*) OVER () AS available
                    FROM (SELECT * FROM event WHERE build_id = $1 AND id > $2 ORDER BY id LIMIT $3) page
                 ) sized WHERE before < {MAX_EVENTS_BYTES} ORDER BY id"
            ))
            .await?;
        let after = after.unwrap_or(0);
        let mut found = client
            .query(&query, &[&build_id, &after, &(i64::from(limit) + 1)])
            .await?;
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        page.events = found.iter().map(rows::event).collect::<Result<_, _>>()?;
        if let (Some(row), Some(last)) = (found.last(), page.events.last()) {
            let more = rows::count(row, "available")? > found.len() as u64;
            page.next = more.then_some(last.id);
        }
        Ok(page)
    }

    /// Every host, by name.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        let client = self.client().await?;
        let query = client.prepare_cached(rows::HOSTS).await?;
        let found = client.query(&query, &[]).await?;
        found.iter().map(rows::host).collect()
    }

    /// A host by its name.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn host(&self, name: &str) -> Result<Option<Host>, StoreError> {
        if name.contains('\0') {
            return Ok(None);
        }
        let client = self.client().await?;
        let query = client
            .prepare_cached(
                "SELECT body, seq, last_updated, last_seen_at FROM host WHERE name = $1",
            )
            .await?;
        let row = client.query_opt(&query, &[&name]).await?;
        row.as_ref().map(rows::host).transpose()
    }

    /// A host without an agent that builds are of, those begun by `at`; none when there are none.
    /// Its last change then is the beginning of the newest of them.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn called_host(
        &self,
        name: &str,
        at: Option<Timestamp>,
    ) -> Result<Option<CalledHost>, StoreError> {
        if name.contains('\0') {
            return Ok(None);
        }
        let client = self.client().await?;
        let query = client
            .prepare_cached(
                "SELECT CASE WHEN $2::timestamptz IS NULL THEN last_updated ELSE opened_at END AS changed_at
                 FROM build WHERE host = $1 AND ($2 IS NULL OR opened_at <= $2) ORDER BY changed_at DESC LIMIT 1",
            )
            .await?;
        let at = at.map(Timestamp::to_system_time);
        let row = client.query_opt(&query, &[&name, &at]).await?;
        let found = row.as_ref().map(|row| rows::time(row, "changed_at"));
        Ok(found.transpose()?.map(|at| CalledHost::new(name, at)))
    }
}
