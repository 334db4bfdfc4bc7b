//! The pages with made-up builds that go on by themselves: for working on
//! templates, style and scripts without NATS, Postgres or an agent.
//!
//! `cargo run -p phaseline-dashboard --example preview -- [normal|many|hostile|no-builds|no-hosts|away] [address]`

mod api;
mod calls;
mod invented;
mod metrics;
mod money;
mod world;

use std::io::Write as _;

use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::invented::Scene;
use crate::world::World;

/// As the server sets it, so that a page that breaks it is noticed here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let scene = Scene::named(args.next().as_deref());
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let world = World::new(scene);
    let app = dashboard::router(world.clone())
        .merge(api::routes(world.clone()))
        .layer(axum::middleware::map_response(with_policy));
    let listener = tokio::net::TcpListener::bind(&address).await?;
    writeln!(std::io::stdout(), "http://{}/", listener.local_addr()?)?;
    let play = world.play();
    tokio::select! {
        done = axum::serve(listener, app).into_future() => done,
        () = play => Ok(()),
    }
}

async fn with_policy(mut answer: Response) -> Response {
    let policy = HeaderValue::from_static(POLICY);
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}
