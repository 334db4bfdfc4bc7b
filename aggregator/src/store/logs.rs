//! Lines of logs: storing those that are new, bounded per build, and reading
//! them. Their transactions touch no table of events, tracks or builds (which
//! they only read), on connections of the pool: a commit of events never
//! waits for them.
//!
//! Lines are numbered per build without gaps, so that a client sees by itself
//! which frame it missed; numbers that are not kept any more are `dropped`.
//! Those that come before a project's first build wait under run 0 and become its own.

mod limits;

use std::collections::BTreeMap;
use std::time::SystemTime;

use deadpool_postgres::Transaction;
use protocol::log::ShippedLine;
use protocol::{LogBatch, LogLine, LogNews, LogPage, subject};
use tokio_postgres::Row;

use super::{Store, StoreError, rows};
pub use limits::LogLimits;

/// Lines in one answer.
pub(crate) const MAX_LINES: u32 = 1_000;
/// Text in one answer, bytes; the page is shorter when it would be exceeded (but has one line).
const MAX_PAGE_BYTES: i64 = 2 * 1024 * 1024;
/// Lines in one frame: what a page can draw at once. Who wants all that came asks the API.
const MAX_NEWS: usize = 200;
/// What a line costs beside its text, bytes: so that empty ones have a bound too.
const LINE_OVERHEAD: usize = 8;

/// Lines that were just committed to a build that exists.
#[derive(Debug)]
pub(crate) struct BuildLines {
    /// Its host.
    pub(crate) host: String,
    /// What browsers are told.
    pub(crate) news: LogNews,
}

const HOST_OF: &str = "
SELECT name FROM host WHERE agent = $1 AND (name = $2 OR starts_with(name, $2 || '~'))
ORDER BY name <> $2 LIMIT 1";

const BUILD_OF: &str = "
SELECT id, run FROM build WHERE host = $1 AND project_token = $2 AND ($3::text IS NULL OR producer = $3)
ORDER BY opened_seq DESC LIMIT 1";

/// The row is locked until the commit, so that two writers never store the same lines.
const SOURCE: &str = "
INSERT INTO log_source (agent, project_token, file, generation, position) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (agent, project_token, file, generation) DO UPDATE SET seen_at = now()
RETURNING position";

const MOVE_ON: &str = "
UPDATE log_source SET position = $5 WHERE agent = $1 AND project_token = $2 AND file = $3 AND generation = $4";

const COUNT: &str = "
INSERT INTO build_log AS log (build_id, newest, size, skipped_bytes) VALUES ($1, $2, $3, $4)
ON CONFLICT (build_id) DO UPDATE SET newest = log.newest + $2, size = log.size + $3,
    skipped_bytes = log.skipped_bytes + $4, updated_at = now()
RETURNING newest, size, skipped_bytes";

const INSERT: &str = "
INSERT INTO log_line (build_id, number, preceding, file, cut, observed_at, text)
SELECT $1, number, preceding, $2, cut, $3, text
FROM unnest($4::bigint[], $5::bigint[], $6::boolean[], $7::text[]) AS line (number, preceding, cut, text)";

/// Up to the first line that may stay.
const GIVE_WAY: &str = "
DELETE FROM log_line WHERE build_id = $1 AND number < coalesce(
    (SELECT number FROM log_line WHERE build_id = $1 AND number > $2 AND preceding >= $3 ORDER BY number LIMIT 1), $4)";

const OLDEST: &str = "SELECT min(number) AS oldest FROM log_line WHERE build_id = $1";

const TAKE_OVER_LOG: &str = "
UPDATE build_log SET build_id = $2 WHERE build_id = $1 AND NOT EXISTS (SELECT FROM build_log WHERE build_id = $2)";
const TAKE_OVER_LINES: &str = "UPDATE log_line SET build_id = $2 WHERE build_id = $1";

const PAGE: &str = "
SELECT number, file, cut, observed_at, text FROM (
    SELECT *, sum(octet_length(text)) OVER (ORDER BY number) - octet_length(text) AS before FROM (
        SELECT * FROM log_line WHERE build_id = $1 AND number > $2 ORDER BY number LIMIT $3) page
) sized WHERE before < $4::bigint ORDER BY number";

/// Which build a batch belongs to.
struct Owner {
    host: String,
    build_id: String,
    /// None before the project's first build.
    run: Option<i32>,
}

