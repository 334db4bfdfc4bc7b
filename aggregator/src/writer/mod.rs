//! The one writer. Every replica runs it; the one that gets the lock leads:
//! it takes events from the stream, folds them, commits them, then publishes
//! what changed and acknowledges. It also keeps the hosts, and says when a
//! build has been silent for too long or its host is gone.

mod batch;
mod beside;
mod commit;
mod consume;
mod duties;
mod leader;
mod logs;
mod names;
mod presence;
mod publish;
mod roots;
mod sessions;
mod silence;
mod tracks;

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alerts::{About, Alerts};
use crate::history;
use crate::live::OwnFrames;
use crate::metrics::Metrics;
use crate::nats::Nats;
use crate::store::{LogLimits, Store, WriterSession};
use consume::Interrupt;
use leader::{Leader, Lost};
use logs::LogWriter;

/// First wait after the lead was lost or Postgres could not be reached.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// Longest wait: a database that comes back is used within this time.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
/// What helps when the stream cannot be read.
const STREAM_REMEDY: &str =
    "it is tried again all the time; if it lasts, look at the log of nats-server";
/// What is left to do after a stream was gone.
const STREAM_GONE_REMEDY: &str =
    "find out who deleted it, or whether the disk of nats-server lost it";
/// What helps when nothing can be written.
const WRITING_REMEDY: &str =
    "look at Postgres: whether it runs, and whether its disk has room; events wait in the stream";
/// How often old rows are deleted.
const RETIRE_EVERY: Duration = Duration::from_secs(3600);
/// Between two batches of deletes, so that commits go first.
const RETIRE_PAUSE: Duration = Duration::from_millis(200);

/// Whether this replica writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// It cannot even ask: Postgres is away, or the program is starting or stopping.
    None,
    /// Another one leads; this one waits.
    Follower,
    /// It does.
    Leader,
}

/// What the writer needs from its surroundings.
pub(crate) struct WriterParts {
    /// Where to commit. The schema must be ready.
    pub store: Store,
    /// Where events come from and changes go to.
    pub nats: Nats,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// What it says is wrong.
    pub alerts: Arc<Alerts>,
    /// The way to this replica's own readers.
    pub own: OwnFrames,
    /// Age at which events and dead letters are deleted.
    pub retention: Duration,
    /// What is kept of one build's log.
    pub log_limits: LogLimits,
    /// For tests.
    pub fail_point: FailPoint,
}

/// For tests, from `PHASELINE_FAIL_POINT`: the process aborts at its Nth batch, or does without a protection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FailPoint {
    /// None: the usual.
    #[default]
    Off,
    /// `after_commit:N`: committed, then killed before the acknowledgement.
    AfterCommit(u32),
    /// `ack_first:N`: acknowledged, then killed before the commit. What must
    /// never happen, so that a test can show what it would cost.
    AckFirst(u32),
    /// `no_dead_letters`: a message that cannot become an event is kept in the
    /// stream and tried again, to show what it would cost to set nothing aside.
    NoDeadLetters,
}

impl FailPoint {
    /// From the environment; anything else than the above is no fail point.
    #[must_use]
    pub(crate) fn from_environment() -> Self {
        let text = std::env::var("PHASELINE_FAIL_POINT").unwrap_or_default();
        Self::read(&text).unwrap_or_default()
    }

    fn read(text: &str) -> Option<Self> {
        if text == "no_dead_letters" {
            return Some(Self::NoDeadLetters);
        }
        let (name, batch) = text.split_once(':')?;
        let batch = batch.parse().ok()?;
        match name {
            "after_commit" => Some(Self::AfterCommit(batch)),
            "ack_first" => Some(Self::AckFirst(batch)),
            _ => None,
        }
    }

    /// One batch more; says where this one ends, if it does.
    fn next_batch(&mut self) -> Self {
        let (Self::AfterCommit(left) | Self::AckFirst(left)) = self else {
            return Self::Off;
        };
        *left = left.saturating_sub(1);
        if *left == 0 { *self } else { Self::Off }
    }
}

fn abort_at_the_fail_point() -> ! {
    tracing::warn!("aborting at the fail point PHASELINE_FAIL_POINT");
    std::process::abort();
}

