//! One change as all connections share it: the frame as the leader published
//! it, and the whole build for those who cannot use a patch. Each form is
//! encoded at most once, however many browsers there are.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::histogram::Histogram;
use protocol::frame::COMPLETE_MEMBERS;
use protocol::{Build, BuildState, Frame, FrameType, Host, Source, Timestamp};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::ENDED_FOR_MS;
use crate::metrics::Metrics;

/// What the hub tells all connections.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// A build or host changed.
    Change(Arc<Change>),
    /// Everything was loaded anew: only a snapshot helps.
    Reset,
}

/// A frame on its way to one browser.
#[derive(Debug, Clone)]
pub(crate) struct OutFrame {
    pub(crate) kind: FrameType,
    /// 0 for one without a place in the order of changes.
    pub(crate) seq: u64,
    pub(crate) text: Utf8Bytes,
}

/// A build at one point of the order of changes. Immutable.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) seq: u64,
    /// When the server made the change's frame.
    pub(crate) at: Timestamp,
    pub(crate) map: Map<String, Value>,
    ended_at: Option<Timestamp>,
    failed: bool,
    /// It goes on as another build.
    joined: bool,
    data: OnceLock<Box<RawValue>>,
    event: OnceLock<Utf8Bytes>,
    sync: OnceLock<Utf8Bytes>,
}

impl Whole {
    /// None when the map lacks what every build has.
    pub(crate) fn new(map: Map<String, Value>, at: Timestamp) -> Option<Self> {
        let text = |key: &str| map.get(key).and_then(Value::as_str);
        Some(Self {
            id: text("id")?.to_owned(),
            host: text("host")?.to_owned(),
            seq: map.get("seq").and_then(Value::as_u64)?,
            at,
            ended_at: text("ended_at").and_then(|time| time.parse().ok()),
            failed: text("state") == Some(BuildState::Failed.word()),
            joined: text("same_as").is_some(),
            map,
            data: OnceLock::new(),
            event: OnceLock::new(),
            sync: OnceLock::new(),
        })
    }

    /// Whether a snapshot shows it: open, ended not long ago, or failed (nobody can acknowledge a failure yet).
    pub(crate) fn in_snapshot(&self, now: Timestamp) -> bool {
        let recent = |ended: Timestamp| now.millis_since(ended) < ENDED_FOR_MS;
        !self.joined && (self.failed || self.ended_at.is_none_or(recent))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    pub(crate) fn last_updated(&self) -> Option<Timestamp> {
        self.map.get("last_updated")?.as_str()?.parse().ok()
    }

    /// The build as JSON text.
    pub(crate) fn data(&self) -> &RawValue {
        self.data.get_or_init(|| raw(&self.map))
    }

    /// The build as a value; none when a newer leader's build is not ours.
    pub(crate) fn build(&self) -> Option<Build> {
        serde_json::from_value(Value::Object(self.map.clone())).ok()
    }

    /// The whole build as a frame.
    pub(crate) fn frame(&self, source: Source) -> OutFrame {
        let cell = if source == Source::Sync {
            &self.sync
        } else {
            &self.event
        };
        let text =
            cell.get_or_init(|| encode(FrameType::Build, self.data(), self.at, source, self.seq));
        OutFrame {
            kind: FrameType::Build,
            seq: self.seq,
            text: text.clone(),
        }
    }

    /// That it ended, at its own place in the order.
    pub(crate) fn complete_frame(&self, seq: u64) -> OutFrame {
        let mut data: Map<String, Value> = COMPLETE_MEMBERS
            .iter()
            .map(|key| {
                (
                    (*key).to_owned(),
                    self.map.get(*key).cloned().unwrap_or(Value::Null),
                )
            })
            .collect();
        data.insert("seq".to_owned(), json!(seq));
        let kind = FrameType::BuildComplete;
        OutFrame {
            kind,
            seq,
            text: encode(kind, &raw(&data), self.at, Source::Sync, seq),
        }
    }
}

/// A host at one point of the order of changes. Immutable.
#[derive(Debug)]
pub(crate) struct HostRecord {
    pub(crate) host: Host,
    pub(crate) at: Timestamp,
    data: OnceLock<Box<RawValue>>,
    sync: OnceLock<Utf8Bytes>,
}

impl HostRecord {
    pub(crate) fn new(host: Host, at: Timestamp) -> Self {
        Self {
            host,
            at,
            data: OnceLock::new(),
            sync: OnceLock::new(),
        }
    }

