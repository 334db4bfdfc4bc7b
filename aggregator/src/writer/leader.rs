//! The leader's state and its one way to change anything: [`Leader::settle`]
//! folds, commits, remembers, publishes. Whatever Postgres refuses is found by
//! halving and handed back; whatever breaks the connection ends the lead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::Timestamp;

use super::batch::{self, Counts, Draft, Plan};
use super::commit::{self, HostChange, Numbers};
use super::presence::Hosts;
use super::publish;
use super::sessions::{self, Sessions};
use super::silence::OpenBuilds;
use super::tracks::TrackCache;
use super::{FailPoint, WriterParts};
use crate::alerts::{About, Alerts};
use crate::live::OwnFrames;
use crate::metrics::{Kind, Metrics};
use crate::nats::{MAX_BATCH, Nats};
use crate::store::{CommitError, Committed, StoreError, TrackKey, WriterSession};

/// What helps when Postgres has no room.
const ROOM_REMEDY: &str = "make room on the disk of Postgres; events wait in the stream and are written by themselves then";

/// The lead is over: somebody else has it, or Postgres is away.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Lost(pub(crate) String);

impl From<StoreError> for Lost {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// A draft that Postgres or the fold refuses.
pub(crate) struct Refused {
    pub(crate) draft: Option<Draft>,
    pub(crate) reason: String,
}

/// What the leader knows. Postgres is the record: all of this is dropped with the lead.
pub(crate) struct Leader {
    pub(crate) db: WriterSession,
    pub(crate) nats: Nats,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) alerts: Arc<Alerts>,
    pub(super) own: OwnFrames,
    /// Names the stream that events are taken from; none before there is one.
    pub(crate) stream: Option<String>,
    pub(crate) tracks: TrackCache,
    pub(crate) open: OpenBuilds,
    pub(super) sessions: Sessions,
    pub(crate) hosts: Hosts,
    pub(crate) seq: i64,
    pub(crate) fail_point: FailPoint,
}

/// The system's clock, in one place.
pub(crate) fn clock() -> Timestamp {
    Timestamp::from_system_time(std::time::SystemTime::now())
}

/// Some of a batch: drafts, and hosts that change with them.
struct Part {
    drafts: Vec<Draft>,
    hosts: Vec<HostChange>,
}

enum Failure {
    /// One draft is known to be at fault.
    Culprit(batch::Culprit),
    /// Something in the part is refused.
    Data(String),
    Lost(Lost),
}

impl Leader {
    /// Reads everything that a new leader must know.
    pub(crate) async fn take_over(db: WriterSession, parts: &WriterParts) -> Result<Self, Lost> {
        let seq = db.newest_seq().await?;
        let hosts = Hosts::restore(db.all_hosts().await?, Instant::now());
        let mut leader = Self {
            db,
            nats: parts.nats.clone(),
            metrics: parts.metrics.clone(),
            alerts: parts.alerts.clone(),
            own: parts.own.clone(),
            stream: None,
            tracks: TrackCache::default(),
            open: OpenBuilds::default(),
            sessions: Sessions::default(),
            hosts,
            seq,
            fail_point: parts.fail_point,
        };
        let keys = leader.db.open_keys().await?;
        for page in keys.chunks(MAX_BATCH) {
            leader.load(page.iter()).await?;
            let now = clock();
            for key in page {
                leader.watch(key, now);
            }
            leader.tracks.shrink();
        }
        // Once more, now that all builds that calls made are known.
        if leader.sessions.has_builds_of_calls() {
            for page in keys.chunks(MAX_BATCH) {
                leader.load(page.iter()).await?;
                for key in page {
                    if let Some(Ok(track)) = leader.tracks.get(key) {
                        leader.sessions.watch(key, track);
                    }
                }
                leader.tracks.shrink();
            }
            leader.join_found().await?;
        }
        tracing::info!(
            seq = leader.seq,
            builds.open = keys.len(),
            "this replica leads: it writes from now on"
        );
        Ok(leader)
    }

