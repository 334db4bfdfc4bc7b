//! `/history`: all builds ever seen, newest first, filtered by a plain form.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::page::BuildFilter;
use protocol::{BuildState, Host};

use super::{Shell, error, now, page};
use crate::source::{ListError, Source};
use crate::text;
use crate::view::Moment;
use crate::view::blank::Blank;
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
    producer: String,
    filtered: bool,
    rows: Vec<Row>,
    /// Address of the next page; empty at the end.
    next: String,
}

/// An option of a select box.
struct Choice {
    value: String,
    label: String,
    selected: bool,
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
    // Names for the select box only: without them the list is still right.
    let hosts = source.hosts().await.unwrap_or_default();
    let moment = Moment::new(now(), &hosts);
    let mut shell = Shell::new("History · Phaseline", "history", moment.now);
    shell.q = opt(filter.q.as_deref());
    let template = HistoryPage {
        shell,
        blank: Blank::new(),
        states: states(filter.state.as_deref()),
        hosts: host_choices(&hosts, filter.host.as_deref()),
        producer: opt(filter.producer.as_deref()),
        filtered: [&filter.q, &filter.state, &filter.host, &filter.producer]
            .iter()
            .any(|part| part.is_some()),
        rows: builds.builds.iter().map(|b| Row::new(b, &moment)).collect(),
        next: builds
            .next
            .map_or_else(String::new, |cursor| address(&filter, &cursor)),
    };
    page(StatusCode::OK, &template)
}

/// A form sends its empty boxes too: they mean "any".
fn filled(filter: BuildFilter) -> BuildFilter {
    let some = |part: Option<String>| part.filter(|text| !text.trim().is_empty());
    BuildFilter {
        state: some(filter.state),
        host: some(filter.host),
        producer: some(filter.producer),
        q: some(filter.q),
        limit: Some(filter.limit.unwrap_or(PER_PAGE)),
        cursor: some(filter.cursor),
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

fn host_choices(hosts: &[Host], chosen: Option<&str>) -> Vec<Choice> {
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

fn address(filter: &BuildFilter, cursor: &str) -> String {
    let parts = [
        ("q", filter.q.as_deref()),
        ("state", filter.state.as_deref()),
        ("host", filter.host.as_deref()),
        ("producer", filter.producer.as_deref()),
        ("cursor", Some(cursor)),
    ];
    let pairs: Vec<String> = parts
        .iter()
        .filter_map(|(name, value)| {
            value.map(|v| format!("{name}={}", crate::view::link::query(v)))
        })
        .collect();
    format!("/history?{}", pairs.join("&"))
}
