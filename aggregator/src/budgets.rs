//! What projects are meant to spend. Each replica looks again when a cost of such
//! a project changes and when a day begins; more than was meant raises an alert,
//! and stops nothing.

use std::sync::Arc;
use std::time::Duration;

use protocol::page::BudgetStatus;
use protocol::{Money, Timestamp};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::alerts::{About, Alerts};
use crate::live::{self, Change, Hub, News, Subject};
use crate::store::{Store, StoreError};

/// Costs of running builds change many times a second; so often they are added up at most.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// After Postgres gave no answer.
const RETRY: Duration = Duration::from_secs(5);
const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// What helps.
const REMEDY: &str = "nothing is stopped by it: look at the costs of the project, or raise the budget in the settings";

/// What one project is meant to spend at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The project's name; projects of one name on several hosts are one.
    pub project: String,
    /// US dollars.
    pub usd: Money,
    /// In which span.
    pub per: Per,
}

/// The span of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// Builds that began on this day (UTC).
    Day,
    /// Builds that began in this month (UTC).
    Month,
    /// Each build that is open or ended within 24 h.
    Build,
}

impl Per {
    fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Build => "build",
        }
    }

    /// From when on builds count.
    fn since(self, now: Timestamp) -> Timestamp {
        let days = |back: i64| now.as_millis().div_euclid(DAY_MS) - back;
        match self {
            Self::Day => Timestamp::from_millis(days(0) * DAY_MS),
            Self::Month => {
                // The day of the month is in the written form.
                let text = now.to_string();
                let day = text.get(8..10).and_then(|day| day.parse::<i64>().ok());
                Timestamp::from_millis(days(day.unwrap_or(1) - 1) * DAY_MS)
            }
            Self::Build => now.plus_millis(-DAY_MS),
        }
    }
}

/// What a project's builds cost in a span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spending {
    pub(crate) sum: Option<Money>,
    pub(crate) most: Option<Money>,
    pub(crate) dearest: Option<String>,
    pub(crate) unknown_builds: u64,
}

/// How all budgets stand now.
///
/// # Errors
/// When Postgres cannot be asked.
pub(crate) async fn all(
    store: &Store,
    budgets: &[Budget],
) -> Result<Vec<BudgetStatus>, StoreError> {
    let now = live::now();
    let mut all = Vec::with_capacity(budgets.len());
    for budget in budgets {
        let since = budget.per.since(now);
        let each = budget.per == Per::Build;
        let spending = store.spending(&budget.project, since, each).await?;
        all.push(status(budget, since, spending));
    }
    Ok(all)
}

fn status(budget: &Budget, since: Timestamp, spending: Spending) -> BudgetStatus {
    let spent_usd = match budget.per {
        Per::Build => spending.most,
        Per::Day | Per::Month => spending.sum,
    };
    BudgetStatus {
        project: budget.project.clone(),
        per: budget.per.word().to_owned(),
        limit_usd: budget.usd,
        spent_usd,
        unknown_builds: spending.unknown_builds,
        since,
        build: spending.dearest,
        over: spent_usd.is_some_and(|usd| usd > budget.usd),
    }
}

/// What the watch over budgets needs.
pub(crate) struct Watch {
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) budgets: Arc<[Budget]>,
}

impl Watch {
    /// Raises and clears the alerts of budgets, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        if !self.budgets.is_empty() {
            stop.run_until_cancelled(self.watch()).await;
        }
    }

    async fn watch(&self) {
        let mut news = self.hub.news();
        let mut loaded = self.hub.loaded();
        // An error would mean that the hub is gone, and the program with it.
        let _ = loaded.wait_for(|loaded| *loaded).await;
        loop {
            let again = match all(&self.store, &self.budgets).await {
                Ok(standing) => {
                    tell(&self.alerts, &standing);
                    until_tomorrow(live::now())
                }
                Err(error) => {
                    tracing::debug!(%error, "failed to add up the costs of budgets");
                    RETRY
                }
            };
            tokio::time::sleep(LEAST_PAUSE).await;
            tokio::select! {
                () = tokio::time::sleep(again) => {}
                () = concerned(&mut news, &self.budgets) => {}
            }
        }
    }
}

fn until_tomorrow(now: Timestamp) -> Duration {
    let left = DAY_MS - now.as_millis().rem_euclid(DAY_MS);
    Duration::from_millis(left.unsigned_abs())
}

