//! `/builds/{id}`: the live page with the panel of one build, past ones too.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::live::LivePage;
use super::{error, page};
use crate::source::{Source, Unavailable};
use crate::view::Moment;
use crate::view::event::EventList;
use crate::view::panel::Panel;

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
        Ok(Some(template)) => page(StatusCode::OK, &template),
        Ok(None) => error::missing(
            "There is no such build",
            "Its address may be cut off, or it belongs to another Phaseline.".to_owned(),
            ("/history", "Find it in the history"),
        ),
        Err(Unavailable) => error::unavailable(),
    }
}

async fn render<S: Source>(
    source: &S,
    id: &str,
    after: Option<i64>,
) -> Result<Option<LivePage>, Unavailable> {
    let overview = source.overview().await?;
    let shown = overview.builds.iter().find(|build| build.id == id);
    let build = match shown {
        Some(build) => build.clone(),
        None => match source.build(id).await? {
            Some(build) => build,
            None => return Ok(None),
        },
    };
    let moment = Moment::new(overview.now, &overview.hosts);
    let events = match source.events(id, after, EVENTS).await {
        Ok(page) => EventList::new(&page, &build.host, &moment),
        // The build itself is known; its history can wait for the database.
        Err(Unavailable) => EventList::default(),
    };
    let panel = Panel::new(&build, &moment, events);
    Ok(Some(LivePage::new(&overview, Some(panel))))
}
