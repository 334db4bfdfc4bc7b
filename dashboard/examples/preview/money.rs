//! Costs of the invented builds, added up as the aggregator adds up real ones.

use std::collections::BTreeMap;

use protocol::page::{BudgetStatus, CostPage, CostRow};
use protocol::{Build, Money, Timestamp};

fn add(row: &mut CostRow, build: &Build) {
    row.builds += 1;
    let Some(usd) = build.cost_usd else {
        row.unknown_builds += 1;
        return;
    };
    let plus = |sum: Option<Money>, more: Money| Some(sum.unwrap_or_default().plus(more));
    let guess = build.cost_estimated == Some(true);
    row.cost_usd = plus(row.cost_usd, usd);
    row.estimated_usd = plus(row.estimated_usd, if guess { usd } else { Money::ZERO });
}

fn nothing(key: Option<&str>) -> CostRow {
    CostRow {
        key: key.map(str::to_owned),
        cost_usd: None,
        estimated_usd: None,
        builds: 0,
        unknown_builds: 0,
    }
}

pub(crate) fn costs(by: &str, builds: &[Build]) -> CostPage {
    let mut rows: BTreeMap<Option<String>, CostRow> = BTreeMap::new();
    let mut total = nothing(None);
    for build in builds {
        let key = match by {
            "host" => Some(build.host.clone()),
            "producer" => Some(build.producer.clone()),
            "model" => build.model.clone(),
            "phase" => None,
            "build" => Some(build.id.clone()),
            "project" => Some(build.project.clone()),
            _ => build.started_at.map(|at| at.to_string()[..10].to_owned()),
        };
        let row = rows
            .entry(key.clone())
            .or_insert_with(|| nothing(key.as_deref()));
        add(row, build);
        add(&mut total, build);
    }
    let mut rows: Vec<CostRow> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.cost_usd));
    CostPage {
        by: by.to_owned(),
        rows,
        truncated: false,
        total,
    }
}

pub(crate) fn budgets(builds: &[Build], since: Timestamp) -> Vec<BudgetStatus> {
    let projects = builds.iter().take(2).zip(["1.00", "50.00"]);
    let budget = |(build, limit): (&Build, &str)| {
        let limit_usd: Money = limit.parse().unwrap_or_default();
        BudgetStatus {
            project: build.project.clone(),
            per: "day".to_owned(),
            limit_usd,
            spent_usd: build.cost_usd,
            unknown_builds: 1,
            since,
            build: Some(build.id.clone()),
            over: build.cost_usd > Some(limit_usd),
        }
    };
    projects.map(budget).collect()
}
