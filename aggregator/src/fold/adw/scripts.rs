//! Whether any of a workflow's scripts still runs. Each holds its `execution.log`
//! open until it ends, however it ends, and the agent tells when it is closed.

use std::collections::BTreeSet;

use protocol::{Build, Event};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fold::limits::MAX_FILES;
use crate::fold::silence::Silence;

/// How long a workflow without a script may be silent: the next one takes some seconds to begin, milliseconds.
const BETWEEN_SCRIPTS_MS: i64 = 30_000;

/// The logs of the scripts that run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scripts {
    /// Held open when they were last heard of.
    held: BTreeSet<String>,
    /// The one that was closed last, when none is held any more.
    closed: Option<String>,
}

impl Scripts {
    /// Takes over what an agent says of a log. One that has just begun knows nothing of who holds it.
    pub(super) fn told(&mut self, event: &Event, log: &Map<String, Value>, build: &mut Build) {
        match log.get("held").and_then(Value::as_bool) {
            Some(true) => {
                if self.held.len() < MAX_FILES {
                    self.held.insert(event.file.clone());
                }
                self.closed = None;
            }
            Some(false) if self.held.remove(&event.file) => {
                // The file's own time is that of its last line.
                build.alive_at = build.alive_at.max(Some(event.observed_at));
                if self.held.is_empty() {
                    self.closed = Some(event.file.clone());
                }
            }
            Some(false) => {}
            None => {
                self.held.remove(&event.file);
                self.closed = None;
            }
        }
    }

    /// How long the workflow may be silent although its process is gone; none while that is not known.
    pub(super) fn silence(&self) -> Option<Silence> {
        let closed = self.closed.as_ref()?;
        Some(Silence {
            limit_ms: BETWEEN_SCRIPTS_MS,
            evidence: format!(
                "its process is gone: {closed} was closed, and no other script has begun since"
            ),
        })
    }
}
