//! One build that was met twice: calls that name only a session came before
//! the project's files, and made a build of their own. Once a file is seen, the
//! leader finds that the two are one, and says so in a fact for each track, so
//! that a replay comes to the same. The build of the files takes over what only
//! the calls told; the other one is over, and points to it.

use protocol::build::{Context, Origin};
use protocol::{Build, BuildState, Event, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::{EndedBy, Run};
use super::track::Track;
use super::{TimerFact, TimerKind};
use super::{broadcast, context_foundry};

/// A file's time may be this much before that of the call that sent its
/// content, milliseconds: a producer writes it and calls, in one command. An older file is of the build before.
const WRITTEN_BEFORE_MS: i64 = 60_000;

/// What the calls told before the file was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The build that the calls made.
    pub build: String,
    started_at: Option<Timestamp>,
    context: Option<Context>,
    agents: Option<Value>,
    summary: Option<Value>,
    error: Option<String>,
}

impl Told {
    fn of(build: &Build) -> Self {
        Self {
            build: build.id.clone(),
            started_at: build.started_at,
            context: build.context,
            agents: build.agents.clone(),
            summary: build.summary.clone(),
            error: build.error.clone(),
        }
    }
}

/// An open build of which only calls told, by the session that they named.
#[derive(Debug, Clone)]
pub(crate) struct OfCalls {
    session: String,
    started_at: Timestamp,
}

impl OfCalls {
    /// None for any other build.
    pub(crate) fn of(build: &Build) -> Option<Self> {
        // Other producers have ids of their own, which their files have too.
        let fits = build.origin == Origin::Http
            && build.producer == context_foundry::PRODUCER
            && !build.has_ended();
        Some(Self {
            session: build.session_id.clone().filter(|_| fits)?,
            started_at: build.started_at?,
        })
    }

    /// Whether it is one with a build of files, of the same host and producer.
    pub(crate) fn is_one_with(&self, files: &Build) -> bool {
        let session = Some(self.session.as_str());
        let named =
            files.session_id.as_deref() == session || Some(files.project.as_str()) == session;
        // Of a summary alone only the end is known.
        let began = files.started_at.or(files.changed_at);
        let in_time =
            began.is_some_and(|at| at.millis_since(self.started_at) >= -WRITTEN_BEFORE_MS);
        let before = files.ended_at.is_some_and(|at| at < self.started_at);
        files.origin == Origin::Live && named && in_time && !before
    }
}

/// The facts that make them one: for the track of the files, and for that of the calls.
pub(crate) fn facts(files: &Build, calls: &Build) -> (TimerKind, TimerKind) {
    (
        TimerKind::Joins {
            told: Box::new(Told::of(calls)),
        },
        TimerKind::Joined {
            build: files.id.clone(),
        },
    )
}

impl Track {
    /// Whether a call is of the current build, and not the beginning of the next.
    #[must_use]
    pub fn takes_call(&self, event: &Event) -> bool {
        let Some(run) = &self.run else { return false };
        let text = event.document.as_ref().map_or("null", |raw| raw.get());
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(document)) if self.producer() == context_foundry::PRODUCER => {
                if broadcast::is_call(event) {
                    !broadcast::begins_next_run(run, &document)
                } else {
                    !context_foundry::begins_next_run(run, event, &document)
                }
            }
            _ => true,
        }
    }

    /// Takes such a fact. False: it is another one.
    pub(super) fn join(&mut self, fact: &TimerFact) -> bool {
        let run = self.run.as_mut();
        match (&fact.kind, run) {
            (TimerKind::Joins { told }, Some(run)) => run.take_over_calls(told),
            (TimerKind::Joined { build }, Some(run)) if run.build.same_as.is_none() => {
                let why = match run.build.origin {
                    Origin::Http => "its files were seen",
                    _ => "its project's live file names its session",
                };
                let reason = format!("{why}: it is one build with {build}");
                run.end(BuildState::Unknown, reason, fact.at, EndedBy::State);
                run.build.same_as = Some(build.clone());
                self.silences.abandon();
            }
            (TimerKind::Joins { .. } | TimerKind::Joined { .. }, _) => {}
            _ => return false,
        }
        true
    }
}

impl Run {
    /// What the file says itself stands.
    fn take_over_calls(&mut self, told: &Told) {
        let build = &mut self.build;
        build.started_at = match (build.started_at, told.started_at) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        fn fill<T: Clone>(mine: &mut Option<T>, theirs: Option<&T>) {
            if mine.is_none() {
                *mine = theirs.cloned();
            }
        }
        fill(&mut build.context, told.context.as_ref());
        fill(&mut build.agents, told.agents.as_ref());
        fill(&mut build.summary, told.summary.as_ref());
        fill(&mut build.error, told.error.as_ref());
    }
}