    /// Loads those tracks that are not in memory, with one query.
    pub(crate) async fn load(&mut self, keys: impl Iterator<Item = &TrackKey>) -> Result<(), Lost> {
        let missing = self.tracks.missing(keys);
        if !missing.is_empty() {
            let loaded = self.db.tracks(&missing).await?;
            self.tracks.fill(missing, loaded);
        }
        Ok(())
    }

    fn watch(&mut self, key: &TrackKey, now: Timestamp) {
        if let Some(Ok(track)) = self.tracks.get(key) {
            let offset_ms = self.hosts.clock_offset_ms(&key.host);
            self.open.update(key, track, offset_ms, now);
            self.sessions.watch(key, track);
        }
    }

    /// Folds, commits and publishes; answers what was refused. The rest is committed.
    pub(crate) async fn settle(
        &mut self,
        drafts: Vec<Draft>,
        hosts: Vec<HostChange>,
    ) -> Result<Vec<Refused>, Lost> {
        let mut segments = sessions::segments(drafts);
        // All but a few batches are one segment.
        let mut hosts = Some(hosts);
        let mut refused = Vec::new();
        while let Some(mut drafts) = segments.pop_front() {
            self.place(&mut drafts).await?;
            let hosts = hosts.take().unwrap_or_default();
            let (before, drafts) = self.meet_sessions(drafts).await?;
            refused.extend(before);
            refused.extend(self.settle_placed(drafts, hosts).await?);
            self.join_found().await?;
        }
        if let Some(hosts) = hosts {
            refused.extend(self.settle_placed(Vec::new(), hosts).await?);
        }
        Ok(refused)
    }

    pub(super) async fn settle_placed(
        &mut self,
        drafts: Vec<Draft>,
        hosts: Vec<HostChange>,
    ) -> Result<Vec<Refused>, Lost> {
        let mut refused = Vec::new();
        self.load(drafts.iter().map(|draft| &draft.key)).await?;
        let mut parts = VecDeque::from([Part { drafts, hosts }]);
        while let Some(mut part) = parts.pop_front() {
            if part.drafts.is_empty() && part.hosts.is_empty() {
                continue;
            }
            match self.commit(&part).await {
                Ok(()) => {}
                Err(Failure::Lost(lost)) => return Err(lost),
                Err(Failure::Culprit(culprit)) => {
                    let draft = Some(part.drafts.remove(culprit.index));
                    let reason = culprit.reason;
                    refused.push(Refused { draft, reason });
                    parts.push_front(part);
                }
                Err(Failure::Data(reason)) => halve(part, reason, &mut parts, &mut refused),
            }
        }
        self.tracks.shrink();
        Ok(refused)
    }

    async fn commit(&mut self, part: &Part) -> Result<(), Failure> {
        let began = Instant::now();
        let now = clock();
        let closed = |host: &str, root: &str| self.hosts.closed(host, root);
        let plan =
            batch::plan(&part.drafts, &self.tracks, &closed, now).map_err(Failure::Culprit)?;
        let numbers = commit::number(&plan.changes, part.hosts.len(), self.seq);
        let texts = commit::track_texts(&plan).map_err(Failure::Data)?;
        let rows = commit::rows(&plan, &texts, &part.hosts, &numbers).map_err(Failure::Data)?;
        let committed = self.db.commit(&rows, self.seq, numbers.next).await;
        drop(rows);
        let committed = committed.map_err(|error| {
            self.metrics.writer.commit_failures.inc();
            match error {
                CommitError::Data(reason) => Failure::Data(reason),
                CommitError::NoRoom(reason) => {
                    let text = format!("Postgres refuses to write: {reason}");
                    self.alerts.raise(About::Room, text, ROOM_REMEDY);
                    Failure::Lost(Lost(reason))
                }
                CommitError::NotLeader | CommitError::Lost(_) => {
                    Failure::Lost(Lost(error.to_string()))
                }
            }
        })?;
        self.alerts.clear(About::Room);
        let took = began.elapsed();
        let frames = publish::frames(&plan, &part.hosts, &numbers, committed.at);
        self.own.hand(frames.own);
        let failed = publish::publish(&self.nats, frames.out).await;
        self.count(&plan, part, &numbers, committed, took, failed);
        for change in &plan.changes {
            self.sessions.changed(change);
        }
        let sizes: Vec<usize> = texts.iter().map(|(_, text)| text.len()).collect();
        drop(texts);
        self.remember(plan.tracks.into_iter().zip(sizes), numbers.next, now);
        Ok(())
    }

