//! `/costs`: what builds cost, added up by day, host, project and so on, and how
//! the budgets stand. Sums are exact; what is unknown is counted, not guessed.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::page::{BudgetStatus, CostFilter, CostRow};
use protocol::{Host, Money, Timestamp};

use super::history::{Choice, host_choices};
use super::{Shell, error, now, page, past};
use crate::format::{self, DAY_MS};
use crate::source::{ListError, Source, Unavailable};
use crate::text;
use crate::view::link;
use crate::view::row::opt;

/// What a row may stand for, with the heading of its column.
const KINDS: [(&str, &str); 7] = [
    ("day", "Day (UTC)"),
    ("project", "Project"),
    ("host", "Host"),
    ("producer", "Producer"),
    ("model", "Model"),
    ("phase", "Phase"),
    ("build", "Build"),
];
/// Width of the longest bar, in units of its drawing.
const BAR: f64 = 1_000.0;

#[derive(Template)]
#[template(path = "costs.html")]
struct CostsPage {
    shell: Shell,
    kinds: Vec<Choice>,
    hosts: Vec<Choice>,
    from: String,
    to: String,
    project: String,
    producer: String,
    heading: &'static str,
    filtered: bool,
    rows: Vec<Line>,
    total: Line,
    truncated: bool,
    budgets: Option<Vec<BudgetLine>>,
}

/// A row of the table.
struct Line {
    key: String,
    /// Where its builds are listed; empty where there is no such list.
    href: String,
    usd: String,
    /// All digits.
    exact: String,
    estimated: String,
    builds: String,
    unknown: String,
    /// Widths of the bar: all of it, and the part that is an estimate.
    bar: u32,
    bar_estimated: u32,
}

/// A budget.
struct BudgetLine {
    project: String,
    href: String,
    per: String,
    limit: String,
    spent: String,
    exact: String,
    unknown: String,
    over: bool,
    bar: u32,
}

pub(crate) async fn show<S: Source>(
    State(source): State<S>,
    filter: Result<Query<CostFilter>, QueryRejection>,
) -> Response {
    let Ok(Query(filter)) = filter else {
        return error::bad_filter("A part of the address is not what a sum of costs consists of.");
    };
    let filter = filled(filter);
    let costs = match source.costs(&filter).await {
        Ok(costs) => costs,
        Err(ListError::BadFilter(reason)) => return error::bad_filter(&reason),
        Err(ListError::Unavailable) => return error::unavailable(),
    };
    let budgets = match source.budgets().await {
        Ok(budgets) => Some(budgets.iter().map(budget).collect()),
        Err(Unavailable) => None,
    };
    let hosts: Vec<Host> = source.hosts().await.unwrap_or_default();
    let dollars = |row: &CostRow| row.cost_usd.map_or(0.0, Money::nearest_f64);
    let most = costs.rows.iter().map(dollars).fold(0.0, f64::max);
    let time = |text: &Option<String>| {
        let read = text.as_deref().map(Timestamp::read);
        past::field(read.and_then(Result::ok))
    };
    let template = CostsPage {
        shell: Shell::new("Costs · Phaseline", "costs", now()),
        kinds: kinds(&costs.by),
        hosts: host_choices(&hosts, filter.host.as_deref()),
        from: time(&filter.from),
        to: time(&filter.to),
        project: opt(filter.project.as_deref()),
        producer: opt(filter.producer.as_deref()),
        heading: KINDS
            .iter()
            .find(|(word, _)| *word == costs.by)
            .map_or("", |(_, heading)| heading),
        filtered: filter
            != CostFilter {
                by: filter.by.clone(),
                ..CostFilter::default()
            },
        rows: costs
            .rows
            .iter()
            .map(|row| line(row, &costs.by, &filter, most))
            .collect(),
        total: line(&costs.total, "", &filter, 0.0),
        truncated: costs.truncated,
        budgets,
    };
    page(StatusCode::OK, &template)
}

