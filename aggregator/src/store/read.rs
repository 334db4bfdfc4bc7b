//! Queries of the API and the pages.

use protocol::page::{BuildFilter, BuildPage, EventPage};
use protocol::{Build, BuildState, Host};

use super::rows::{self, BUILD_COLUMNS, EVENT_COLUMNS};
use super::{Store, StoreError};

/// Builds per page unless told.
const DEFAULT_BUILDS: u32 = 50;
/// Most builds per page.
const MAX_BUILDS: u32 = 200;
/// Most events per page.
const MAX_EVENTS: u32 = 500;
/// Size of the files on one page, bytes; the page is shorter when it would be exceeded (but has one event).
const MAX_EVENTS_BYTES: u32 = 8 * 1024 * 1024;
/// Longest text to look for, characters: longer than any name on a page.
const MAX_QUERY_CHARS: usize = 200;

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

struct Checked {
    limit: u32,
    before: Option<i64>,
    pattern: Option<String>,
}

fn check(filter: &BuildFilter) -> Result<Checked, ReadError> {
    let bad = |text: &str| Err(ReadError::BadFilter(text.to_owned()));
    let limit = filter.limit.unwrap_or(DEFAULT_BUILDS);
    if !(1..=MAX_BUILDS).contains(&limit) {
        return bad("limit must be a number from 1 to 200");
    }
    if let Some(state) = &filter.state
        && BuildState::from_word(state).is_none()
    {
        let words = BuildState::ALL.map(BuildState::word).join(", ");
        return bad(&format!("state must be one of {words}"));
    }
    let before = match filter.cursor.as_deref().map(str::parse::<i64>) {
        None => None,
        Some(Ok(seq)) => Some(seq),
        Some(Err(_)) => return bad("cursor must be the next of an earlier answer"),
    };
    let texts = [&filter.host, &filter.producer, &filter.q];
    if texts.into_iter().flatten().any(|text| text.contains('\0')) {
        return bad("a filter must not hold a NUL character");
    }
    let pattern = match &filter.q {
        Some(text) if text.chars().count() > MAX_QUERY_CHARS => {
            return bad("q must not exceed 200 characters");
        }
        Some(text) if !text.trim().is_empty() => Some(like_pattern(text.trim())),
        _ => None,
    };
    Ok(Checked {
        limit,
        before,
        pattern,
    })
}

/// The text anywhere; `%`, `_` and `\` mean themselves.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl Store {
    /// A page of builds, newest first, past ones too.
    ///
    /// # Errors
    /// When the filter is not valid, or Postgres cannot be asked.
    pub(crate) async fn builds(&self, filter: &BuildFilter) -> Result<BuildPage, ReadError> {
        let checked = check(filter)?;
        let client = self.client().await?;
        let sql = format!(
            r"SELECT {BUILD_COLUMNS} FROM build
             WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR host = $2)
               AND (state <> 'unknown' OR body->>'same_as' IS NULL)
               AND ($3::text IS NULL OR producer = $3) AND ($4::bigint IS NULL OR opened_seq < $4)
               AND ($5::text IS NULL OR id ILIKE $5 OR project ILIKE $5 OR path ILIKE $5
                    OR session_id ILIKE $5 OR branch ILIKE $5 OR body->>'detail' ILIKE $5)
             ORDER BY opened_seq DESC LIMIT $6"
        );
        let query = client.prepare_cached(&sql).await?;
        let mut found = client
            .query(
                &query,
                &[
                    &filter.state,
                    &filter.host,
                    &filter.producer,
                    &checked.before,
                    &checked.pattern,
                    &(i64::from(checked.limit) + 1),
                ],
            )
            .await?;
        let limit = usize::try_from(checked.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = match found.last().filter(|_| more) {
            Some(row) => Some(row.try_get::<_, i64>("opened_seq")?.to_string()),
            None => None,
        };
        Ok(BuildPage {
            builds: found.iter().map(rows::build).collect::<Result<_, _>>()?,
            next,
        })
    }

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_looked_for_as_written() {
        assert_eq!(like_pattern(r"50%_\x"), r"%50\%\_\\x%");
    }

    #[test]
    fn a_bad_filter_is_refused_with_a_sentence() {
        let refused = |filter: BuildFilter| check(&filter).err().unwrap().to_string();
        let filter = BuildFilter::default;
        assert!(check(&filter()).is_ok());
        assert!(
            refused(BuildFilter {
                state: Some("done".into()),
                ..filter()
            })
            .contains("queued")
        );
        assert!(
            refused(BuildFilter {
                limit: Some(0),
                ..filter()
            })
            .contains("1 to 200")
        );
        assert!(
            refused(BuildFilter {
                cursor: Some("x".into()),
                ..filter()
            })
            .contains("cursor")
        );
        assert!(
            refused(BuildFilter {
                q: Some("a\0".into()),
                ..filter()
            })
            .contains("NUL")
        );
    }
}
