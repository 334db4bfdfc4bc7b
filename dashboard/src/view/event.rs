//! The history of a build: what was seen, when, and how long each hop took.

use protocol::page::{EventPage, StoredEvent};

use super::Moment;
use super::stamp::Stamp;
use crate::{format, text};

/// Content shown of one event, characters; the API has the whole.
const DOCUMENT_CHARS: usize = 8_000;

/// One event.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventView {
    pub(crate) id: i64,
    pub(crate) at: Stamp,
    pub(crate) kind: String,
    /// The last component of its path; `file_title` has the whole.
    pub(crate) file: String,
    pub(crate) file_title: String,
    pub(crate) marks: String,
    pub(crate) hops: String,
    pub(crate) message: String,
    pub(crate) document: String,
}

/// A page of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventList {
    pub(crate) events: Vec<EventView>,
    /// `after` of the next page; empty at the end.
    pub(crate) next: String,
}

impl EventList {
    pub(crate) fn new(page: &EventPage, host: &str, moment: &Moment) -> Self {
        Self {
            events: page.events.iter().map(|e| view(e, host, moment)).collect(),
            next: page.next.map_or_else(String::new, |id| id.to_string()),
        }
    }
}

fn view(event: &StoredEvent, host: &str, moment: &Moment) -> EventView {
    let title = [
        ("file changed", Some(event.changed_at)),
        ("seen by the agent", Some(event.observed_at)),
        ("taken by the broker", event.broker_at),
        ("committed", Some(event.committed_at)),
    ]
    .iter()
    .filter_map(|(what, time)| time.map(|time| format!("{what} {}", format::exact(time))))
    .collect::<Vec<_>>()
    .join("\n");
    EventView {
        id: event.id,
        at: Stamp {
            title,
            ..Stamp::clock_seconds(event.changed_at)
        },
        kind: text::line(&event.kind.replace('_', " "), text::NAME_CHARS),
        file: event
            .file
            .as_deref()
            .map_or_else(String::new, last_component),
        file_title: event
            .file
            .as_deref()
            .map_or_else(String::new, text::attribute),
        marks: marks(event),
        hops: hops(event, host, moment),
        message: event
            .message
            .as_deref()
            .map_or_else(String::new, |m| text::block(m, text::VALUE_CHARS)),
        document: event
            .document
            .as_deref()
            .map_or_else(String::new, |d| text::block(d.get(), DOCUMENT_CHARS)),
    }
}

fn last_component(path: &str) -> String {
    text::line(path.rsplit('/').next().unwrap_or(path), text::NAME_CHARS)
}

fn marks(event: &StoredEvent) -> String {
    let mut marks = Vec::new();
    if event.late {
        marks.push("late, without effect".to_owned());
    }
    if event.found {
        marks.push("found".to_owned());
    }
    if event.size > 0 {
        marks.push(format::bytes(event.size));
    }
    marks.join(" · ")
}

/// How long it took to be seen (one clock), and from there to be committed (two).
fn hops(event: &StoredEvent, host: &str, moment: &Moment) -> String {
    if event.file.is_none() {
        return String::new();
    }
    let seen_ms = event.observed_at.millis_since(event.changed_at);
    let committed_ms = event
        .committed_at
        .millis_since(moment.ours(host, event.observed_at));
    format!(
        "seen after {}, committed after {}",
        format::precise(seen_ms),
        format::precise(committed_ms)
    )
}
