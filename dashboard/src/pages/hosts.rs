//! `/hosts` and `/hosts/{host}`: who is watching, what, and how well.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::page::BuildFilter;
use protocol::{Build, Host};

use super::{Shell, error, now, page};
use crate::source::{ListError, Overview, Source, Unavailable};
use crate::view::Moment;
use crate::view::blank::Blank;
use crate::view::host::HostView;
use crate::view::link;
use crate::view::row::Row;

/// Builds on a host's page; the history has the rest.
const BUILDS: u32 = 50;

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    shell: Shell,
    blank: Blank,
    hosts: Vec<HostView>,
}

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    shell: Shell,
    blank: Blank,
    host: HostView,
    rows: Vec<Row>,
    history: String,
}

#[derive(Template)]
#[template(path = "host_calls.html")]
struct HostOfCallsPage {
    shell: Shell,
    blank: Blank,
    name: String,
    key: String,
    rows: Vec<Row>,
    history: String,
}

pub(crate) async fn list<S: Source>(State(source): State<S>) -> Response {
    let Ok(overview) = source.overview().await else {
        return error::unavailable();
    };
    let Overview {
        hosts,
        builds,
        now,
        seq,
        ..
    } = overview;
    let mut shell = Shell::new("Hosts · Phaseline", "hosts", now);
    shell.seq = seq;
    let hosts = hosts
        .iter()
        .map(|h| HostView::new(h, &builds, now))
        .collect();
    let blank = Blank::new();
    page(
        StatusCode::OK,
        &HostsPage {
            shell,
            blank,
            hosts,
        },
    )
}

pub(crate) async fn show<S: Source>(
    State(source): State<S>,
    Path(segment): Path<String>,
) -> Response {
    let host = match find(&source, &segment).await {
        Ok(Some(host)) => host,
        Ok(None) => return of_calls(&source, &segment).await,
        Err(Unavailable) => return error::unavailable(),
    };
    match builds_of(&source, &host.name).await {
        Ok(builds) => page(StatusCode::OK, &host_page(&host, &builds)),
        Err(response) => *response,
    }
}

async fn builds_of<S: Source>(source: &S, host: &str) -> Result<Vec<Build>, Box<Response>> {
    let filter = BuildFilter {
        host: Some(host.to_owned()),
        limit: Some(BUILDS),
        ..BuildFilter::default()
    };
    match source.builds(&filter).await {
        Ok(page) => Ok(page.builds),
        Err(ListError::BadFilter(reason)) => Err(Box::new(error::bad_filter(&reason))),
        Err(ListError::Unavailable) => Err(Box::new(error::unavailable())),
    }
}

/// A host without an agent, known from the calls of producers that send.
async fn of_calls<S: Source>(source: &S, segment: &str) -> Response {
    let names = [link::host_name(segment), Some(segment.to_owned())];
    for name in names.into_iter().flatten() {
        match builds_of(source, &name).await {
            Ok(builds) if builds.is_empty() => {}
            Ok(builds) => return page(StatusCode::OK, &calls_page(&name, &builds)),
            Err(response) => return *response,
        }
    }
    error::missing(
        "There is no such host",
        "No agent with this name was ever heard, and no producer sent anything for it.".to_owned(),
        ("/hosts", "All hosts"),
    )
}

fn calls_page(name: &str, builds: &[Build]) -> HostOfCallsPage {
    let moment = Moment::new(now(), &[]);
    let title = format!("{} · Phaseline", crate::text::attribute(name));
    HostOfCallsPage {
        blank: Blank::new(),
        shell: Shell::new(title, "hosts", moment.now),
        name: crate::text::line(name, crate::text::NAME_CHARS),
        key: link::host_segment(name),
        rows: builds.iter().map(|b| Row::new(b, &moment)).collect(),
        history: format!("/history?host={}", link::query(name)),
    }
}

fn host_page(host: &Host, builds: &[Build]) -> HostPage {
    let moment = Moment::new(now(), std::slice::from_ref(host));
    let view = HostView::new(host, builds, moment.now);
    let title = format!("{} · Phaseline", crate::text::attribute(&host.name));
    HostPage {
        blank: Blank::new(),
        shell: Shell::new(title, "hosts", moment.now),
        host: view,
        rows: builds.iter().map(|b| Row::new(b, &moment)).collect(),
        history: format!("/history?host={}", link::query(&host.name)),
    }
}

/// By the address we make, or by the plain name that somebody typed.
async fn find<S: Source>(source: &S, segment: &str) -> Result<Option<Host>, Unavailable> {
    if let Some(name) = link::host_name(segment)
        && let Some(host) = source.host(&name).await?
    {
        return Ok(Some(host));
    }
    source.host(segment).await
}
