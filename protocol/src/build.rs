//! The build: one run of a producer in one project on one host, as the API
//! and the stream show it. Unknown is `null`, never 0 and never "Unknown".

mod identity;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Money, Timestamp};
pub use identity::Identity;

/// Where a build stands, in our words. The producer's own word is `Build::status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum BuildState {
    /// Accepted, not begun.
    Queued,
    /// Begun, and showing signs of life.
    Running,
    /// Begun, and waiting for somebody.
    Waiting,
    /// Begun, and silent for longer than is usual.
    Stalled,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by somebody's wish.
    Cancelled,
    /// Nothing can be said, and `state_reason` says why.
    Unknown,
}

impl BuildState {
    /// Every state, in the order of their life.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Stalled,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Unknown,
    ];

    /// The word on the wire and on pages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stalled => "stalled",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PhaseState {
    /// It is this phase now.
    Running,
    /// The producer said so, or went on to another phase.
    Completed,
    /// The build failed in it.
    Failed,
    /// The build ended or moved on without a word on it.
    Unknown,
}

/// A named step of a build, from what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Phase {
    /// As the producer wrote it.
    pub name: String,
    /// Where it stands.
    pub state: PhaseState,
    /// When it was first seen; null when only its completion was told.
    pub started_at: Option<Timestamp>,
    /// When it was left or completed; null while it runs or when that was not seen.
    pub ended_at: Option<Timestamp>,
    /// Visits and repeated test iterations seen in it; null when it was only told as completed.
    pub iterations: Option<u32>,
}

/// Where the build's data came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A live state file.
    #[default]
    Live,
    /// A checkpoint file.
    Checkpoint,
    /// An HTTP call of the producer.
    Http,
}

/// Token counts; null where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// Input tokens that were not cached.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Input tokens read from the cache.
    pub cache_read: Option<u64>,
    /// Input tokens written to the cache.
    pub cache_write: Option<u64>,
    /// Tokens beside those above of which the producer told how many, and not of what kind.
    #[serde(default)]
    pub unknown_kind: Option<u64>,
}

/// How much of the model's context window is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Context {
    /// Tokens in use.
    pub used: Option<u64>,
    /// Tokens that fit.
    pub limit: Option<u64>,
}

/// Something that is known of a build and has no field of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fact {
    /// As the producer names it; its value is in `Build::fields` under this name or an older one.
    pub key: String,
    /// As people name it.
    pub label: String,
    /// The value, in words.
    pub text: String,
}

/// One run of a producer in one project on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Build {
    /// `<host>-<project token>-<run>`.
    pub id: String,
    /// The machine it runs on.
    pub host: String,
    /// The program that runs it.
    pub producer: String,
    /// Last component of the project directory.
    pub project: String,
    /// Label of the watched root it was found under.
    pub root: String,
    /// The project directory relative to that root.
    pub path: String,
    /// The producer's own word for the session; not unique.
    pub session_id: Option<String>,
    /// Counts the project's builds from 1.
    pub run: u32,
    /// Where the data came from.
    pub origin: Origin,
    /// Its file was there before the agent came.
    pub found: bool,
    /// Where it stands.
    pub state: BuildState,
    /// Why we say so, for people.
    pub state_reason: Option<String>,
    /// The producer's raw status word.
    pub status: Option<String>,
    /// The phase it is in, as the producer wrote it.
    pub phase: Option<String>,
    /// As the producer wrote it, e.g. `4.5/8`.
    pub phase_number: Option<String>,
    /// The phases seen so far, in the order seen.
    pub phases: Vec<Phase>,
    /// 0 to 1; null when the producer's numbers do not tell.
    pub progress: Option<f64>,
    /// What it is doing, in the producer's words.
    pub detail: Option<String>,
    /// The producer's count of test runs.
    pub test_iteration: Option<u64>,
    /// From the first event of the run (file time).
    pub started_at: Option<Timestamp>,
    /// From the event that ended it (file time).
    pub ended_at: Option<Timestamp>,
    /// When the file last changed (host clock).
    pub changed_at: Option<Timestamp>,
    /// When the agent saw that (host clock).
    pub observed_at: Option<Timestamp>,
    /// When the last change was committed (database clock).
    pub last_updated: Timestamp,
    /// States before this moment (host clock) may have come and gone unseen; null when none did.
    pub gap_at: Option<Timestamp>,
    /// The last sign of life: also a rewrite that changed nothing.
    pub alive_at: Option<Timestamp>,
    /// The build that this one was found to be, when calls made it before the project's files were seen. It is
    /// in no list then.
    #[serde(default)]
    pub same_as: Option<String>,
    /// Position in the order of all changes.
    pub seq: u64,
    /// Branch of the project's working tree.
    pub branch: Option<String>,
    /// Issue it works on.
    pub issue: Option<String>,
    /// Pull request it opened; only `http:` and `https:` addresses.
    pub pr_url: Option<String>,
    /// Commit of the working tree, or the one the producer made.
    pub commit: Option<String>,
    /// The program that writes code, e.g. `claude-code`.
    pub coding_agent: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// US dollars: a number with all its digits; the nearest double is for showing only.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub cost_usd: Option<Money>,
    /// True while `cost_usd` is an estimate; null without a cost.
    pub cost_estimated: Option<bool>,
    /// Token counts.
    pub tokens: Option<Tokens>,
    /// Context window.
    pub context: Option<Context>,
    /// The producer's to-do list, `[{text, state, tools}]`: the text of a point is null where it has none, the state
    /// is the producer's word. Null when it keeps none.
    pub todos: Option<Value>,
    /// The newest calls of tools in their order, `{name, todo, state, is_error, began_at, ended_at, input, output}`:
    /// `todo` is the point of the to-do list that was in progress, `state` one of `input-available` (under way),
    /// `output-available` and `error`; times are null where nobody saw the call begin or end; `input` and `output`,
    /// masked and cut, are null unless texts may leave the host. OpenBuilder's have `{id, planning}` beside.
    /// Null where no call was seen.
    #[serde(default)]
    pub calls: Option<Value>,
    /// The producer's agents: `[{name, state, ...}]`, of Context Foundry with `id, type, phase, progress, success,
    /// issues_found, issues_fixed, duration_ms, started_at, ended_at, tokens_used, tokens_limit, error`.
    pub agents: Option<Value>,
    /// Test results, of Context Foundry `{passed, iterations, runs: [{number, file, passed, failed, skipped, total, success}]}`.
    pub tests: Option<Value>,
    /// Decisions taken: `{total, average_quality, lessons_used, list: [{kind, text, phase, quality (1 to 5), lessons_used, ...}]}`.
    pub decisions: Option<Value>,
    /// Planned tasks: `{parallel, total, completed, left_out, list: [{id, text, state, level, dependencies, files (how
    /// many), estimate, error_bytes}]}`; `state` is `completed`, `failed`, `pending` or null.
    pub tasks: Option<Value>,
    /// What the producer wrote at the end.
    pub summary: Option<Value>,
    /// What went wrong, in the producer's or our words.
    pub error: Option<String>,
    /// Further facts that the producer's module knows by name, in the order to show them.
    #[serde(default)]
    pub facts: Vec<Fact>,
    /// Every field that the producer wrote, unknown ones kept.
    pub fields: Map<String, Value>,
}

impl Build {
    /// Nothing more is expected of it. (`unknown` may be either: it has ended when `ended_at` says when.)
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }
}
