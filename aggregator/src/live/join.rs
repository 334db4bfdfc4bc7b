//! How a connection begins, and begins again after it was too slow: with what
//! it missed, or with a snapshot. Snapshots are encoded once for all readers
//! who come at about the same time.

use std::sync::PoisonError;
use std::time::Duration;

use protocol::{FrameType, Source};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::change::{News, OutFrame, encode};
use super::filter::Filter;
use super::hub::{Hub, now};

/// Age at which an encoded snapshot is no longer shared: a thousand readers
/// who reconnect together cost five encodings a second.
const SHARED_FOR: Duration = Duration::from_millis(200);
/// Changes since a shared snapshot beyond which a new one is shorter.
const MAX_AFTER_SHARED: usize = 100;

/// A snapshot for everybody without a filter.
#[derive(Debug)]
pub(crate) struct SharedSnapshot {
    made: Instant,
    frame: OutFrame,
}

/// A connection's place in the order of changes.
#[derive(Debug)]
pub(crate) struct Joined {
    /// All changes after `seq`.
    pub(crate) news: broadcast::Receiver<News>,
    /// What brings the reader to `seq`.
    pub(crate) frames: Vec<OutFrame>,
    /// Everything up to here is in `frames` or was known.
    pub(crate) seq: u64,
    /// It went on where it was; otherwise the first frame is a snapshot.
    pub(crate) resumed: bool,
}

#[derive(Serialize)]
struct SnapshotData<'a> {
    builds: Vec<&'a RawValue>,
    hosts: Vec<&'a RawValue>,
    alerts: [(); 0],
    truncated: bool,
}

impl Hub {
    /// Joins after `since`, or from nothing. None before Postgres was read once.
    pub(crate) fn join(&self, since: Option<u64>, filter: &Filter) -> Option<Joined> {
        if !self.is_loaded() {
            return None;
        }
        if let Some(since) = since {
            let state = self.state();
            if let Some(frames) = state.missed(since, filter) {
                return Some(Joined {
                    news: self.news.subscribe(),
                    frames,
                    seq: state.seq,
                    resumed: true,
                });
            }
        }
        Some(if filter.is_open() {
            self.join_shared()
        } else {
            self.join_new(filter)
        })
    }

    fn join_shared(&self) -> Joined {
        // Held while encoding: whoever comes meanwhile waits for this snapshot instead of making another.
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = shared
            .as_ref()
            .filter(|snapshot| snapshot.made.elapsed() < SHARED_FOR)
        {
            let state = self.state();
            let after = state.missed(snapshot.frame.seq, &Filter::default());
            if let Some(after) = after.filter(|after| after.len() <= MAX_AFTER_SHARED) {
                let mut frames = vec![snapshot.frame.clone()];
                frames.extend(after);
                return Joined {
                    news: self.news.subscribe(),
                    frames,
                    seq: state.seq,
                    resumed: false,
                };
            }
        }
        let joined = self.join_new(&Filter::default());
        if let Some(frame) = joined.frames.first() {
            *shared = Some(SharedSnapshot {
                made: Instant::now(),
                frame: frame.clone(),
            });
        }
        joined
    }

    fn join_new(&self, filter: &Filter) -> Joined {
        let time = now();
        let state = self.state();
        let mut builds = state.snapshot_builds(time);
        builds.retain(|build| filter.wants_build(build));
        let hosts: Vec<_> = state
            .hosts()
            .filter(|host| filter.wants_host(host))
            .cloned()
            .collect();
        let (seq, truncated) = (state.seq, state.truncated());
        let news = self.news.subscribe();
        drop(state);
        let data = SnapshotData {
            builds: builds.iter().map(|build| build.data()).collect(),
            hosts: hosts.iter().map(|host| host.data()).collect(),
            alerts: [],
            truncated,
        };
        self.metrics.live.snapshots_encoded.inc();
        let kind = FrameType::Snapshot;
        let frame = OutFrame {
            kind,
            seq,
            text: encode(kind, &data, time, Source::Sync, seq),
        };
        Joined {
            news,
            frames: vec![frame],
            seq,
            resumed: false,
        }
    }
}
