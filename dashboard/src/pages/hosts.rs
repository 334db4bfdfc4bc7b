//! `/hosts` and `/hosts/{host}`: who is watching, what, and how well; with `?at=`,
//! who was.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::page::BuildFilter;
use protocol::{Build, Host, Timestamp};

use super::past::{self, At, PastBar};
use super::{Shell, error, now, page};
use crate::source::{ListError, Past, Source, Unavailable};
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
    at: String,
}

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    shell: Shell,
    blank: Blank,
    host: HostView,
    rows: Vec<Row>,
    history: String,
    at: String,
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

pub(crate) async fn list<S: Source>(
    State(source): State<S>,
    at: Result<Query<At>, QueryRejection>,
) -> Response {
    match at.map(|Query(at)| at).unwrap_or_default().read() {
        Ok(None) => {}
        Ok(Some(at)) => return list_at(&source, at).await,
        Err(page) => return page,
    }
    let Ok(overview) = source.overview().await else {
        return error::unavailable();
    };
    let mut shell = Shell::new("Hosts · Phaseline", "hosts", overview.now);
    shell.seq = overview.seq;
    let view = |host| HostView::new(host, &overview.builds, overview.now);
    let template = HostsPage {
        shell,
        blank: Blank::new(),
        hosts: overview.hosts.iter().map(view).collect(),
        at: String::new(),
    };
    page(StatusCode::OK, &template)
}

async fn list_at<S: Source>(source: &S, at: Timestamp) -> Response {
    let hosts = match source.hosts_at(at).await {
        Ok(Past::Was(hosts)) => hosts,
        Ok(_) => return past::to_now("/hosts"),
        Err(ListError::BadFilter(reason)) => return error::bad_filter(&reason),
        Err(ListError::Unavailable) => return error::unavailable(),
    };
    let mut shell = Shell::new("Hosts · Phaseline", "hosts", at);
    shell.past = Some(PastBar::new(at, "/hosts".to_owned()));
    let view = |host| HostView::new(host, &[], at).at(at);
    let template = HostsPage {
        shell,
        blank: Blank::new(),
        hosts: hosts.iter().map(view).collect(),
        at: past::field(Some(at)),
    };
    page(StatusCode::OK, &template)
}

pub(crate) async fn show<S: Source>(
    State(source): State<S>,
    Path(segment): Path<String>,
    at: Result<Query<At>, QueryRejection>,
) -> Response {
    let at = match at.map(|Query(at)| at).unwrap_or_default().read() {
        Ok(at) => at,
        Err(page) => return page,
    };
    let now = match find(&source, &segment).await {
        Ok(Some(host)) => host,
        Ok(None) => return of_calls(&source, &segment).await,
        Err(Unavailable) => return error::unavailable(),
    };
    let host = match at {
        None => now,
        Some(at) => match then(&source, &now.name, at).await {
            Ok(host) => host,
            Err(page) => return page,
        },
    };
    match builds_of(&source, &host.name, at).await {
        Ok(builds) => page(StatusCode::OK, &host_page(&host, &builds, at)),
        Err(response) => *response,
    }
}

async fn builds_of<S: Source>(
    source: &S,
    host: &str,
    at: Option<Timestamp>,
) -> Result<Vec<Build>, Box<Response>> {
    let filter = BuildFilter {
        host: Some(host.to_owned()),
        limit: Some(BUILDS),
        at: at.map(|at| at.to_string()),
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
        match builds_of(source, &name, None).await {
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
        history: link::with_query("/history", &[("host", Some(name))]),
    }
}

/// A host as it was.
async fn then<S: Source>(source: &S, name: &str, at: Timestamp) -> Result<Host, Response> {
    let hosts = match source.hosts_at(at).await {
        Ok(Past::Was(hosts)) => hosts,
        Ok(_) => return Err(past::to_now(&link::host(name))),
        Err(ListError::BadFilter(reason)) => return Err(error::bad_filter(&reason)),
        Err(ListError::Unavailable) => return Err(error::unavailable()),
    };
    let host = hosts.into_iter().find(|host| host.name == name);
    host.ok_or_else(|| {
        error::missing(
            "This host had not been heard of",
            "At that moment no agent with its name had spoken.".to_owned(),
            ("/hosts", "All hosts"),
        )
    })
}

fn host_page(host: &Host, builds: &[Build], at: Option<Timestamp>) -> HostPage {
    let moment = Moment::new(at.unwrap_or_else(now), std::slice::from_ref(host));
    let view = HostView::new(host, builds, moment.now);
    let title = format!("{} · Phaseline", crate::text::attribute(&host.name));
    let mut shell = Shell::new(title, "hosts", moment.now);
    let history = link::with_query("/history", &[("host", Some(host.name.as_str()))]);
    let row = |build| Row::new(build, &moment);
    let Some(at) = at else {
        return HostPage {
            blank: Blank::new(),
            shell,
            host: view,
            rows: builds.iter().map(row).collect(),
            history,
            at: String::new(),
        };
    };
    shell.past = Some(PastBar::new(at, link::host(&host.name)));
    HostPage {
        blank: Blank::new(),
        shell,
        host: view.at(at),
        rows: builds.iter().map(|build| row(build).at(at)).collect(),
        history: past::href(&history, at),
        at: past::field(Some(at)),
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
