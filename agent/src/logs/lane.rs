//! Who is read and sent when. One task owns it all; reading happens on
//! blocking threads, so that a file system that hangs holds up nobody else.
//! Of each file one batch is on its way at a time, so that lines stay in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use ingest::Paid;
use protocol::log::LOG_VERSION;
use protocol::{AgentId, LogBatch, Timestamp, subject};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Logs;
use super::followed::{ACK_TIMEOUT, Followed, Queued, ReadDone, Sent, read, send};
use super::saved::Saved;
use super::tail::{PIECE, Piece, State};
use crate::alarm::{earlier, sleep_until};
use crate::beneath::ReadError;
use crate::nats::Link;

/// A log that is written to all the time is read this often: soon enough to look immediate.
const EVERY: Duration = Duration::from_millis(50);
/// What is shipped of one log per second in the long run: a hundred times what builds write.
const FILE_BYTES_PER_S: f64 = 1024.0 * 1024.0;
const FILE_LINES_PER_S: f64 = 10_000.0;
/// And of all logs of the host: an upload that a network bears beside other things.
const HOST_BYTES_PER_S: f64 = 4.0 * 1024.0 * 1024.0;
/// What is read and not yet acknowledged, bytes of text of all logs: it outlives a file that is deleted
/// while the broker is away. Beyond it the files keep what they have.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// The same of one log, so that one does not take the room of all.
const FILE_QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// Files that are read at the same time.
const MAX_READS: usize = 4;
/// Batches on their way at the same time.
const MAX_SENDS: usize = 32;
/// Pauses after a failure to send.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What the lane needs from its surroundings.
pub(crate) struct Lane {
    /// Which logs may have grown.
    pub(crate) logs: Logs,
    /// How far they were shipped.
    pub(crate) saved: Arc<Saved>,
    /// Who speaks.
    pub(crate) agent: AgentId,
    /// The host's name.
    pub(crate) host: String,
    /// The connection.
    pub(crate) client: Client,
    /// Whether it stands.
    pub(crate) link: watch::Receiver<Link>,
}

struct Work {
    lane: Lane,
    context: Context,
    files: BTreeMap<Arc<Path>, Followed>,
    queued_bytes: usize,
    host_paid: Paid,
    host_not_before: Option<Instant>,
    reads: JoinSet<ReadDone>,
    sends: FuturesUnordered<BoxFuture<'static, (Arc<Path>, Sent)>>,
    told_failure: bool,
}

/// Follows the logs until `stop`. What is not acknowledged by then is read again at the next start.
pub(crate) async fn run(lane: Lane, stop: CancellationToken) {
    let context = ContextBuilder::new()
        .timeout(ACK_TIMEOUT)
        .ack_timeout(ACK_TIMEOUT)
        .build(lane.client.clone());
    let mut work = Work {
        lane,
        context,
        files: BTreeMap::new(),
        queued_bytes: 0,
        host_paid: Paid::default(),
        host_not_before: None,
        reads: JoinSet::new(),
        sends: FuturesUnordered::new(),
        told_failure: false,
    };
    let _ = stop.run_until_cancelled(work.follow()).await;
}

