//! State is a fold: facts in the order of their commits become builds. Pure:
//! no I/O, no clock but the fact's own, so that the projection, a replay and a
//! rebuild agree. One module per producer says what its files mean
//! (`adw`,
//! `context_foundry`); `track` is what all producers share.

mod adw;
mod broadcast;
mod claude_code;
mod conditions;
mod context_foundry;
pub(crate) mod costs;
mod foundry_agents;
pub(crate) mod joining;
mod limits;
mod openbuilder;
mod phases;
mod prices;
mod reported;
mod run;
mod silence;
mod stream_json;
mod told;
mod track;
mod unknown_producer;
mod value;

#[cfg(test)]
mod tests;

use protocol::{Build, Event, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use context_foundry::{live_session, session_of};
pub use silence::Silence;
pub use track::Track;

/// What is folded: an agent's event, or what the leader's timer found.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "folded one at a time, never kept in numbers"
)]
pub enum Fact {
    /// From an agent.
    Observed(Event),
    /// From the leader.
    Timer(TimerFact),
}

/// Silence is an event too: it is stored like the others, so that `stalled`
/// and `unknown` can be replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimerFact {
    /// What was found.
    #[serde(flatten)]
    pub kind: TimerKind,
    /// When (aggregator's clock).
    pub at: Timestamp,
}

/// What the leader's timer finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TimerKind {
    /// No sign of life for longer than is usual.
    Silent {
        /// The last sign of life.
        since: Timestamp,
        /// What is usual, milliseconds.
        limit_ms: i64,
        /// How we know what is usual, for people.
        evidence: String,
    },
    /// A sign of life without an event: the file was rewritten unchanged.
    Alive {
        /// That file's time.
        at: Timestamp,
    },
    /// The host's agent is gone or was stopped.
    HostGone {
        /// For people.
        reason: String,
    },
    /// It is back.
    HostBack,
    /// The watched root that the builds lie beneath is away: moved, unmounted, deleted.
    RootMissing {
        /// Its label.
        root: String,
        /// For people.
        reason: String,
    },
    /// It is there again.
    RootBack {
        /// Its label.
        root: String,
    },
    /// Calls had told of this build before its files were seen.
    Joins {
        /// What they told.
        told: Box<joining::Told>,
    },
    /// A session whose checkpoints made a build of their own is this project's.
    JoinsSession {
        /// What was known of it.
        session: Box<Track>,
    },
    /// The build goes on as another one: calls told of it before its files were seen, or it is
    /// of a session that the project's live file names too.
    Joined {
        /// That one.
        build: String,
    },
}

impl TimerKind {
    /// The word in the table of events.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "silent",
            Self::Alive { .. } => "alive",
            Self::HostGone { .. } => "host_gone",
            Self::HostBack => "host_back",
            Self::RootMissing { .. } => "root_missing",
            Self::RootBack { .. } => "root_back",
            Self::Joins { .. } => "joins",
            Self::JoinsSession { .. } => "joins_session",
            Self::Joined { .. } => "joined",
        }
    }
}

/// What a fact did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether it counts.
    pub effect: Effect,
    /// The build it belongs to.
    pub build_id: String,
    /// Builds that are different now, whole; `seq` is 0 and `last_updated` the
    /// epoch until the commit. At most two: a superseded run and the new one.
    pub changed: Vec<Build>,
    /// Ids among them that ended just now.
    pub ended: Vec<String>,
}

/// Whether a fact counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It was folded (and may have changed nothing).
    Folded,
    /// Older than what was folded already: to be stored, without effect.
    Late,
    /// The same content as the last: neither a row nor a change.
    Repeated,
}
