//! Listings of builds, newest first. Only the conditions that were asked for
//! are in the statement: a plan for all of them at once would use no index.

use protocol::page::BuildPage;
use protocol::{Build, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::filter::{Filter, Moving, like_pattern};
use super::rows::{self, BUILD_COLUMNS};
use super::{ReadError, Store, StoreError};

/// A build that turned out to be another one is shown as that; such builds ended as unknown.
pub(super) const NOT_ANOTHER: &str = "(state <> 'unknown' OR body->>'same_as' IS NULL)";

/// A condition's parameters in their order.
#[derive(Default)]
pub(super) struct Conditions {
    texts: Vec<String>,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    /// Of builds, each counted as the one that it is.
    pub(super) fn of_builds() -> Self {
        Self {
            texts: vec![NOT_ANOTHER.to_owned()],
            params: Vec::new(),
        }
    }

    /// Adds a condition; `$` in it stands for the value.
    fn add(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static) {
        self.params.push(Box::new(value));
        let place = format!("${}", self.params.len());
        self.texts.push(condition.replace('$', &place));
    }

    pub(super) fn add_if(
        &mut self,
        condition: &str,
        value: Option<impl ToSql + Sync + Send + 'static>,
    ) {
        if let Some(value) = value {
            self.add(condition, value);
        }
    }

    /// Of the whole life of a build.
    fn fixed(filter: &Filter, before: Option<i64>) -> Self {
        let mut conditions = Self::default();
        conditions.add_if("host = $", filter.host.clone());
        conditions.add_if("producer = $", filter.producer.clone());
        conditions.add_if("opened_seq < $", before);
        conditions
    }

    fn moving(&mut self, moving: &Moving) {
        self.texts.push(NOT_ANOTHER.to_owned());
        self.add_if("state = $", moving.state.clone());
        self.add_if("project = $", moving.project.clone());
        self.add_if("branch = $", moving.branch.clone());
        self.add_if(
            "started_at >= $",
            moving.from.map(Timestamp::to_system_time),
        );
        self.add_if("started_at < $", moving.to.map(Timestamp::to_system_time));
        let amount = |usd: protocol::Money| usd.to_string();
        self.add_if("cost_usd >= $::text::numeric", moving.cost_min.map(amount));
        self.add_if("cost_usd <= $::text::numeric", moving.cost_max.map(amount));
        self.add_if(
            "(id ILIKE $ OR project ILIKE $ OR path ILIKE $ OR session_id ILIKE $ OR branch ILIKE $
              OR body->>'detail' ILIKE $)",
            moving.text.as_deref().map(like_pattern),
        );
    }

    pub(super) fn text(&self) -> String {
        match self.texts.len() {
            0 => "true".to_owned(),
            _ => self.texts.join(" AND "),
        }
    }

    pub(super) fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        let mut params: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(self.params.len());
        for param in &self.params {
            params.push(&**param);
        }
        params
    }
}

/// A build that may have been there at a moment.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) build: Build,
    pub(crate) opened_seq: i64,
    /// It has not changed since: the row is how it was.
    pub(crate) settled: bool,
}

impl Store {
    /// A page of builds as they are now, newest first, past ones too.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn builds(&self, filter: &Filter) -> Result<BuildPage, ReadError> {
        let mut conditions = Conditions::fixed(filter, filter.before);
        conditions.moving(&filter.moving);
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let sql = format!(
            "SELECT {BUILD_COLUMNS} FROM build WHERE {} ORDER BY opened_seq DESC LIMIT {}",
            conditions.text(),
            limit + 1
        );
        let client = self.client().await?;
        let mut found = client.query(&sql, &conditions.params()).await?;
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

    /// Builds that had begun at a moment, newest first: those that have not changed
    /// since, if the filter shows them, and all that have, whose state then is not here.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn candidates(
        &self,
        filter: &Filter,
        at: Timestamp,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut conditions = Conditions::fixed(filter, before);
        // Times are told to the millisecond: one within that millisecond is not later.
        let after = at.plus_millis(1).to_system_time();
        // The second condition is there for its index: without it all newer builds are walked. The
        // sum in it keeps the planner from finding the maximum by that same walk.
        conditions.add(
            "opened_at < $ AND opened_seq <= (SELECT max(opened_seq + 0) FROM build WHERE opened_at < $)",
            after,
        );
        let settled = conditions.params.len();
        let mut fixed = conditions.text();
        conditions.texts.clear();
        conditions.moving(&filter.moving);
        fixed.push_str(&format!(
            " AND (last_updated >= ${settled} OR ({}))",
            conditions.text()
        ));
        let sql = format!(
            "SELECT {BUILD_COLUMNS}, last_updated < ${settled} AS settled FROM build
             WHERE {fixed} ORDER BY opened_seq DESC LIMIT {limit}"
        );
        let client = self.client().await?;
        let found = client.query(&sql, &conditions.params()).await?;
        found.iter().map(|row| candidate(row, at)).collect()
    }

    /// One build, as a candidate; none when there is none, nothing inside when it had not begun.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn candidate(
        &self,
        id: &str,
        at: Timestamp,
    ) -> Result<Option<Option<Candidate>>, StoreError> {
        let client = self.client().await?;
        let after = at.plus_millis(1).to_system_time();
        let sql = format!(
            "SELECT {BUILD_COLUMNS}, last_updated < $2 AS settled, opened_at < $2 AS begun FROM build WHERE id = $1"
        );
        let query = client.prepare_cached(&sql).await?;
        let Some(row) = client.query_opt(&query, &[&id, &after]).await? else {
            return Ok(None);
        };
        let begun: bool = row.try_get("begun")?;
        begun.then(|| candidate(&row, at)).transpose().map(Some)
    }
}

fn candidate(row: &Row, at: Timestamp) -> Result<Candidate, StoreError> {
    let mut build = rows::build(row)?;
    let settled = row.try_get("settled")?;
    // The column has moved on with presences; the body has it as of the last change.
    if settled && build.alive_at > Some(at) {
        build.alive_at = rows::body(row)?.alive_at;
    }
    Ok(Candidate {
        build,
        opened_seq: row.try_get("opened_seq")?,
        settled,
    })
}