/// Waits for a change of a build whose project has a budget, or for changes that were not seen.
async fn concerned(news: &mut Receiver<News>, budgets: &[Budget]) {
    loop {
        match news.recv().await {
            Ok(News::Change(change)) if !is_concerned(&change, budgets) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // No hub, no changes: the program ends.
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

fn is_concerned(change: &Change, budgets: &[Budget]) -> bool {
    let Subject::Build { now, .. } = &change.subject else {
        return false;
    };
    let project = now.map.get("project").and_then(|project| project.as_str());
    let costs = now.map.get("cost_usd").is_some_and(|usd| !usd.is_null());
    costs
        && budgets
            .iter()
            .any(|budget| Some(budget.project.as_str()) == project)
}

fn tell(alerts: &Alerts, standing: &[BudgetStatus]) {
    for (index, budget) in standing.iter().enumerate() {
        let about = About::Budget(index);
        if budget.over {
            alerts.tell(about, sentence(budget), REMEDY);
        } else {
            alerts.clear(about);
        }
    }
}

fn sentence(budget: &BudgetStatus) -> String {
    let cents = |usd: Money| format!("${}", usd.to_cents());
    let (spent, limit) = (budget.spent_usd.unwrap_or_default(), budget.limit_usd);
    let (spent, limit) = (cents(spent), cents(limit));
    let (project, since) = (&budget.project, budget.since.to_string());
    let over = format!("over its budget of {limit} per {}", budget.per);
    match budget.per.as_str() {
        "build" => {
            let build = budget.build.as_deref().unwrap_or_default();
            format!("build {build} of project {project:?} cost {spent}, {over}")
        }
        "month" => {
            let month = since.get(..7).unwrap_or_default();
            format!("project {project:?} spent {spent} in {month} (UTC), {over}")
        }
        _ => {
            let day = since.get(..10).unwrap_or_default();
            format!("project {project:?} spent {spent} on {day} (UTC), {over}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(usd: &str, per: Per) -> Budget {
        Budget {
            project: "shop".to_owned(),
            usd: usd.parse().unwrap(),
            per,
        }
    }

    fn spending(sum: &str, most: &str) -> Spending {
        Spending {
            sum: sum.parse().ok(),
            most: most.parse().ok(),
            dearest: Some("h-1".to_owned()),
            unknown_builds: 2,
        }
    }

    #[test]
    fn a_span_begins_with_its_day_or_month_in_utc() {
        let now: Timestamp = "2026-11-21T00:00:00.000Z".parse().unwrap();
        assert_eq!(Per::Day.since(now), now);
        let late: Timestamp = "2026-11-21T23:59:59.999Z".parse().unwrap();
        assert_eq!(Per::Day.since(late), now);
        assert_eq!(
            Per::Month.since(late).to_string(),
            "2026-11-01T00:00:00.000Z"
        );
        assert_eq!(
            Per::Build.since(now).to_string(),
            "2026-11-20T00:00:00.000Z"
        );
        assert_eq!(until_tomorrow(late), Duration::from_millis(1));
    }

    #[test]
    fn going_over_a_budget_raises_an_alert_that_ends_with_it() {
        let alerts = Alerts::default();
        let now = live::now();
        let day = budget("25.00", Per::Day);
        let exactly = status(&day, now, spending("25.00", "20"));
        assert!(!exactly.over && exactly.unknown_builds == 2);
        tell(&alerts, &[exactly]);
        assert!(alerts.all().is_empty());
        tell(
            &alerts,
            &[status(&day, now, spending("25.000000000001", "20"))],
        );
        tell(&alerts, &[status(&day, now, spending("31.5", "20"))]);
        let told = alerts.all();
        assert_eq!(told.len(), 1);
        assert!(
            told[0].text.contains("\"shop\" spent $31.50 on "),
            "{}",
            told[0].text
        );
        assert!(told[0].text.contains("over its budget of $25.00 per day"));
        tell(&alerts, &[status(&day, now, spending("", ""))]);
        assert!(alerts.all()[0].ended_at.is_some());
        let build = status(&budget("25", Per::Build), now, spending("90", "24"));
        assert!(!build.over);
        let build = status(&budget("25", Per::Build), now, spending("90", "26"));
        assert!(sentence(&build).starts_with("build h-1 of project \"shop\" cost $26.00"));
    }
}
