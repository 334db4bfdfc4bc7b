//! As much of the API as the scripts ask for.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use dashboard::Source as _;
use protocol::page::{BuildFilter, HostPage};

use crate::world::World;

pub(crate) fn routes(world: World) -> Router {
    Router::new()
        .route("/api/v1/stream", get(stream))
        .route("/api/v1/builds", get(builds))
        .route("/api/v1/builds/{id}", get(build))
        .route("/api/v1/builds/{id}/events", get(events))
        .route("/api/v1/hosts", get(hosts))
        .with_state(world)
}

async fn stream(State(world): State<World>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| send(world, socket))
}

async fn send(world: World, mut socket: WebSocket) {
    let mut frames = world.frames.subscribe();
    let mut next = world.snapshot();
    while socket.send(Message::Text(next.into())).await.is_ok() {
        let Ok(frame) = frames.recv().await else {
            return;
        };
        next = frame;
    }
}

async fn builds(State(world): State<World>) -> Response {
    match world.builds(&BuildFilter::default()).await {
        Ok(page) => Json(page).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn build(State(world): State<World>, Path(id): Path<String>) -> Response {
    match world.build(&id).await {
        Ok(Some(build)) => Json(build).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn events(
    State(world): State<World>,
    Path(id): Path<String>,
    query: axum::extract::RawQuery,
) -> Response {
    let after = query.0.and_then(|q| {
        q.split('&')
            .find_map(|part| part.strip_prefix("after=")?.parse().ok())
    });
    match world.events(&id, after, 50).await {
        Ok(page) => Json(page).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn hosts(State(world): State<World>) -> Json<HostPage> {
    Json(HostPage {
        hosts: world.hosts().await.unwrap_or_default(),
    })
}
