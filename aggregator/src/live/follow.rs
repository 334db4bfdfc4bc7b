//! Keeps the hub at the newest change: subscribe first, then read Postgres,
//! then apply frames in order, those of this replica's own writer as it hands
//! them over, those of another from NATS. A missing frame, a leader whose `seq` is ahead,
//! or a new connection to NATS leads to one read of Postgres. Nothing polls.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use protocol::subject;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::hub::{Hub, Taken};
use super::incoming::Incoming;
use super::own::OwnReader;
use super::state::{BuildRow, RowSet};
use super::{LOOK_BACK, MAX_RESUME};
use crate::nats::Nats;
use crate::store::{Changes, Store, StoreError, answered};

/// The leader's word may overtake its frames: they come on another subscription.
const FRAMES_FOLLOW_WITHIN: Duration = Duration::from_millis(200);
/// How long the broker may take to carry our own message back, which proves that it knows our subscriptions.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);
/// First and longest wait before Postgres is asked again.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(2);
/// How often builds that ended long ago are let go; they leave after 24 h, give or take this.
const SWEEP: Duration = Duration::from_secs(60);
/// Words of a leader in a row that are behind us before Postgres is asked
/// whether it was restored: one may just be late.
const BEHIND_IN_A_ROW: u32 = 2;

/// Follows until `stop`.
pub(crate) async fn follow(
    hub: Arc<Hub>,
    nats: Nats,
    store: Store,
    own: OwnReader,
    stop: CancellationToken,
) {
    let mut follower = Follower {
        hub,
        nats,
        store,
        own,
        behind: None,
        backward: 0,
    };
    while stop.run_until_cancelled(follower.run()).await.is_some() {
        // The client gave its subscriptions up, which it only does when it is closed.
        tracing::warn!("lost the subscription to live changes, subscribing again");
        if stop.run_until_cancelled(sleep(RETRY_CAP)).await.is_none() {
            return;
        }
    }
}

struct Follower {
    hub: Arc<Hub>,
    nats: Nats,
    store: Store,
    own: OwnReader,
    /// The leader is at this `seq`; when the frames are not here by then, Postgres is read.
    behind: Option<(u64, Instant)>,
    backward: u32,
}

