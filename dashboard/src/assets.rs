//! Scripts, style and icon, embedded in the program and served under one
//! directory whose name is the hash of them all: a new version has new URLs,
//! so browsers keep what they have for ever, and modules import each other by
//! relative names.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

/// How many bytes of the hash name the directory: enough that no two versions share one.
const HASH_BYTES: usize = 8;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!("../static/", $name)))
    };
}

static FILES: &[(&str, &str, &[u8])] = &[
    asset!("announce.js", SCRIPT),
    asset!("backoff.js", SCRIPT),
    asset!("base.css", STYLE),
    asset!("clock.js", SCRIPT),
    asset!("connection.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("events.js", SCRIPT),
    asset!("fallback.js", SCRIPT),
    asset!("format.js", SCRIPT),
    asset!("hosts.js", SCRIPT),
    asset!("icon.svg", IMAGE),
    asset!("keys.js", SCRIPT),
    asset!("latency.js", SCRIPT),
    asset!("list.js", SCRIPT),
    asset!("live.css", STYLE),
    asset!("log.css", STYLE),
    asset!("log.js", SCRIPT),
    asset!("main.js", SCRIPT),
    asset!("model.js", SCRIPT),
    asset!("pages.css", STYLE),
    asset!("panel.js", SCRIPT),
    asset!("metrics.js", SCRIPT),
    asset!("panel.css", STYLE),
    asset!("row.js", SCRIPT),
    asset!("select.js", SCRIPT),
    asset!("status.js", SCRIPT),
    asset!("store.js", SCRIPT),
    asset!("text.js", SCRIPT),
    asset!("theme.js", SCRIPT),
    asset!("ticker.js", SCRIPT),
    asset!("steps.js", SCRIPT),
    asset!("timeline.js", SCRIPT),
];

/// `/assets/<hash of all>`, without a slash at the end.
pub(crate) static BASE: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    for (name, _, content) in FILES {
        hasher.update(name.as_bytes());
        hasher.update(content.len().to_le_bytes());
        hasher.update(content);
    }
    let mut base = String::from("/assets/");
    for byte in &hasher.finalize()[..HASH_BYTES] {
        let _ = write!(base, "{byte:02x}");
    }
    base
});

/// The modules that every page imports in the end, so that a browser fetches
/// them at once instead of one import after the other.
pub(crate) fn modules() -> impl Iterator<Item = &'static str> {
    FILES
        .iter()
        .filter(|(name, kind, _)| *kind == SCRIPT && *name != "theme.js")
        .map(|(name, _, _)| *name)
}

/// The route of the static files.
pub(crate) fn routes<T: Clone + Send + Sync + 'static>() -> Router<T> {
    Router::new().route("/assets/{hash}/{name}", get(serve))
}

async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let current = BASE.strip_prefix("/assets/").unwrap_or_default();
    let Some((_, kind, content)) = FILES.iter().find(|(file, _, _)| *file == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // A page of another version asks for its own files: it gets today's, unkept.
    let cache = if hash == current {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    let tag = format!("\"{current}\"");
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let meta = [
        (header::CONTENT_TYPE, *kind),
        (header::CACHE_CONTROL, cache),
        (header::ETAG, &tag),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, meta).into_response();
    }
    (meta, *content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_imports_only_files_that_are_served() {
        for (name, kind, content) in FILES {
            if *kind != SCRIPT {
                continue;
            }
            let text = std::str::from_utf8(content).unwrap();
            for import in text.split("from \"./").skip(1) {
                let target = import.split('"').next().unwrap();
                assert!(
                    FILES.iter().any(|(file, _, _)| *file == target),
                    "{name} imports {target}"
                );
            }
        }
    }

    #[test]
    fn scripts_never_write_markup_or_inline_style() {
        for (name, kind, content) in FILES {
            let text = std::str::from_utf8(content).unwrap();
            if *kind == SCRIPT {
                for banned in [
                    "innerHTML",
                    "outerHTML",
                    "insertAdjacentHTML",
                    "document.write",
                    "eval(",
                    "new Function",
                    "\"style\"",
                ] {
                    assert!(!text.contains(banned), "{name} uses {banned}");
                }
            }
            assert!(!text.contains("@import"), "{name} imports style");
            assert!(
                !text
                    .replace("http://www.w3.org/2000/svg", "")
                    .contains("http://"),
                "{name} names another site"
            );
        }
    }
}