/// Runs until `stop`; a batch that has begun is committed and acknowledged first.
/// Postgres or NATS being away is waited for.
pub(crate) async fn run(
    parts: WriterParts,
    leadership: watch::Sender<Leadership>,
    stop: CancellationToken,
) {
    let mut backoff = FIRST_BACKOFF;
    while !stop.is_cancelled() {
        let ended = term(&parts, &leadership, &stop).await;
        leadership.send_replace(Leadership::None);
        parts.metrics.writer.leader.set(0);
        let Err(Lost(reason)) = ended else {
            break;
        };
        let full = parts.alerts.is_raised(About::Room);
        // It has led and written since it failed the last time.
        if !full && !parts.alerts.is_raised(About::Writing) {
            backoff = FIRST_BACKOFF;
        }
        let text = format!("nothing is written to Postgres: {reason}");
        if !full {
            parts.alerts.raise(About::Writing, text, WRITING_REMEDY);
        }
        let wait = backoff.mul_f64(rand::rng().random_range(0.5..=1.0));
        // Said once for an outage, not for each attempt.
        if backoff == FIRST_BACKOFF {
            tracing::warn!(
                reason,
                "this replica does not write for now: trying again until it does"
            );
        } else {
            tracing::debug!(
                reason,
                retry_in_ms = wait.as_millis(),
                "still failed to write"
            );
        }
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// From connecting to Postgres until the lead is lost or the program stops.
async fn term(
    parts: &WriterParts,
    leadership: &watch::Sender<Leadership>,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let session = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        session = parts.store.writer_session() => session?,
    };
    leadership.send_replace(Leadership::Follower);
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        lead = session.wait_for_lead() => lead?,
    }
    let leader = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        leader = Leader::take_over(session, parts) => leader?,
    };
    leadership.send_replace(Leadership::Leader);
    parts.alerts.clear(About::Writing);
    parts.metrics.writer.leader.set(1);
    parts.metrics.writer.takeovers.inc();
    lead(leader, parts, stop).await
}

async fn lead(
    mut leader: Leader,
    parts: &WriterParts,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let mut tasks = JoinSet::new();
    tasks.spawn(retire(
        parts.store.clone(),
        parts.retention,
        parts.metrics.clone(),
    ));
    tasks.spawn(history::keep_taking(parts.store.clone(), parts.retention));
    let logs = LogWriter {
        store: parts.store.clone(),
        nats: parts.nats.clone(),
        metrics: parts.metrics.clone(),
        alerts: parts.alerts.clone(),
        limits: parts.log_limits,
    };
    tasks.spawn(logs.run());
    let mut backoff = FIRST_BACKOFF;
    loop {
        match leader.consume(stop).await {
            Interrupt::Stop => return Ok(()),
            Interrupt::Lost(lost) => return Err(lost),
            Interrupt::Nats { reason, worked } => {
                if worked {
                    backoff = FIRST_BACKOFF;
                }
                // Without a connection the state of NATS says it all.
                if leader.nats.is_connected() {
                    let text = format!("no events are taken from the stream: {reason}");
                    parts.alerts.raise(About::Stream, text, STREAM_REMEDY);
                }
                if backoff == FIRST_BACKOFF {
                    tracing::warn!(reason, "no events for now: beginning anew with NATS");
                } else {
                    tracing::debug!(reason, "still no events");
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = leader.db.closed() => return Err(Lost("the connection to Postgres closed".to_owned())),
                    () = tokio::time::sleep(backoff) => {}
                }
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                // Another leader may have taken the consumer: then this session is dead, and says so here.
                WriterSession::check(&leader.db).await?;
            }
        }
    }
}

/// Deletes what is older than the retention, for as long as this replica leads.
async fn retire(store: Store, retention: Duration, metrics: Arc<Metrics>) {
    let mut hourly = tokio::time::interval(RETIRE_EVERY);
    loop {
        hourly.tick().await;
        loop {
            match store.retire(retention).await {
                Ok(0) => break,
                Ok(deleted) => {
                    metrics.writer.retired.inc_by(deleted);
                    tokio::time::sleep(RETIRE_PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to delete old events; next try in an hour");
                    break;
                }
            }
        }
    }
}
