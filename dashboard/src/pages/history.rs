//! `/history`: all builds ever seen, newest first, filtered by a plain form, as
//! they are or, with `?at=`, as they were.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::page::BuildFilter;
use protocol::{BuildState, Host, Timestamp};

use super::past::{self, PastBar};
use super::{Shell, error, now, page};
use crate::source::{ListError, Source};
use crate::text;
use crate::view::Moment;
use crate::view::blank::Blank;
use crate::view::link;
use crate::view::row::{Row, opt};

/// Builds on a page.
const PER_PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    shell: Shell,
    blank: Blank,
    states: Vec<Choice>,
    hosts: Vec<Choice>,
    fields: Fields,
    filtered: bool,
    /// The rarer fields are in use.
    more: bool,
    rows: Vec<Row>,
    /// Address of the next page; empty at the end.
    next: String,
}

/// What stands in the form's boxes.
struct Fields {
    producer: String,
    project: String,
    branch: String,
    from: String,
    to: String,
    cost_min: String,
    cost_max: String,
    at: String,
}

/// An option of a select box.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) selected: bool,
}

pub(crate) async fn show<S: Source>(
    State(source): State<S>,
    filter: Result<Query<BuildFilter>, QueryRejection>,
) -> Response {
    let Ok(Query(filter)) = filter else {
        return error::bad_filter("A part of the address is not what a search consists of.");
    };
    let filter = filled(filter);
    let builds = match source.builds(&filter).await {
        Ok(builds) => builds,
        Err(ListError::BadFilter(reason)) => return error::bad_filter(&reason),
        Err(ListError::Unavailable) => return error::unavailable(),
    };
    let at = time(filter.at.as_deref());
    if at.is_some_and(|at| at >= now()) {
        return past::to_now(&address(&BuildFilter { at: None, ..filter }));
    }
    // Names for the select box only: without them the list is still right.
    let hosts = source.hosts().await.unwrap_or_default();
    let moment = Moment::new(at.unwrap_or_else(now), &hosts);
    let row = |build| match at {
        Some(at) => Row::new(build, &moment).at(at),
        None => Row::new(build, &moment),
    };
    let next = builds.next.map(|cursor| BuildFilter {
        cursor: Some(cursor),
        ..filter.clone()
    });
    let template = HistoryPage {
        blank: Blank::new(),
        states: states(filter.state.as_deref()),
        hosts: host_choices(&hosts, filter.host.as_deref()),
        filtered: is_filtered(&filter),
        more: is_filtered(&BuildFilter {
            q: None,
            state: None,
            host: None,
            producer: None,
            ..filter.clone()
        }) || at.is_some(),
        rows: builds.builds.iter().map(row).collect(),
        next: next.map_or_else(String::new, |filter| address(&filter)),
        fields: Fields::new(&filter, at),
        shell: shell(filter, &moment, at),
    };
    page(StatusCode::OK, &template)
}

fn shell(filter: BuildFilter, moment: &Moment, at: Option<Timestamp>) -> Shell {
    let mut shell = Shell::new("History · Phaseline", "history", moment.now);
    shell.q = opt(filter.q.as_deref());
    shell.past = at.map(|at| {
        let now = BuildFilter {
            at: None,
            cursor: None,
            ..filter
        };
        PastBar::new(at, address(&now))
    });
    shell
}

/// A form sends its empty boxes too: they mean "any".
fn filled(filter: BuildFilter) -> BuildFilter {
    let some = |part: Option<String>| part.filter(|text| !text.trim().is_empty());
    BuildFilter {
        state: some(filter.state),
        host: some(filter.host),
        producer: some(filter.producer),
        project: some(filter.project),
        branch: some(filter.branch),
        q: some(filter.q),
        from: some(filter.from),
        to: some(filter.to),
        cost_min: some(filter.cost_min),
        cost_max: some(filter.cost_max),
        at: some(filter.at),
        limit: Some(filter.limit.unwrap_or(PER_PAGE)),
        cursor: some(filter.cursor),
    }
}

/// Any part of it but the moment and the place in the list.
fn is_filtered(filter: &BuildFilter) -> bool {
    pairs(filter)
        .iter()
        .any(|(name, value)| value.is_some() && !matches!(*name, "at" | "cursor"))
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| Timestamp::read(text).ok())
}

impl Fields {
    fn new(filter: &BuildFilter, at: Option<Timestamp>) -> Self {
        let text = |part: &Option<String>| opt(part.as_deref());
        let when = |part: &Option<String>| past::field(time(part.as_deref()));
        Self {
            producer: text(&filter.producer),
            project: text(&filter.project),
            branch: text(&filter.branch),
            from: when(&filter.from),
            to: when(&filter.to),
            cost_min: text(&filter.cost_min),
            cost_max: text(&filter.cost_max),
            at: past::field(at),
        }
    }
}

fn states(chosen: Option<&str>) -> Vec<Choice> {
    let choice = |state: BuildState| Choice {
        value: state.word().to_owned(),
        label: state.word().to_owned(),
        selected: chosen == Some(state.word()),
    };
    BuildState::ALL.into_iter().map(choice).collect()
}

pub(crate) fn host_choices(hosts: &[Host], chosen: Option<&str>) -> Vec<Choice> {
    let names = hosts.iter().map(|host| host.name.as_str());
    let unlisted = chosen.filter(|name| !hosts.iter().any(|host| host.name == *name));
    names
        .chain(unlisted)
        // A form cannot carry these, so they are not offered.
        .filter(|name| !name.chars().any(char::is_control))
        .map(|name| Choice {
            value: name.to_owned(),
            label: text::attribute(name),
            selected: chosen == Some(name),
        })
        .collect()
}

/// What an address of the history consists of.
fn pairs(filter: &BuildFilter) -> [(&'static str, Option<&str>); 12] {
    [
        ("q", filter.q.as_deref()),
        ("state", filter.state.as_deref()),
        ("host", filter.host.as_deref()),
        ("producer", filter.producer.as_deref()),
        ("project", filter.project.as_deref()),
        ("branch", filter.branch.as_deref()),
        ("from", filter.from.as_deref()),
        ("to", filter.to.as_deref()),
        ("cost_min", filter.cost_min.as_deref()),
        ("cost_max", filter.cost_max.as_deref()),
        ("at", filter.at.as_deref()),
        ("cursor", filter.cursor.as_deref()),
    ]
}

fn address(filter: &BuildFilter) -> String {
    link::with_query("/history", &pairs(filter))
}
