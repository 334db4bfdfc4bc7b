//! `/builds/{id}`: the live page with the panel of one build, past ones too.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::live::LivePage;
use super::{error, page};
use crate::source::{Source, Unavailable};
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

pub(crate) async fn show<S: Source>(
    State(source): State<S>,
    Path(id): Path<String>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Response {
    let after = paging.ok().and_then(|Query(paging)| paging.after);
    match render(&source, &id, after).await {
        // It goes on as another build.
        Ok(Some(Found::Elsewhere(id))) => Redirect::to(&link::build(&id)).into_response(),
        Ok(Some(Found::Here(template))) => page(StatusCode::OK, &*template),
        Ok(None) => error::missing(
            "There is no such build",
            "Its address may be cut off, or it belongs to another Phaseline.".to_owned(),
            ("/history", "Find it in the history"),
        ),
        Err(Unavailable) => error::unavailable(),
    }
}

/// Where a build is shown.
enum Found {
    Here(Box<LivePage>),
    Elsewhere(String),
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
