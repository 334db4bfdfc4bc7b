//! What every event of a file has in common: who saw it, of which project,
//! in which working tree.

use std::path::Path;

use protocol::event::{EVENT_VERSION, MAX_TEXT_BYTES};
use protocol::{AgentId, Event, EventKind, Timestamp};
use uuid::Uuid;

use super::observe::Look;
use super::{Pipeline, now_utc};
use crate::git;

impl Pipeline {
    pub(super) fn event(&self, look: &Look, kind: EventKind, changed_at: Timestamp) -> Event {
        let project = look.root_path.join(&look.project);
        Event {
            v: EVENT_VERSION,
            // Who speaks, and the how manieth time, the outbox says when it writes it.
            agent: AgentId(0),
            boot: Uuid::nil(),
            seq: 0,
            host: self.setup.host.clone(),
            producer: look.spec.source.producer.to_string(),
            project_token: look.spec.token(),
            project: text(project.file_name().map_or(project.as_path(), Path::new)),
            root: text(Path::new(look.root_label)),
            path: text(&look.project),
            file: text(&look.spec.file),
            kind,
            found: false,
            recreated: false,
            gap: false,
            changed_at,
            observed_at: now_utc(),
            hash: None,
            size: 0,
            document: None,
            session: None,
            near: None,
            unreadable: None,
            git: look
                .beneath
                .and_then(|beneath| git::of_project(beneath, look.root_path, &look.tree)),
        }
    }
}

pub(super) fn timestamp(ns: i64) -> Timestamp {
    Timestamp::from_millis(ns.div_euclid(1_000_000))
}

/// A path as text: `.` when empty, and cut where the event's limit is.
pub(super) fn text(path: &Path) -> String {
    let mut text = path.to_string_lossy().into_owned();
    if text.is_empty() {
        text.push('.');
    }
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}
