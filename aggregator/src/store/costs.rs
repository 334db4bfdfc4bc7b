//! Sums of what builds cost. Postgres adds decimal numbers, digit for digit; a
//! build whose cost is unknown is counted and adds nothing.

use protocol::page::{CostFilter, CostPage, CostRow};
use protocol::{Money, Timestamp};
use tokio_postgres::Row;

use super::filter::{limit, span, storable};
use super::listing::{Conditions, NOT_ANOTHER};
use super::{ReadError, Store, StoreError};
use crate::budgets::Spending;

/// Rows unless told, and most rows: a page can hold them, and a year has 366 days.
const DEFAULT_ROWS: u32 = 100;
pub(crate) const MAX_ROWS: u32 = 1_000;

/// What a row stands for: the word, its key of a build, and its key of a part.
const KINDS: [(&str, &str, &str); 7] = [
    (
        "day",
        "to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        NONE,
    ),
    ("host", "host", NONE),
    ("project", "project", NONE),
    ("producer", "producer", NONE),
    ("phase", "part.key", "p->>'phase'"),
    ("model", "part.key", "p->>'model'"),
    ("build", "id", NONE),
];
const NONE: &str = "NULL::text";

/// The most that a sum can tell (`protocol::Money`), US dollars: it stops there.
const MOST: &str = "100000000000";

/// A sum as text; null where nothing is known (which `LEAST` would call the most).
fn sum(amount: &str) -> String {
    format!("CASE WHEN sum({amount}) > {MOST} THEN {MOST} ELSE sum({amount}) END::text")
}

fn kind(word: &str) -> Option<(&'static str, &'static str, &'static str)> {
    KINDS.into_iter().find(|(known, _, _)| *known == word)
}

fn conditions(filter: &CostFilter) -> Result<Conditions, ReadError> {
    storable([&filter.host, &filter.producer, &filter.project])?;
    let (from, to) = span(filter.from.as_deref(), filter.to.as_deref())?;
    let mut conditions = Conditions::of_builds();
    conditions.add_if("host = $", filter.host.clone());
    conditions.add_if("producer = $", filter.producer.clone());
    conditions.add_if("project = $", filter.project.clone());
    conditions.add_if("started_at >= $", from.map(Timestamp::to_system_time));
    conditions.add_if("started_at < $", to.map(Timestamp::to_system_time));
    Ok(conditions)
}

/// Costs by `key`; `part` is what tells a build's parts apart, so that each build is counted once in a row.
fn statement(key: &str, part: &str, conditions: &str, rest: &str) -> String {
    format!(
        "SELECT {key} AS key, {} AS usd, {} AS estimated,
                count(*) AS builds, count(*) FILTER (WHERE part.usd IS NULL) AS unknown
         FROM build LEFT JOIN LATERAL (
             SELECT {part} AS key, sum((p->>'usd')::numeric) AS usd,
                    COALESCE(sum((p->>'usd')::numeric) FILTER (WHERE (p->>'estimated')::boolean), 0) AS estimated
             FROM jsonb_array_elements(build.costs) p GROUP BY 1
         ) part ON true
         WHERE {conditions} {rest}",
        sum("part.usd"),
        sum("part.estimated"),
    )
}

impl Store {
    /// What builds cost, added up.
    ///
    /// # Errors
    /// When the filter cannot be meant, or Postgres cannot be asked.
    pub(crate) async fn costs(&self, filter: &CostFilter) -> Result<CostPage, ReadError> {
        let by = filter.by.as_deref().unwrap_or("day");
        let Some((by, key, part)) = kind(by) else {
            let words = KINDS.map(|(word, _, _)| word).join(", ");
            return Err(ReadError::BadFilter(format!("by must be one of {words}")));
        };
        let limit = limit(filter.limit, DEFAULT_ROWS, MAX_ROWS)?;
        let conditions = conditions(filter)?;
        let order = match by {
            "day" => "1 DESC NULLS LAST",
            _ => "sum(part.usd) DESC NULLS LAST, 1",
        };
        let rest = format!("GROUP BY 1 ORDER BY {order} LIMIT {}", i64::from(limit) + 1);
        let rows = statement(key, part, &conditions.text(), &rest);
        let total = statement(NONE, NONE, &conditions.text(), "");
        let client = self.client().await?;
        let params = conditions.params();
        let mut rows = client.query(&rows, &params).await?;
        let total = client.query_one(&total, &params).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let truncated = rows.len() > most;
        rows.truncate(most);
        Ok(CostPage {
            by: by.to_owned(),
            rows: rows.iter().map(cost_row).collect::<Result<_, _>>()?,
            truncated,
            total: cost_row(&total)?,
        })
    }
}

/// Each condition has an index.
const BEGUN: &str = "started_at >= $2";
const LIVELY: &str = "(ended_at IS NULL OR ended_at >= $2)";

impl Store {
    /// What the builds of a project cost: those begun since a time, or, where `each` counts,
    /// those that are open or ended since.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn spending(
        &self,
        project: &str,
        since: Timestamp,
        each: bool,
    ) -> Result<Spending, StoreError> {
        let client = self.client().await?;
        let since = since.to_system_time();
        let condition = if each { LIVELY } else { BEGUN };
        let sql = format!(
            "SELECT {} AS sum, max(cost_usd)::text AS most,
                    (array_agg(id ORDER BY cost_usd DESC) FILTER (WHERE cost_usd IS NOT NULL))[1] AS dearest,
                    count(*) FILTER (WHERE cost_usd IS NULL) AS unknown
             FROM build WHERE project = $1 AND {condition} AND {NOT_ANOTHER}",
            sum("cost_usd")
        );
        let query = client.prepare_cached(&sql).await?;
        let row = client.query_one(&query, &[&project, &since]).await?;
        Ok(Spending {
            sum: amount(&row, "sum")?,
            most: amount(&row, "most")?,
            dearest: row.try_get("dearest")?,
            unknown_builds: super::rows::count(&row, "unknown")?,
        })
    }
}

fn amount(row: &Row, column: &str) -> Result<Option<Money>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    let bad = |error| StoreError::Row(format!("{column}: {error}"));
    text.map(str::parse).transpose().map_err(bad)
}

fn cost_row(row: &Row) -> Result<CostRow, StoreError> {
    Ok(CostRow {
        key: row.try_get("key")?,
        cost_usd: amount(row, "usd")?,
        estimated_usd: amount(row, "estimated")?,
        builds: super::rows::count(row, "builds")?,
        unknown_builds: super::rows::count(row, "unknown")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_of_costs_is_refused_with_a_sentence() {
        let refused = |filter: CostFilter| conditions(&filter).err().unwrap().to_string();
        let some = |text: &str| Some(text.to_owned());
        let filter = CostFilter::default;
        let from = some("soon");
        assert!(refused(CostFilter { from, ..filter() }).starts_with("from must be"));
        let (from, to) = (some("2026-11-02"), some("2026-11-01"));
        assert!(
            refused(CostFilter {
                from,
                to,
                ..filter()
            })
            .starts_with("to must be later")
        );
        let project = some("\0");
        assert!(
            refused(CostFilter {
                project,
                ..filter()
            })
            .contains("NUL")
        );
        assert!(kind("day").is_some() && kind("week").is_none());
    }
}
