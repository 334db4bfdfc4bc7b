//! Listings of builds, newest first. Only the conditions that were asked for
//! are in the statement: a plan for all of them at once would use no index.

use protocol::page::BuildPage;
use protocol::{Build, BuildState, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::filter::{Filter, Moving, like_pattern};
use super::rows::{self, BUILD_COLUMNS};
use super::{ReadError, Store, StoreError};

/// A build that turned out to be another one is shown as that; such builds ended as unknown.
pub(super) const NOT_ANOTHER: &str = "(state <> 'unknown' OR body->>'same_as' IS NULL)";

/// The text is in one of what is searched.
const SAYS: &str =
    "(id ILIKE $ OR project ILIKE $ OR path ILIKE $ OR session_id ILIKE $ OR branch ILIKE $
    OR body->>'detail' ILIKE $)";
/// Before that: it is in all of it together, which is what the index of ended builds has (`build_by_text`). The few
/// that are open are in another one.
const MAY_SAY: &str = "(ended_at IS NULL OR ended_at IS NOT NULL AND (
    id || ' ' || project || ' ' || path || ' ' || COALESCE(session_id, '') || ' ' || COALESCE(branch, '')
    || ' ' || COALESCE(body->>'detail', '')) ILIKE $)";
/// The newest builds, among which a text is looked for first. One that fills no page of them is rare, and only for a
/// rare text is the index of texts the shorter way: for a usual one it would find most builds, to show 50.
const NEWEST: u32 = 2_000;

/// The state is spelled, so that the planner sees which index has it. No build at work has ended.
fn in_state(state: BuildState) -> String {
    let word = state.word();
    match state {
        BuildState::Queued | BuildState::Running | BuildState::Waiting | BuildState::Stalled => {
            format!("state = '{word}' AND ended_at IS NULL")
        }
        BuildState::Completed
        | BuildState::Failed
        | BuildState::Cancelled
        | BuildState::Unknown => format!("state = '{word}'"),
    }
}

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
        self.texts.extend(moving.state.map(in_state));
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
        self.add_if(SAYS, moving.text.as_deref().map(like_pattern));
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

fn page_of(builds: &str, conditions: &str, limit: usize) -> String {
    format!(
        "SELECT {BUILD_COLUMNS} FROM {builds} WHERE {conditions} ORDER BY opened_seq DESC LIMIT {limit}"
    )
}

/// The newest builds before a place in the order of listings.
fn newest(before: Option<i64>) -> String {
    let before = before.unwrap_or(i64::MAX);
    format!(
        "(SELECT * FROM build WHERE opened_seq < {before} ORDER BY opened_seq DESC LIMIT {NEWEST}) build"
    )
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
        let client = self.client().await?;
        let mut found = Vec::new();
        if filter.moving.text.is_some() {
            let sql = page_of(&newest(filter.before), &conditions.text(), limit + 1);
            found = client.query(&sql, &conditions.params()).await?;
            conditions.add_if(MAY_SAY, filter.moving.text.as_deref().map(like_pattern));
        }
        if found.len() <= limit {
            let sql = page_of("build", &conditions.text(), limit + 1);
            found = client.query(&sql, &conditions.params()).await?;
        }
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