    fn remember<'a>(
        &mut self,
        tracks: impl Iterator<Item = ((&'a TrackKey, crate::fold::Track), usize)>,
        seq: i64,
        now: Timestamp,
    ) {
        self.seq = seq;
        for ((key, track), bytes) in tracks {
            self.tracks.keep(key.clone(), track, bytes);
            self.watch(key, now);
        }
    }

    fn count(
        &self,
        plan: &Plan<'_>,
        part: &Part,
        numbers: &Numbers,
        committed: Committed,
        took: Duration,
        failed: u64,
    ) {
        let writer = &self.metrics.writer;
        writer.commit.observe(took);
        writer.publish_failures.inc_by(failed);
        writer
            .changes
            .inc_by((numbers.next - self.seq).unsigned_abs());
        let Counts {
            folded,
            late,
            repeated,
            timer,
        } = &plan.counts;
        // A redelivered event is late for the fold and is there already.
        let again = (plan.events.len() as u64).saturating_sub(committed.inserted);
        let count = |kind, n| writer.events.get_or_create(&Kind { kind }).inc_by(n);
        count("folded", *folded);
        count("late", late.saturating_sub(again));
        count("repeated", repeated + again);
        for kind in timer {
            writer.timer_facts.get_or_create(&Kind { kind }).inc();
        }
        if part.drafts.iter().any(|draft| draft.message.is_some()) {
            #[expect(clippy::cast_precision_loss, reason = "a batch has at most 500 events")]
            self.metrics.batch_size.observe(part.drafts.len() as f64);
        }
        for event in plan
            .events
            .iter()
            .filter(|event| !event.late && !event.found)
        {
            let Some(broker_at) = event.broker_at else {
                continue;
            };
            let offset_ms = self.hosts.clock_offset_ms(&event.key.host);
            let read_at = event.observed_at.plus_millis(offset_ms.saturating_neg());
            let file_to_agent = event.observed_at.millis_since(event.changed_at);
            writer.hop_file_to_agent.observe_ms(file_to_agent);
            writer
                .hop_agent_to_broker
                .observe_ms(broker_at.millis_since(read_at));
            writer
                .hop_broker_to_commit
                .observe_ms(committed.at.millis_since(broker_at));
        }
    }
}

/// Splits a refused part; a single thing that is refused is the culprit.
fn halve(mut part: Part, reason: String, parts: &mut VecDeque<Part>, refused: &mut Vec<Refused>) {
    let part_of = |drafts, hosts| Part { drafts, hosts };
    if !part.hosts.is_empty() && !part.drafts.is_empty() {
        parts.push_front(part_of(Vec::new(), part.hosts));
        parts.push_front(part_of(part.drafts, Vec::new()));
    } else if part.drafts.len() > 1 {
        let second = part.drafts.split_off(part.drafts.len() / 2);
        parts.push_front(part_of(second, Vec::new()));
        parts.push_front(part_of(part.drafts, Vec::new()));
    } else if part.hosts.len() > 1 {
        let second = part.hosts.split_off(part.hosts.len() / 2);
        parts.push_front(part_of(Vec::new(), second));
        parts.push_front(part_of(Vec::new(), part.hosts));
    } else {
        let draft = part.drafts.pop();
        refused.push(Refused { draft, reason });
    }
}
