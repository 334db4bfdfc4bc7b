//! What the API's listing routes answer.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use crate::calls::RouteStatus;
use crate::{Build, Host, Money, Timestamp};

/// A page of builds, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BuildPage {
    /// The builds.
    pub builds: Vec<Build>,
    /// Pass as `cursor` for the next page; null at the end.
    pub next: Option<String>,
}

/// All hosts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostPage {
    /// The hosts, by name.
    pub hosts: Vec<Host>,
}

/// A page of a build's events, oldest first.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPage {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Pass as `after` for the next page; null at the end.
    pub next: Option<i64>,
}

/// An event as it stands in Postgres.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredEvent {
    /// Position in the order of commits.
    pub id: i64,
    /// `content`, `removed`, `unreadable` from agents; `silent`, `alive`, `host_gone`, `host_back`, `root_missing`, `root_back`, `joins`, `joins_session`, `joined` from the aggregator itself.
    pub kind: String,
    /// The file, relative to the project; null for the aggregator's own.
    pub file: Option<String>,
    /// Older than what had been folded already: kept, without effect.
    pub late: bool,
    /// It was there before the agent came.
    pub found: bool,
    /// File time (host clock).
    pub changed_at: Timestamp,
    /// Read by the agent (host clock).
    pub observed_at: Timestamp,
    /// Taken by the broker; null for the aggregator's own.
    pub broker_at: Option<Timestamp>,
    /// Committed (database clock).
    pub committed_at: Timestamp,
    /// Content hash; null without content.
    pub hash: Option<String>,
    /// Size of the file, bytes.
    pub size: u64,
    /// The content, exactly, or what the timer found; null for neither.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub document: Option<Box<RawValue>>,
    /// Why there is no content.
    pub message: Option<String>,
}

/// A message that could not become an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its row.
    pub id: i64,
    /// When it was set aside (database clock).
    pub received_at: Timestamp,
    /// The subject it came on.
    pub subject: String,
    /// Why it was refused.
    pub reason: String,
    /// Size of the message, bytes.
    pub size: u64,
    /// Its beginning, for people: at most 400 characters, unprintable bytes replaced.
    pub excerpt: String,
}

/// Something that is wrong with the servers, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// When it began (server clock).
    pub began_at: Timestamp,
    /// When it was over; null while it goes on.
    pub ended_at: Option<Timestamp>,
    /// What is wrong, for people.
    pub text: String,
    /// What helps; empty where it passes by itself.
    pub remedy: String,
}

/// All alerts that this server has met: those that go on, then those that are over, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertPage {
    /// The alerts.
    pub alerts: Vec<Alert>,
}

/// Whether a part does its work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// All of the below are well.
    pub ready: bool,
    /// `connected` or `disconnected`.
    pub nats: String,
    /// `connected` or `disconnected`.
    pub postgres: String,
    /// `leader`, `follower`, or `none` when nobody leads.
    pub leadership: String,
    /// Events in the stream that are not committed; null when unknown.
    pub consumer_lag: Option<u64>,
    /// Newest committed change that this replica has seen.
    pub seq: u64,
    /// Messages set aside; null when Postgres cannot be asked.
    pub dead_letters: Option<u64>,
    /// As `/api/v1/alerts`.
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// Why what is shown may be old; null while it is up to date.
    #[serde(default)]
    pub stale: Option<Stale>,
    /// The servers that `phaseline up` runs; empty elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<PrivateServer>,
}

/// What is shown may be old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stale {
    /// For people.
    pub reason: String,
    /// Until then it was right: when the writer was last heard.
    pub last_seen_at: Timestamp,
}

/// A server that `phaseline up` runs, and starts again when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PrivateServer {
    /// `nats-server` or `Postgres`.
    pub name: String,
    /// It was started and has not ended.
    pub running: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// How it ended last, or why it cannot be started now; null while it never ended.
    pub last_end: Option<String>,
    /// When that was.
    pub last_end_at: Option<Timestamp>,
}

/// What builds cost, added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CostPage {
    /// What each row stands for: `day`, `host`, `project`, `producer`, `phase`, `model` or `build`.
    pub by: String,
    /// Days from the newest; the others from the dearest.
    pub rows: Vec<CostRow>,
    /// There are more rows than these.
    pub truncated: bool,
    /// Of all builds that were asked for, also of those in no row; its `key` is null.
    pub total: CostRow,
}

/// What some builds cost together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CostRow {
    /// The day (UTC, on which the builds began), or the name or id; null where it is unknown.
    pub key: Option<String>,
    /// US dollars of the builds whose cost is known, with all digits; null when it is known of none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub cost_usd: Option<Money>,
    /// The part of it that is an estimate.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub estimated_usd: Option<Money>,
    /// Builds.
    pub builds: u64,
    /// Those among them whose cost is unknown: they are in no sum.
    pub unknown_builds: u64,
}

/// How much a project has spent of what it is meant to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetStatus {
    /// The project's name.
    pub project: String,
    /// `day` or `month` (UTC, by when builds began), or `build`.
    pub per: String,
    /// US dollars.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub limit_usd: Money,
    /// Spent since `since`, or by the dearest build since then; null when nothing is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub spent_usd: Option<Money>,
    /// Builds since then whose cost is unknown.
    pub unknown_builds: u64,
    /// Builds that began then or later count.
    pub since: Timestamp,
    /// The dearest of these builds; null when nothing is known.
    pub build: Option<String>,
    /// More is spent than the limit. Nothing is stopped by it.
    pub over: bool,
}

/// All budgets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetPage {
    /// In the order of the settings.
    pub budgets: Vec<BudgetStatus>,
}

/// Which costs are added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostFilter {
    /// What a row stands for; `day` unless told.
    pub by: Option<String>,
    /// Builds begun at this time or later; as [`Timestamp::read`] reads it.
    pub from: Option<String>,
    /// Builds begun before this time.
    pub to: Option<String>,
    /// A host's name.
    pub host: Option<String>,
    /// A producer's name.
    pub producer: Option<String>,
    /// A project's name.
    pub project: Option<String>,
    /// Rows, 1 to 1000; 100 unless told.
    pub limit: Option<u32>,
}

/// Which builds a listing shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildFilter {
    /// One of the states' words.
    pub state: Option<String>,
    /// A host's name.
    pub host: Option<String>,
    /// A producer's name.
    pub producer: Option<String>,
    /// A project's name.
    pub project: Option<String>,
    /// A branch's name.
    pub branch: Option<String>,
    /// Text in id, project, path, session, branch or detail.
    pub q: Option<String>,
    /// Begun at this time or later; as [`Timestamp::read`] reads it.
    pub from: Option<String>,
    /// Begun before this time.
    pub to: Option<String>,
    /// Cost in US dollars, at least; builds whose cost is unknown are not among them.
    pub cost_min: Option<String>,
    /// The same, at most.
    pub cost_max: Option<String>,
    /// As they were then, in place of now.
    pub at: Option<String>,
    /// Builds per page, 1 to 200; 50 unless told.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}