impl Follower {
    /// Returns when NATS closed the subscriptions.
    async fn run(&mut self) {
        let client = self.nats.client.clone();
        let (Ok(mut live), Ok(mut words)) = (
            client.subscribe(subject::LIVE).await,
            client.subscribe(subject::SEQ).await,
        ) else {
            return;
        };
        let mut connected = self.nats.connected.clone();
        let mut wanted = self.hub.ahead.wanted();
        self.settle().await;
        self.load().await;
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let overdue = self.behind.map(|(_, at)| at);
            tokio::select! {
                biased;
                frames = self.own.next() => self.take_own(frames),
                frame = next(&mut live) => match frame {
                    Some(message) => self.take(message).await,
                    None => return,
                },
                word = next(&mut words) => match word {
                    Some(message) => self.hear(&message).await,
                    None => return,
                },
                () = until(overdue) => {
                    self.behind = None;
                    self.catch_up().await;
                }
                Ok(()) = wanted.changed() => {
                    if *wanted.borrow_and_update() > self.hub.seq() {
                        self.catch_up().await;
                    }
                }
                changed = connected.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if *connected.borrow_and_update() {
                        // What was published while we were away is only in Postgres.
                        self.settle().await;
                        self.catch_up().await;
                    }
                }
                _ = sweep.tick() => {
                    if self.hub.sweep() {
                        self.load().await;
                    }
                }
            }
        }
    }

    async fn take(&mut self, message: Message) {
        match Incoming::read(message.payload) {
            Ok(incoming) => {
                if self.hub.take(incoming) == Taken::Gap {
                    self.catch_up().await;
                }
                self.arrived();
            }
            Err(error) => {
                self.hub.metrics.live.bad_frames.inc();
                tracing::warn!(subject = %message.subject, %error, "failed to read a live message");
            }
        }
    }

    /// One that does not follow on what is known (this view is being loaded) comes once more, by NATS.
    fn take_own(&mut self, frames: Vec<Incoming>) {
        for frame in frames {
            if self.hub.take(frame) == Taken::New {
                self.hub.metrics.live.own_changes.inc();
            }
        }
        self.arrived();
    }

    fn arrived(&mut self) {
        if self.behind.is_some_and(|(seq, _)| self.hub.seq() >= seq) {
            self.behind = None;
        }
    }

    /// The leader repeats the newest `seq`.
    async fn hear(&mut self, message: &Message) {
        let seq = std::str::from_utf8(&message.payload)
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        let Some(seq) = seq else {
            self.hub.metrics.live.bad_frames.inc();
            tracing::warn!("failed to read the leader's seq");
            return;
        };
        self.hub.heard_beacon();
        let ours = self.hub.seq();
        if seq > ours && self.behind.is_none() {
            self.behind = Some((seq, Instant::now() + FRAMES_FOLLOW_WITHIN));
        }
        self.backward = if seq < ours { self.backward + 1 } else { 0 };
        if self.backward >= BEHIND_IN_A_ROW {
            self.backward = 0;
            self.catch_up().await;
        }
    }

    /// Waits until the broker has our subscriptions: from then on frames come.
    /// Without a broker it goes on at once; the next connection is settled again.
    async fn settle(&self) {
        if !self.nats.is_connected() {
            return;
        }
        if !self.nats.echoes(SETTLE_WITHIN).await {
            tracing::warn!(
                "NATS did not confirm the subscriptions in time; a gap would be seen and closed"
            );
        }
    }

    /// Reads everything, as often as it takes.
    async fn load(&mut self) {
        let mut retry = Retry::new("load the live view");
        loop {
            match self.read_all().await {
                Ok(()) => return,
                Err(error) => retry.wait(&error).await,
            }
        }
    }

    async fn read_all(&self) -> Result<(), StoreError> {
        let snapshot = answered(self.store.snapshot()).await?;
        let mut rows = RowSet {
            seq: snapshot.seq,
            builds: snapshot
                .builds
                .into_iter()
                .filter_map(|build| row(build, None))
                .collect(),
            hosts: snapshot.hosts,
        };
        let mut since = snapshot.seq;
        let look_back = snapshot.seq.saturating_sub(LOOK_BACK);
        // Later rows of the same build replace those of the snapshot.
        let recent = answered(self.store.changes_since(look_back, limit())).await?;
        if let Some(recent) = recent.map(row_set).filter(|recent| recent.seq >= rows.seq) {
            since = look_back;
            rows.seq = recent.seq;
            rows.builds.extend(recent.builds);
            rows.hosts.extend(recent.hosts);
        }
        let seq = rows.seq;
        let (builds, hosts) = self.hub.load(rows, since, snapshot.truncated);
        tracing::info!(seq, builds, hosts, "loaded the live view");
        Ok(())
    }

    /// Reads what is missing, as often as it takes.
    async fn catch_up(&mut self) {
        self.hub.metrics.live.catch_ups.inc();
        let mut retry = Retry::new("read missed changes");
        loop {
            let changes = answered(self.store.changes_since(self.hub.seq(), limit())).await;
            match changes {
                Ok(Some(changes)) => {
                    if !self.hub.catch_up(row_set(changes)) {
                        tracing::warn!(
                            "Postgres is behind what was shown, so it was restored; loading the live view anew"
                        );
                        self.load().await;
                    }
                    return;
                }
                Ok(None) => return self.load().await,
                Err(error) => retry.wait(&error).await,
            }
        }
    }
}

/// Doubling waits; the first failure is logged, the rest only in debug.
struct Retry {
    doing: &'static str,
    wait: Duration,
}

impl Retry {
    fn new(doing: &'static str) -> Self {
        Self { doing, wait: RETRY }
    }

    async fn wait(&mut self, error: &StoreError) {
        if self.wait == RETRY {
            tracing::warn!(%error, "failed to {}, trying again", self.doing);
        } else {
            tracing::debug!(%error, "failed to {}, trying again", self.doing);
        }
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(RETRY_CAP);
    }
}

fn limit() -> u32 {
    u32::try_from(MAX_RESUME).unwrap_or(u32::MAX)
}

fn row_set(changes: Changes) -> RowSet {
    let builds = changes.builds.into_iter();
    RowSet {
        seq: changes.seq,
        builds: builds
            .filter_map(|changed| row(changed.build, changed.completed_seq))
            .collect(),
        hosts: changes.hosts,
    }
}

fn row(build: protocol::Build, completed_seq: Option<u64>) -> Option<BuildRow> {
    match serde_json::to_value(build) {
        Ok(Value::Object(map)) => Some(BuildRow { map, completed_seq }),
        _ => None,
    }
}

async fn next(subscription: &mut Subscriber) -> Option<Message> {
    subscription.next().await
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