impl Work {
    async fn follow(&mut self) {
        loop {
            let now = Instant::now();
            let wake = earlier(self.start_reads(now), self.start_sends(now));
            tokio::select! {
                () = self.lane.logs.news() => self.take_news(),
                Some(done) = self.reads.join_next(), if !self.reads.is_empty() => {
                    if let Ok(done) = done {
                        self.was_read(done);
                    }
                }
                Some((path, sent)) = self.sends.next(), if !self.sends.is_empty() => {
                    self.was_sent(&path, sent).await;
                }
                changed = self.lane.link.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.link_changed();
                }
                () = sleep_until(wake), if wake.is_some() => {}
            }
        }
    }

    fn take_news(&mut self) {
        for (path, place) in self.lane.logs.take() {
            let followed = self.files.entry(path).or_default();
            followed.touched = true;
            followed.place = Some(place);
        }
        let now = Instant::now();
        self.files.retain(|_, followed| !followed.is_at_rest(now));
    }

    /// A new connection is tried at once.
    fn link_changed(&mut self) {
        if self.lane.link.borrow_and_update().up {
            for followed in self.files.values_mut() {
                followed.send_not_before = None;
            }
        }
    }

    /// Begins to read what may be read; answers when the next may.
    fn start_reads(&mut self, now: Instant) -> Option<Instant> {
        let mut wake = None;
        let room = self.queued_bytes < QUEUE_BYTES;
        for (path, followed) in &mut self.files {
            let full = !room || followed.queued_bytes >= FILE_QUEUE_BYTES;
            if !followed.touched || followed.reading || full {
                continue;
            }
            let at = [followed.not_before, self.host_not_before];
            let at = at.into_iter().flatten().max().filter(|at| *at > now);
            if let Some(at) = at {
                wake = earlier(wake, Some(at));
                continue;
            }
            if self.reads.len() >= MAX_READS {
                // The end of a read is the next occasion.
                break;
            }
            let Some(place) = followed.place.clone() else {
                continue;
            };
            followed.touched = false;
            followed.reading = true;
            let (path, state) = (Arc::clone(path), followed.state.take());
            let saved = Arc::clone(&self.lane.saved);
            self.reads
                .spawn_blocking(move || read(path, state, &place, &saved));
        }
        wake
    }

    fn was_read(&mut self, done: ReadDone) {
        let now = Instant::now();
        let Some(followed) = self.files.get_mut(&done.path) else {
            return;
        };
        followed.reading = false;
        followed.begins |= done.begins;
        followed.not_before = Some(now + EVERY);
        match done.result {
            Ok(Some(piece)) => {
                let bytes = (piece.to - piece.from) as f64;
                let lines = piece.lines.len() as f64;
                let cost = (bytes / FILE_BYTES_PER_S).max(lines / FILE_LINES_PER_S);
                let paid = followed.paid.take(cost, now);
                let host_paid = self.host_paid.take(bytes / HOST_BYTES_PER_S, now);
                self.host_not_before = Some(host_paid);
                followed.touched |= piece.more;
                followed.not_before = Some(if piece.more {
                    paid
                } else {
                    paid.max(now + EVERY)
                });
                self.enqueue(&done.path, piece, &done.state);
            }
            Ok(None) | Err(ReadError::Missing) => {}
            Err(error) => {
                tracing::debug!(path = %done.path.display(), ?error, "failed to read a log");
            }
        }
        if let Some(followed) = self.files.get_mut(&done.path) {
            followed.state = Some(done.state);
        }
        self.forget_if_at_rest(&done.path);
    }

    fn enqueue(&mut self, path: &Arc<Path>, piece: Piece, state: &State) {
        let Some(followed) = self.files.get_mut(path) else {
            return;
        };
        if piece.lines.is_empty() {
            // The middle of a long line: kept with what goes before it, if anything does.
            match followed.queue.back_mut() {
                Some(last) => last.state = state.clone(),
                // Of a file that begins nothing was shipped: it may be begun once more.
                None if followed.begins => {}
                None => self.lane.saved.put(path, state),
            }
            return;
        }
        let Some(place) = &followed.place else { return };
        let begun = std::mem::take(&mut followed.begins).then(|| state.at_the_begin_of(&piece));
        let bytes = piece.lines.iter().map(|line| line.text.len() + 64).sum();
        let batch = LogBatch {
            v: LOG_VERSION,
            agent: self.lane.agent,
            host: self.lane.host.clone(),
            producer: place.producer.as_deref().map(str::to_owned),
            project_token: place.token,
            file: place.file.clone(),
            generation: piece.generation,
            skipped: piece.skipped,
            from: piece.from,
            to: piece.to,
            observed_at: Timestamp::from_system_time(SystemTime::now()),
            lines: piece.lines,
        };
        followed.queued_bytes += bytes;
        self.queued_bytes += bytes;
        let state = state.clone();
        followed.queue.push_back(Queued {
            batch,
            state,
            begun,
            bytes,
        });
    }

    /// Sends what may be sent; answers when the next may.
    fn start_sends(&mut self, now: Instant) -> Option<Instant> {
        if !self.lane.link.borrow().up {
            return None;
        }
        let mut wake = None;
        for (path, followed) in &mut self.files {
            let Some(next) = followed.queue.front() else {
                continue;
            };
            if followed.sending {
                continue;
            }
            if let Some(at) = followed.send_not_before.filter(|at| *at > now) {
                wake = earlier(wake, Some(at));
                continue;
            }
            if self.sends.len() >= MAX_SENDS {
                break;
            }
            let Ok(payload) = serde_json::to_vec(&next.batch) else {
                continue;
            };
            followed.sending = true;
            if let Some(begun) = &next.begun {
                self.lane.saved.put(path, begun);
            }
            let batch = &next.batch;
            let subject = subject::log(&batch.host, batch.project_token);
            let id = batch.message_id();
            let (context, path) = (self.context.clone(), Arc::clone(path));
            let sent = async move { (path, send(&context, subject, &id, payload).await) };
            self.sends.push(Box::pin(sent));
        }
        wake
    }

    async fn was_sent(&mut self, path: &Arc<Path>, sent: Sent) {
        let Some(followed) = self.files.get_mut(path) else {
            return;
        };
        followed.sending = false;
        match sent {
            Sent::Again(reason) => {
                followed.failures += 1;
                let pause = PAUSE_MIN * 2_u32.pow(followed.failures.min(8));
                followed.send_not_before = Some(Instant::now() + pause.min(PAUSE_MAX));
                if !std::mem::replace(&mut self.told_failure, true) {
                    tracing::warn!(
                        reason,
                        "failed to ship log lines; they are sent again, and state events are not held up"
                    );
                }
                return;
            }
            Sent::TooLarge => {
                tracing::warn!(path = %path.display(), "the broker takes no message this large: some log lines are left out");
            }
            Sent::Stored => {
                if std::mem::take(&mut self.told_failure) {
                    tracing::info!("log lines are shipped again");
                }
            }
        }
        followed.failures = 0;
        if let Some(done) = followed.queue.pop_front() {
            followed.queued_bytes -= done.bytes;
            self.queued_bytes -= done.bytes;
            let (saved, path) = (Arc::clone(&self.lane.saved), Arc::clone(path));
            // Not on the runtime: the disk may be slow.
            let put = tokio::task::spawn_blocking(move || saved.put(&path, &done.state));
            let _ = put.await;
        }
        self.forget_if_at_rest(path);
    }

    /// What is kept of a log at rest is in the database.
    fn forget_if_at_rest(&mut self, path: &Arc<Path>) {
        let now = Instant::now();
        if self.files.get(path).is_some_and(|f| f.is_at_rest(now)) {
            self.files.remove(path);
        }
    }
}

/// What a blocking thread holds at once.
const _: () = assert!(PIECE * MAX_READS <= 1024 * 1024);