impl Store {
    /// Stores what is new of these batches, in one transaction; answers with it by build.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses; then nothing is stored.
    pub(crate) async fn store_logs(
        &self,
        batches: &[LogBatch],
        limits: LogLimits,
    ) -> Result<Vec<BuildLines>, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let mut told: BTreeMap<String, BuildLines> = BTreeMap::new();
        for batch in batches {
            let stored = store_batch(&transaction, batch, limits).await?;
            let Some((host, news)) = stored else { continue };
            match told.get_mut(&news.id) {
                Some(earlier) => earlier.news.append(news),
                None => {
                    let id = news.id.clone();
                    told.insert(id, BuildLines { host, news });
                }
            }
        }
        transaction.commit().await?;
        let mut told: Vec<_> = told.into_values().collect();
        for lines in &mut told {
            let lines = &mut lines.news.lines;
            lines.drain(..lines.len().saturating_sub(MAX_NEWS));
        }
        Ok(told)
    }

    /// A page of a build's log, oldest first. `last`: instead the newest so many lines.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn log(
        &self,
        build_id: &str,
        after: Option<i64>,
        limit: u32,
        last: bool,
    ) -> Result<LogPage, StoreError> {
        let limit = i64::from(limit.clamp(1, MAX_LINES));
        let client = self.client().await?;
        let log = client
            .prepare_cached("SELECT build_id, newest, skipped_bytes FROM build_log WHERE build_id = ANY($1) ORDER BY build_id = $2 DESC LIMIT 1")
            .await?;
        let ids: Vec<String> = [Some(build_id.to_owned()), before_first(build_id)]
            .into_iter()
            .flatten()
            .collect();
        let mut page = LogPage {
            lines: Vec::new(),
            next: None,
            dropped: 0,
            skipped_bytes: 0,
        };
        let Some(log) = client.query_opt(&log, &[&ids, &build_id]).await? else {
            return Ok(page);
        };
        let id: &str = log.try_get("build_id")?;
        let newest: i64 = log.try_get("newest")?;
        page.skipped_bytes = unsigned(&log, "skipped_bytes")?;
        let oldest = client.prepare_cached(OLDEST).await?;
        let oldest: Option<i64> = client.query_one(&oldest, &[&id]).await?.try_get("oldest")?;
        page.dropped = oldest.map_or(newest, |oldest| oldest - 1).unsigned_abs();
        let after = match last {
            true => newest - limit,
            false => after.unwrap_or(0),
        };
        let query = client.prepare_cached(PAGE).await?;
        let found = client
            .query(&query, &[&id, &after, &limit, &MAX_PAGE_BYTES])
            .await?;
        page.lines = found.iter().map(line).collect::<Result<_, _>>()?;
        let end = page.lines.last().map(|line| line.number);
        page.next = end.filter(|number| *number < newest);
        Ok(page)
    }
}

/// Stores one; none when nothing of it is new, or there is no build to tell of yet.
async fn store_batch(
    transaction: &Transaction<'_>,
    batch: &LogBatch,
    limits: LogLimits,
) -> Result<Option<(String, LogNews)>, StoreError> {
    let (agent, project) = (batch.agent.to_string(), batch.project_token.to_string());
    let (generation, from, to) = (
        signed(batch.generation),
        signed(batch.from),
        signed(batch.to),
    );
    let first = from - signed(batch.skipped);
    let source = transaction.prepare_cached(SOURCE).await?;
    let known = transaction
        .query_one(
            &source,
            &[&agent, &project, &batch.file, &generation, &first],
        )
        .await?;
    let position: i64 = known.try_get("position")?;
    if to <= position {
        return Ok(None);
    }
    let is_new = |line: &&ShippedLine| signed(line.offset) >= position;
    let lines: Vec<&ShippedLine> = batch.lines.iter().filter(is_new).collect();
    let owner = owner_of(transaction, batch, &agent, &project).await?;
    let skipped = (from - position).max(0);
    let counted = add(transaction, batch, &owner, &lines, skipped, limits).await?;
    let move_on = transaction.prepare_cached(MOVE_ON).await?;
    transaction
        .execute(&move_on, &[&agent, &project, &batch.file, &generation, &to])
        .await?;
    Ok(owner.run.map(|_| (owner.host, counted)))
}

