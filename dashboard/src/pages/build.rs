//! `/builds/{id}`: the live page with the panel of one build, past ones too; with
//! `?at=` the panel alone, as the build was.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use protocol::Timestamp;
use serde::Deserialize;

use super::live::LivePage;
use super::past::{self, At, PastBar};
use super::{Shell, error, page};
use crate::source::{ListError, Past, Source, Unavailable};
use crate::view::event::EventList;
use crate::view::panel::Panel;
use crate::view::{Moment, link};

/// Events on a page.
const EVENTS: u32 = 50;

/// Which page of its events.
#[derive(Deserialize)]
pub(crate) struct Paging {
    after: Option<i64>,
}

#[derive(Template)]
#[template(path = "moment.html")]
struct MomentPage {
    shell: Shell,
    panel: Panel,
    at: String,
    href: String,
}

pub(crate) async fn show<S: Source>(
    State(source): State<S>,
    Path(id): Path<String>,
    paging: Result<Query<Paging>, QueryRejection>,
    at: Result<Query<At>, QueryRejection>,
) -> Response {
    let after = paging.ok().and_then(|Query(paging)| paging.after);
    match at.map(|Query(at)| at).unwrap_or_default().read() {
        Ok(None) => {}
        Ok(Some(at)) => return show_at(&source, &id, after, at).await,
        Err(page) => return page,
    }
    match render(&source, &id, after).await {
        // It goes on as another build.
        Ok(Some(Found::Elsewhere(id))) => Redirect::to(&link::build(&id)).into_response(),
        Ok(Some(Found::Here(template))) => page(StatusCode::OK, &*template),
        Ok(None) => no_build(),
        Err(Unavailable) => error::unavailable(),
    }
}

/// Where a build is shown.
enum Found {
    Here(Box<LivePage>),
    Elsewhere(String),
}

fn no_build() -> Response {
    error::missing(
        "There is no such build",
        "Its address may be cut off, or it belongs to another Phaseline.".to_owned(),
        ("/history", "Find it in the history"),
    )
}

async fn show_at<S: Source>(source: &S, id: &str, after: Option<i64>, at: Timestamp) -> Response {
    let build = match source.build_at(id, at).await {
        Ok(Past::Was(build)) => build,
        Ok(Past::Now) => return past::to_now(&link::build(id)),
        Ok(Past::Never) => return no_build(),
        Ok(Past::NotYet) => {
            return error::missing(
                "This build had not begun",
                "At that moment nothing of it had been seen.".to_owned(),
                ("/history", "All builds"),
            );
        }
        Err(ListError::BadFilter(reason)) => return error::bad_filter(&reason),
        Err(ListError::Unavailable) => return error::unavailable(),
    };
    // How far the host's clock was off then; without it times are as the host told them.
    let hosts = match source.hosts_at(at).await {
        Ok(Past::Was(hosts)) => hosts,
        _ => Vec::new(),
    };
    let moment = Moment::new(at, &hosts);
    let events = source.events(id, after, EVENTS).await.map(|mut events| {
        let known = events.events.len();
        events.events.retain(|event| event.committed_at <= at);
        if events.events.len() < known {
            events.next = None;
        }
        EventList::new(&events, &build.host, &moment)
    });
    let panel = Panel::new(&build, &moment, events.unwrap_or_default()).at(at);
    let title = format!("{} · Phaseline", crate::text::attribute(&build.project));
    let mut shell = Shell::new(title, "", at);
    let href = link::build(id);
    shell.past = Some(PastBar::new(at, href.clone()));
    let template = MomentPage {
        shell,
        panel,
        at: past::field(Some(at)),
        href,
    };
    page(StatusCode::OK, &template)
}

async fn render<S: Source>(
    source: &S,
    id: &str,
    after: Option<i64>,
) -> Result<Option<Found>, Unavailable> {
    let overview = source.overview().await?;
    let shown = overview.builds.iter().find(|build| build.id == id);
    let build = match shown {
        Some(build) => build.clone(),
        None => match source.build(id).await? {
            Some(build) => build,
            None => return Ok(None),
        },
    };
    if let Some(other) = build.same_as.as_ref().filter(|other| **other != build.id) {
        return Ok(Some(Found::Elsewhere(other.clone())));
    }
    let moment = Moment::new(overview.now, &overview.hosts);
    let events = match source.events(id, after, EVENTS).await {
        Ok(page) => EventList::new(&page, &build.host, &moment),
        // The build itself is known; its history can wait for the database.
        Err(Unavailable) => EventList::default(),
    };
    let panel = Panel::new(&build, &moment, events);
    let live = LivePage::new(&overview, Some(panel));
    Ok(Some(Found::Here(Box::new(live))))
}
