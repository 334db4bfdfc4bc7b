//! The live view of one replica: it holds the builds of a snapshot and all
//! hosts in memory, applies the leader's frames in the order of their `seq`,
//! reads Postgres where frames are missing, and hands each change to all
//! connected browsers. Postgres is the record; this is a cache of it.

mod ahead;
mod change;
mod conflate;
mod filter;
mod follow;
mod freshness;
mod hub;
mod incoming;
mod join;
mod logs;
mod own;
#[cfg(test)]
mod ring_tests;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use change::{Change, News, OutFrame, Subject, encode};
pub(crate) use conflate::Conflator;
pub(crate) use filter::Filter;
pub(crate) use follow::follow;
pub(crate) use freshness::{Servers, watch_freshness};
pub(crate) use hub::{Hub, now};
pub(crate) use incoming::{Incoming, Said};
pub(crate) use join::Joined;
pub(crate) use logs::{LogFrame, follow_logs};
pub(crate) use own::{OwnFrames, OwnReader, own_frames};

/// A leader speaks every 5 s; after two missed words nobody leads.
pub(crate) const LEADER_SILENT: Duration = Duration::from_secs(11);

/// Builds in memory and in a snapshot: what a person can still look over, and
/// some 3 MB. Beyond it the oldest are left out and the snapshot says `truncated`.
pub(crate) const MAX_BUILDS: usize = crate::store::MAX_SNAPSHOT_BUILDS;

/// Hosts in memory and in a snapshot; an agent reports once in ten seconds, so
/// this many are what one broker connection hears with ease.
pub(crate) const MAX_HOSTS: usize = 1_000;

/// Text of all builds in memory, bytes. One build may show a megabyte of
/// fields; a snapshot must stay what a browser can take in.
pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Changes that a reader may be behind before it is given the newest states
/// instead: one second at the highest rate we promise.
pub(crate) const RING: usize = 1_024;

/// Most missed frames for which a connection is resumed; more are cheaper as a snapshot.
pub(crate) const MAX_RESUME: usize = 1_000;

/// Changes before the newest that are loaded at start, so that readers of the
/// process before this one can be resumed: as many as a resume may have.
pub(crate) const LOOK_BACK: u64 = 1_000;

/// A build that has ended leaves the snapshot after this, milliseconds.
pub(crate) const ENDED_FOR_MS: i64 = 24 * 3_600 * 1_000;

/// A change stays in memory for at least this long, also of a build that ended
/// long ago, so that a reader who was away can be resumed, milliseconds.
pub(crate) const RESUMABLE_FOR_MS: i64 = 10 * 60 * 1_000;
