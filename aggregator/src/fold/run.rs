//! One run of a project as a producer's module works on it: the build, what
//! the producer's last word was, and what must be remembered to tell a new run.

use protocol::build::{Identity, Origin};
use protocol::{Build, BuildState, Event, PhaseState, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::conditions::Conditions;
use super::limits::MAX_FIELDS_BYTES;
use super::phases;
use super::stream_json::Streams;
use super::{adw, context_foundry};

/// A file's clock may be ahead of the moment it was read by this much,
/// milliseconds; beyond it the file time is not believed.
const CLOCK_TOLERANCE_MS: i64 = 1_000;

/// What ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndedBy {
    State,
    Summary,
}

/// The current run: its build, and what a producer's module must remember of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) build: Build,
    pub(super) conditions: Conditions,
    pub(super) ended_by: Option<EndedBy>,
    /// Latest phase number that was a number.
    pub(super) number: Option<f64>,
    /// Length of the latest list of completed phases.
    pub(super) told: Option<usize>,
    /// No state file was seen yet, only the summary.
    pub(super) summary_only: bool,
    /// What only ADW's module needs.
    #[serde(default, skip_serializing_if = "adw::Memory::is_empty")]
    pub(super) adw: adw::Memory,
    /// What only Context Foundry's module needs.
    #[serde(default, skip_serializing_if = "context_foundry::Memory::is_empty")]
    pub(super) foundry: context_foundry::Memory,
    /// What its stream-JSON files say.
    #[serde(default, skip_serializing_if = "Streams::is_empty")]
    pub(super) streams: Streams,
    /// The file that told last how the build stands, and its time, where a project may have several such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told_by: Option<(Timestamp, String)>,
    /// Ids of the newest calls that wrote a to-do list, where those come one by one and by two ways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) todo_calls: Vec<String>,
    said: BuildState,
    reason: Option<String>,
}

/// The file's time, or the reading's where the file's clock cannot be right.
pub(super) fn moment(event: &Event) -> Timestamp {
    if event.changed_at.millis_since(event.observed_at) > CLOCK_TOLERANCE_MS {
        event.observed_at
    } else {
        event.changed_at
    }
}

/// A call names a session, or carries what is in no file.
fn origin(event: &Event) -> Origin {
    if event.is_call() {
        Origin::Http
    } else {
        Origin::Live
    }
}

impl Run {
    pub(super) fn new(event: &Event, id: String, run: u32) -> Self {
        Self {
            build: Build {
                started_at: Some(moment(event)),
                ..Build::new(Identity {
                    id,
                    host: event.host.clone(),
                    producer: event.producer.clone(),
                    project: event.project.clone(),
                    root: event.root.clone(),
                    path: event.path.clone(),
                    run,
                    origin: origin(event),
                    found: event.found,
                })
            },
            conditions: Conditions::default(),
            ended_by: None,
            number: None,
            told: None,
            summary_only: false,
            adw: adw::Memory::default(),
            foundry: context_foundry::Memory::default(),
            streams: Streams::default(),
            told_by: None,
            todo_calls: Vec::new(),
            said: BuildState::Unknown,
            reason: None,
        }
    }

    /// What the producer's last word means, and why we say so.
    pub(super) fn say(&mut self, state: BuildState, reason: Option<String>) {
        self.said = state;
        self.reason = reason;
    }

    /// Ends the build. Ending it again corrects the verdict, not the time.
    pub(super) fn end(&mut self, state: BuildState, reason: String, at: Timestamp, by: EndedBy) {
        let last = match state {
            BuildState::Completed => PhaseState::Completed,
            BuildState::Failed => PhaseState::Failed,
            _ => PhaseState::Unknown,
        };
        phases::close(&mut self.build.phases, last, at);
        self.build.state = state;
        self.build.state_reason = Some(reason);
        self.build.ended_at.get_or_insert(at);
        self.ended_by = Some(by);
    }

    /// Takes over the producer's members; a missing one does not erase a known value.
    pub(super) fn merge_fields(&mut self, document: &Map<String, Value>) {
        self.build.fields.extend(document.clone());
        let size =
            |fields: &Map<String, Value>| serde_json::to_vec(fields).map_or(0, |text| text.len());
        if self.build.fields.len() > document.len() && size(&self.build.fields) > MAX_FIELDS_BYTES {
            self.build.fields.clone_from(document);
        }
    }

    /// A content that counts: what stood in the way before no longer does.
    pub(super) fn believe(&mut self, event: &Event) {
        self.conditions.silent = None;
        self.conditions.removed = None;
        self.conditions.unreadable.remove(&event.file);
        self.seen(event);
    }

    /// Something of the run was seen: its times move, and its working tree is as git says.
    pub(super) fn seen(&mut self, event: &Event) {
        self.seen_at(event);
        if let (Some(git), false) = (&event.git, self.build.has_ended()) {
            self.build.branch.clone_from(&git.branch);
            self.build.commit.clone_from(&git.commit);
        }
    }

    /// Something of the run was seen: its times move.
    pub(super) fn seen_at(&mut self, event: &Event) {
        let build = &mut self.build;
        build.changed_at = Some(event.changed_at);
        build.observed_at = Some(event.observed_at);
        let at = moment(event);
        // A clock that was set back makes the old sign of life lie in the future: the new one counts.
        build.alive_at = match build.alive_at {
            Some(old) if old <= event.observed_at => Some(old.max(at)),
            _ => Some(at),
        };
    }

    /// Whether this file told last how the build stands: a project's others come and go.
    pub(super) fn is_told_by(&self, file: &str) -> bool {
        self.told_by
            .as_ref()
            .is_none_or(|(_, newest)| newest == file)
    }

    /// Something beside its state was seen, which may be older than that.
    pub(super) fn glimpsed(&mut self, event: &Event) {
        let build = &mut self.build;
        build.changed_at = build.changed_at.max(Some(event.changed_at));
        build.observed_at = build.observed_at.max(Some(event.observed_at));
        build.alive_at = build.alive_at.max(Some(moment(event)));
    }

    pub(super) fn settle(&mut self) {
        self.conditions
            .apply(&mut self.build, self.said, self.reason.as_deref());
    }
}