/// Adds lines to the log of a build; the oldest give way.
async fn add(
    transaction: &Transaction<'_>,
    batch: &LogBatch,
    owner: &Owner,
    lines: &[&ShippedLine],
    skipped: i64,
    limits: LogLimits,
) -> Result<LogNews, StoreError> {
    let id = &owner.build_id;
    let size: i64 = lines.iter().map(|line| cost(line)).sum();
    let count = i64::try_from(lines.len()).unwrap_or(0);
    let statement = transaction.prepare_cached(COUNT).await?;
    let log = transaction
        .query_one(&statement, &[id, &count, &size, &skipped])
        .await?;
    let (newest, total): (i64, i64) = (log.try_get("newest")?, log.try_get("size")?);
    let numbers: Vec<i64> = (newest - count + 1..=newest).collect();
    insert(transaction, batch, id, lines, &numbers, total - size).await?;
    let give_way = transaction.prepare_cached(GIVE_WAY).await?;
    let (least, most_before) = (
        newest - i64::from(limits.lines),
        total - signed(limits.bytes),
    );
    transaction
        .execute(&give_way, &[id, &least, &most_before, &newest])
        .await?;
    let oldest = transaction.prepare_cached(OLDEST).await?;
    let oldest: Option<i64> = transaction
        .query_one(&oldest, &[id])
        .await?
        .try_get("oldest")?;
    let told = lines.iter().zip(numbers).map(|(line, number)| LogLine {
        number,
        file: batch.file.clone(),
        observed_at: batch.observed_at,
        text: line.text.clone(),
        cut: line.cut,
    });
    Ok(LogNews {
        id: id.clone(),
        lines: told.collect(),
        dropped: oldest.map_or(newest, |oldest| oldest - 1).unsigned_abs(),
        skipped_bytes: unsigned(&log, "skipped_bytes")?,
    })
}

/// What a line takes of its build's bound, bytes.
fn cost(line: &ShippedLine) -> i64 {
    i64::try_from(line.text.len() + LINE_OVERHEAD).unwrap_or(0)
}

/// Writes the lines under their numbers; `before` are the bytes of the build's lines before them.
async fn insert(
    transaction: &Transaction<'_>,
    batch: &LogBatch,
    build_id: &str,
    lines: &[&ShippedLine],
    numbers: &[i64],
    mut before: i64,
) -> Result<(), StoreError> {
    let preceding: Vec<i64> = lines
        .iter()
        .map(|line| {
            let preceding = before;
            before += cost(line);
            preceding
        })
        .collect();
    let cuts: Vec<bool> = lines.iter().map(|line| line.cut).collect();
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let observed_at: SystemTime = batch.observed_at.to_system_time();
    let insert = transaction.prepare_cached(INSERT).await?;
    transaction
        .execute(
            &insert,
            &[
                &build_id,
                &batch.file,
                &observed_at,
                &numbers,
                &preceding,
                &cuts,
                &texts,
            ],
        )
        .await?;
    Ok(())
}

/// The newest build of the project; before there is one, its lines wait under run 0.
async fn owner_of(
    transaction: &Transaction<'_>,
    batch: &LogBatch,
    agent: &str,
    project: &str,
) -> Result<Owner, StoreError> {
    let query = transaction.prepare_cached(HOST_OF).await?;
    let host = match transaction
        .query_opt(&query, &[&agent, &batch.host])
        .await?
    {
        Some(row) => row.try_get("name")?,
        None => batch.host.clone(),
    };
    let query = transaction.prepare_cached(BUILD_OF).await?;
    let build = transaction
        .query_opt(&query, &[&host, &project, &batch.producer])
        .await?;
    let waiting = subject::build_id(&host, batch.project_token, 0);
    let Some(build) = build else {
        return Ok(Owner {
            host,
            build_id: waiting,
            run: None,
        });
    };
    let (build_id, run): (String, i32) = (build.try_get("id")?, build.try_get("run")?);
    if run == 1 {
        let log = transaction.prepare_cached(TAKE_OVER_LOG).await?;
        if transaction.execute(&log, &[&waiting, &build_id]).await? > 0 {
            let lines = transaction.prepare_cached(TAKE_OVER_LINES).await?;
            transaction.execute(&lines, &[&waiting, &build_id]).await?;
        }
    }
    Ok(Owner {
        host,
        build_id,
        run: Some(run),
    })
}

/// Where the lines wait that came before a project's first build.
fn before_first(build_id: &str) -> Option<String> {
    let project = build_id.strip_suffix("-1")?;
    Some(format!("{project}-0"))
}

trait Append {
    fn append(&mut self, later: Self);
}

impl Append for LogNews {
    fn append(&mut self, later: Self) {
        self.lines.extend(later.lines);
        self.dropped = later.dropped;
        self.skipped_bytes = later.skipped_bytes;
    }
}

fn line(row: &Row) -> Result<LogLine, StoreError> {
    Ok(LogLine {
        number: row.try_get("number")?,
        file: row.try_get("file")?,
        observed_at: rows::time(row, "observed_at")?,
        text: row.try_get("text")?,
        cut: row.try_get("cut")?,
    })
}

fn unsigned(row: &Row, column: &str) -> Result<u64, StoreError> {
    Ok(row.try_get::<_, i64>(column)?.unsigned_abs())
}

/// The wire's check says that it fits.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_run_takes_over_what_came_before() {
        assert_eq!(before_first("h-aa-1").as_deref(), Some("h-aa-0"));
        assert_eq!(before_first("h-aa-11"), None);
        assert_eq!(before_first("h-aa-2"), None);
    }
}
