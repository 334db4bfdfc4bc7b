//! The pages that people look at: views beside their templates, scripts and
//! style in `static/`. Knows neither NATS nor Postgres: whoever mounts
//! [`router`] brings a [`Source`]. Works without scripts; with them it is live.

mod assets;
mod format;
mod pages;
mod source;
mod text;
mod view;

pub use source::{ListError, Overview, Past, Source, Unavailable};

/// All pages and their static files, to be merged into the server's router,
/// with a page for addresses that do not exist as its fallback. Headers that
/// every answer carries (content security policy) are the server's.
pub fn router<S: Source>(source: S) -> axum::Router {
    pages::routes(source)
}