/// A form sends its empty boxes too: they mean "any".
fn filled(filter: CostFilter) -> CostFilter {
    let some = |part: Option<String>| part.filter(|text| !text.trim().is_empty());
    CostFilter {
        by: some(filter.by),
        from: some(filter.from),
        to: some(filter.to),
        host: some(filter.host),
        producer: some(filter.producer),
        project: some(filter.project),
        limit: filter.limit,
    }
}

fn kinds(chosen: &str) -> Vec<Choice> {
    let choice = |(word, heading): (&str, &str)| Choice {
        value: word.to_owned(),
        label: heading.to_owned(),
        selected: word == chosen,
    };
    KINDS.into_iter().map(choice).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 1000"
)]
fn width(part: f64, most: f64) -> u32 {
    if most > 0.0 {
        (part / most * BAR).clamp(0.0, BAR).round() as u32
    } else {
        0
    }
}

fn usd(amount: Option<Money>) -> String {
    amount.map_or_else(
        || format::UNKNOWN.to_owned(),
        |usd| format::money(usd, false),
    )
}

fn exact(amount: Option<Money>) -> String {
    amount.map_or_else(
        || "no build's cost is known".to_owned(),
        |usd| format!("${usd}"),
    )
}

fn line(row: &CostRow, by: &str, filter: &CostFilter, most: f64) -> Line {
    let part = |amount: Option<Money>| width(amount.map_or(0.0, Money::nearest_f64), most);
    let estimated = row.estimated_usd.filter(|usd| *usd > Money::ZERO);
    let count = |n: u64| {
        if n == 0 {
            String::new()
        } else {
            format::count(n)
        }
    };
    Line {
        key: row.key.as_deref().map_or_else(
            || "unknown".to_owned(),
            |key| text::line(key, text::NAME_CHARS),
        ),
        href: row
            .key
            .as_deref()
            .and_then(|key| href(by, key, filter))
            .unwrap_or_default(),
        usd: usd(row.cost_usd),
        exact: exact(row.cost_usd),
        estimated: estimated.map_or_else(String::new, |usd| format::money(usd, true)),
        builds: format::count(row.builds),
        unknown: count(row.unknown_builds),
        bar: part(row.cost_usd),
        bar_estimated: part(row.estimated_usd),
    }
}

/// The builds of a row.
fn href(by: &str, key: &str, filter: &CostFilter) -> Option<String> {
    let next_day = Timestamp::read(key).ok();
    let next_day = next_day.map(|day| day.plus_millis(DAY_MS).to_string());
    let (from, to) = match by {
        "day" => (Some(key), next_day.as_deref().and_then(|day| day.get(..10))),
        "build" => return Some(link::build(key)),
        "host" | "project" | "producer" => (filter.from.as_deref(), filter.to.as_deref()),
        _ => return None,
    };
    let own = |name: &str, other: &Option<String>| match by == name {
        true => Some(key.to_owned()),
        false => other.clone(),
    };
    let (host, project) = (own("host", &filter.host), own("project", &filter.project));
    let producer = own("producer", &filter.producer);
    let pairs = [
        ("host", host.as_deref()),
        ("producer", producer.as_deref()),
        ("project", project.as_deref()),
        ("from", from),
        ("to", to),
    ];
    Some(link::with_query("/history", &pairs))
}

fn budget(status: &BudgetStatus) -> BudgetLine {
    let spent = status.spent_usd.map_or(0.0, Money::nearest_f64);
    let project = ("project", Some(status.project.as_str()));
    BudgetLine {
        project: text::line(&status.project, text::NAME_CHARS),
        href: link::with_query("/costs", &[project, ("by", Some("build"))]),
        per: status.per.clone(),
        limit: usd(Some(status.limit_usd)),
        spent: usd(status.spent_usd),
        exact: exact(status.spent_usd),
        unknown: match status.unknown_builds {
            0 => String::new(),
            n => format::count(n),
        },
        over: status.over,
        bar: width(spent, status.limit_usd.nearest_f64()),
    }
}