    /// The host as JSON text.
    pub(crate) fn data(&self) -> &RawValue {
        self.data.get_or_init(|| raw(&self.host))
    }

    /// The host as a frame of recovered state.
    pub(crate) fn sync_frame(&self) -> OutFrame {
        let kind = FrameType::HostUpdate;
        let seq = self.host.seq;
        let text = self
            .sync
            .get_or_init(|| encode(kind, self.data(), self.at, Source::Sync, seq));
        OutFrame {
            kind,
            seq,
            text: text.clone(),
        }
    }
}

/// What changed.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// A build; `patch` is the frame as published, absent when readers cannot
    /// be expected to hold the state that it changes.
    Build {
        now: Arc<Whole>,
        patch: Option<Utf8Bytes>,
    },
    /// A build ended.
    Complete { build: Arc<Whole>, frame: Utf8Bytes },
    /// A host.
    Host {
        now: Arc<HostRecord>,
        frame: Utf8Bytes,
    },
}

/// One change of one build or host.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) seq: u64,
    pub(crate) subject: Subject,
    /// Never gathered: a failure, a completion, a changed to-do list.
    pub(crate) urgent: bool,
    /// `sync` when it was read from Postgres because its frame was missing.
    pub(crate) source: Source,
    receivers: Receivers,
}

/// How many readers were given this very change; noted when the last of them is done with it.
#[derive(Debug, Default)]
struct Receivers {
    count: AtomicU32,
    histogram: Option<Histogram>,
}

impl Drop for Receivers {
    fn drop(&mut self) {
        if let Some(histogram) = &self.histogram {
            histogram.observe(f64::from(*self.count.get_mut()));
        }
    }
}

/// What a later change of the same thing replaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Build(String),
    Complete(String),
    Host(String),
}

impl Change {
    pub(crate) fn new(seq: u64, subject: Subject, urgent: bool, source: Source) -> Self {
        Self {
            seq,
            subject,
            urgent,
            source,
            receivers: Receivers::default(),
        }
    }

    pub(crate) fn count_receivers_in(&mut self, metrics: &Metrics) {
        self.receivers.histogram = Some(metrics.receivers.clone());
    }

    /// One more reader was given it.
    pub(crate) fn received(&self) {
        self.receivers.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn key(&self) -> Key {
        match &self.subject {
            Subject::Build { now, .. } => Key::Build(now.id.clone()),
            Subject::Complete { build, .. } => Key::Complete(build.id.clone()),
            Subject::Host { now, .. } => Key::Host(now.host.name.clone()),
        }
    }

    /// The frame for a reader; `whole` when the reader skipped a change of this build or wants no patches.
    pub(crate) fn frame(&self, whole: bool) -> OutFrame {
        match &self.subject {
            Subject::Build {
                patch: Some(patch), ..
            } if !whole => OutFrame {
                kind: FrameType::BuildUpdate,
                seq: self.seq,
                text: patch.clone(),
            },
            Subject::Build { now, .. } => now.frame(self.source),
            Subject::Complete { frame, .. } => OutFrame {
                kind: FrameType::BuildComplete,
                seq: self.seq,
                text: frame.clone(),
            },
            Subject::Host { frame, .. } => OutFrame {
                kind: FrameType::HostUpdate,
                seq: self.seq,
                text: frame.clone(),
            },
        }
    }
}

/// The envelope around data.
pub(crate) fn encode<T: serde::Serialize + ?Sized>(
    kind: FrameType,
    data: &T,
    timestamp: Timestamp,
    source: Source,
    seq: u64,
) -> Utf8Bytes {
    let frame = Frame {
        kind,
        data,
        timestamp,
        source,
        seq: Some(seq),
    };
    serde_json::to_string(&frame)
        .expect("frames have text keys and no failing parts")
        .into()
}

fn raw<T: serde::Serialize>(value: &T) -> Box<RawValue> {
    to_raw_value(value).expect("builds and hosts have text keys and no failing parts")
}
