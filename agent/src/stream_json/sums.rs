//! The kinds of lines that are known, behind one face for whoever follows a file.

use protocol::json::Json;
use protocol::{ContentHash, Timestamp};
use serde::Serialize;

use super::figures::{Figures, Options};
use super::foundry::{EventLog, SessionLog};
use super::hooks::HookLog;
use super::lines::Line;
use super::{foundry, line};

/// Whose lines they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Claude Code's stream-JSON.
    StreamJson,
    /// Claude Code's transcript of a session, whose lines are of another shape and never tell a result.
    Transcript,
    /// Claude Code's hook events, as ADW's scripts append them.
    Hooks,
    /// Context Foundry's `session.jsonl`: one line per call of its model.
    FoundrySession,
    /// Context Foundry's `events.jsonl`: what it also broadcasts.
    FoundryEvents,
}

/// What the lines of a file add up to. Saved as what is in it: its kind is known from its place.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each file that grows, and most are of the largest kind"
)]
pub(super) enum Sums {
    StreamJson(Figures),
    Hooks(HookLog),
    FoundrySession(SessionLog),
    FoundryEvents(EventLog),
}

impl Default for Sums {
    fn default() -> Self {
        Self::new(Kind::StreamJson)
    }
}

impl Sums {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::StreamJson | Kind::Transcript => Self::StreamJson(Figures::default()),
            Kind::Hooks => Self::Hooks(HookLog::default()),
            Kind::FoundrySession => Self::FoundrySession(SessionLog::default()),
            Kind::FoundryEvents => Self::FoundryEvents(EventLog::default()),
        }
    }

    /// What was saved, read again; none when it was not saved from this kind.
    pub(super) fn restore(kind: Kind, saved: &str) -> Option<Self> {
        Some(match kind {
            Kind::StreamJson | Kind::Transcript => {
                Self::StreamJson(serde_json::from_str(saved).ok()?)
            }
            Kind::Hooks => Self::Hooks(serde_json::from_str(saved).ok()?),
            Kind::FoundrySession => Self::FoundrySession(serde_json::from_str(saved).ok()?),
            Kind::FoundryEvents => Self::FoundryEvents(serde_json::from_str(saved).ok()?),
        })
    }

    /// What of it may be told from here on.
    pub(super) fn allow(&mut self, options: Options) {
        match self {
            Self::StreamJson(figures) => figures.allow(options),
            Self::Hooks(log) => log.allow(options),
            Self::FoundrySession(_) | Self::FoundryEvents(_) => {}
        }
    }

    /// When the lines that follow were written, where that is known.
    pub(super) fn at(&mut self, at: Option<Timestamp>) {
        match self {
            Self::StreamJson(figures) => figures.at = at,
            Self::Hooks(log) => log.at = at,
            Self::FoundrySession(_) | Self::FoundryEvents(_) => {}
        }
    }

    /// The directory that the session works in, if its lines say so.
    pub(super) fn cwd(&self) -> Option<&str> {
        match self {
            Self::StreamJson(figures) => figures.cwd.as_deref(),
            Self::Hooks(_) | Self::FoundrySession(_) | Self::FoundryEvents(_) => None,
        }
    }

    /// The workflow that is told now, where the path does not say it.
    pub(super) fn workflow(&self) -> Option<&str> {
        match self {
            Self::Hooks(log) => log.workflow(),
            _ => None,
        }
    }

    /// Something is to be told of which the lines alone do not remind.
    pub(super) fn is_due(&self) -> bool {
        match self {
            Self::Hooks(log) => log.is_due(),
            _ => false,
        }
    }

    /// What was said to be told was not.
    pub(super) fn was_not_told(&mut self) {
        if let Self::Hooks(log) = self {
            log.was_not_told();
        }
    }

    /// What is told was told. True: there is more, of another workflow.
    pub(super) fn was_told(&mut self) -> bool {
        match self {
            Self::Hooks(log) => {
                log.was_told();
                log.is_due()
            }
            _ => false,
        }
    }

    /// Takes over one line.
    pub(super) fn line(&mut self, line: Line<'_>) {
        match self {
            Self::StreamJson(figures) => figures.line(line),
            Self::Hooks(log) => log.line(line),
            Self::FoundrySession(log) => log.line(line),
            Self::FoundryEvents(log) => log.line(line),
        }
    }

    /// Whether this text is a whole line.
    pub(super) fn reads(&self, text: &[u8]) -> bool {
        match self {
            Self::StreamJson(_) => line::read(text, false).is_ok(),
            Self::Hooks(_) | Self::FoundrySession(_) | Self::FoundryEvents(_) => {
                foundry::is_whole(text)
            }
        }
    }

    /// The file begins anew.
    pub(super) fn restart(&mut self) {
        match self {
            Self::StreamJson(figures) => figures.restart(),
            Self::Hooks(log) => log.restart(),
            Self::FoundrySession(log) => log.restart(),
            // What was broadcast stays so; what follows is counted on.
            Self::FoundryEvents(_) => {}
        }
    }

    /// What is told of it.
    pub(super) fn digest(&self) -> Json {
        match self {
            Self::StreamJson(figures) => figures.digest(),
            Self::Hooks(log) => log.digest(),
            Self::FoundrySession(log) => log.digest(),
            Self::FoundryEvents(log) => log.digest(),
        }
    }

    /// What of it is told at once when it changes: attempts, how they stand,
    /// todos; each event. Figures that merely move can wait.
    pub(super) fn headline(&self) -> ContentHash {
        match self {
            Self::StreamJson(figures) => figures.headline(),
            Self::Hooks(log) => log.headline(),
            Self::FoundrySession(log) => log.headline(),
            Self::FoundryEvents(log) => log.headline(),
        }
    }

    /// Lines that were read.
    pub(super) fn lines(&self) -> u64 {
        match self {
            Self::StreamJson(figures) => figures.lines,
            Self::Hooks(log) => log.lines,
            Self::FoundrySession(log) => log.lines,
            Self::FoundryEvents(log) => log.lines,
        }
    }

    /// Whether it is expected to go on soon.
    pub(super) fn is_running(&self) -> bool {
        match self {
            Self::StreamJson(figures) => figures.is_running(),
            Self::Hooks(_) | Self::FoundrySession(_) | Self::FoundryEvents(_) => false,
        }
    }
}
