//! What the broker has not acknowledged, on disk: an event is here before it
//! is published and leaves after the acknowledgement, over restarts and
//! `kill -9`. The thread that watches queues what it found and reads on; the
//! task that publishes writes it. Where the disk fails, or has no room, the
//! thread that watches writes for itself and learns what was refused.

mod aside;
mod call;
mod inner;
mod queue;
mod refusals;
mod store;
mod sync;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use protocol::presence::OutboxStatus;
use protocol::{AgentId, Timestamp};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::board::{Board, Trouble};
use crate::change::Known;
use crate::mailbox::{Flag, Mailbox};

use inner::{Inner, Work};
use queue::Queue;
pub(crate) use store::Row;
use store::{Store, StoreError};
use sync::Syncer;

/// Why the outbox could not do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboxError {
    /// What was known is not any more what is in it: it was damaged and begun
    /// anew, or could be opened only now. The watching thread was told.
    #[error("the outbox is another than before")]
    Anew,
    /// It could not be read or written.
    #[error("failed to use the outbox {0}: {1}")]
    Failed(PathBuf, StoreError),
}

/// Who speaks: in each event and presence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// Random, of the state directory.
    pub(crate) agent: AgentId,
    /// Of this start.
    pub(crate) boot: Uuid,
}

/// Longer work on the outbox is told: a content may come and go meanwhile.
const SLOW: Duration = Duration::from_millis(100);

/// The outbox of one agent.
#[derive(Debug)]
pub(crate) struct Outbox {
    path: PathBuf,
    agent: AgentId,
    max_bytes: u64,
    inner: Mutex<Inner>,
    /// Taken only by who holds `inner`.
    queue: Queue,
    /// Something could not be written: nothing is queued until all of it is.
    careful: AtomicBool,
    syncer: Syncer,
    added: Notify,
    mailbox: Mailbox,
    board: Arc<Board>,
}

impl Outbox {
    /// Opens the outbox in this directory, or begins one. A damaged one is set
    /// aside. Where the disk is full it is opened later. `expected`: there was
    /// one before, so that it is worth an alarm when there is none.
    ///
    /// # Errors
    /// When it can neither be opened nor begun, now or later.
    pub(crate) fn open(
        dir: &Path,
        agent: AgentId,
        expected: bool,
        max_bytes: u64,
        mailbox: Mailbox,
        board: Arc<Board>,
    ) -> Result<Self, OutboxError> {
        let path = dir.join("outbox.db");
        let syncer = Syncer::start(path.clone())
            .map_err(|error| OutboxError::Failed(path.clone(), error.into()))?;
        let outbox = Self {
            agent,
            max_bytes,
            inner: Mutex::new(Inner::new()),
            queue: Queue::default(),
            careful: AtomicBool::new(false),
            syncer,
            added: Notify::new(),
            mailbox,
            board,
            path,
        };
        let opened = outbox.attach(&mut outbox.lock(), expected);
        match opened {
            Err(error) if error.may_pass() => {
                outbox.fails(&mut outbox.lock(), Work::Read, error);
                Ok(outbox)
            }
            Err(error) => Err(OutboxError::Failed(outbox.path.clone(), error)),
            Ok(()) => Ok(outbox),
        }
    }

    /// Who speaks.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            agent: self.agent,
            boot: self.lock().boot,
        }
    }

    /// What is known of every state file, with everything that was queued.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn files(&self) -> Result<Vec<(PathBuf, Known)>, OutboxError> {
        // What it could not write is not known, and the watching thread was told.
        let _ = self.write();
        self.with(Work::Read, |inner| inner.store()?.files(now_ms()))
    }

    /// What was kept of a growing file.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn grown(&self, path: &Path) -> Result<Option<String>, OutboxError> {
        self.write()?;
        self.with(Work::Read, |inner| inner.store()?.grown(path))
    }

    /// Events after this position, oldest first, until `bytes` are reached.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn load(
        &self,
        after: i64,
        max: usize,
        bytes: usize,
    ) -> Result<Vec<Row>, OutboxError> {
        self.with(Work::Read, |inner| {
            let rows = inner.store()?.load(after, max, bytes)?;
            let newest = rows.last().map_or(0, |row| row.id);
            inner.last_id = inner.last_id.max(newest);
            Ok(rows)
        })
    }

    /// Drops events that the broker has acknowledged. Those that cannot be
    /// dropped now are dropped later, or sent once more after a restart.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn acknowledge(&self, ids: &[i64]) -> Result<(), OutboxError> {
        self.with(Work::Other, |inner| {
            inner.acknowledged.extend_from_slice(ids);
            inner.drop_acknowledged()?;
            if std::mem::take(&mut inner.refused) {
                self.mailbox.raise(Flag::Room);
            }
            Ok(())
        })
    }

    /// Some are acknowledged and could not be dropped.
    pub(crate) fn must_drop(&self) -> bool {
        !self.lock().acknowledged.is_empty()
    }

    /// Notes which stream takes the events. When it is another than before,
    /// everything is sent once more: nobody knows what the last one kept.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn stream_is(&self, stream: &str) -> Result<(), OutboxError> {
        let another = self.with(Work::Record, |inner| inner.store()?.stream_is(stream))?;
        if another {
            tracing::warn!(
                stream,
                "the stream was begun anew: every state is sent once more"
            );
            self.mailbox.raise(Flag::Anew);
        }
        Ok(())
    }

    /// Puts another payload in the place of an event's.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn replace(&self, row: &Row) -> Result<(), OutboxError> {
        self.with(Work::Other, |inner| inner.store()?.replace(row))
    }

    /// Waits until an event was added.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// What waits.
    pub(crate) fn status(&self) -> OutboxStatus {
        let inner = self.lock();
        let (events, bytes) = match &inner.store {
            Some(store) => (store.events, store.bytes),
            None => (0, 0),
        };
        OutboxStatus {
            events,
            bytes,
            max_bytes: self.max_bytes,
            overflowed: inner.overflowed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        what: Work,
        work: impl FnOnce(&mut Inner) -> Result<T, StoreError>,
    ) -> Result<T, OutboxError> {
        let asked = Instant::now();
        let mut inner = self.lock();
        if inner.store.is_none() {
            self.reattach(&mut inner)?;
            return Err(OutboxError::Anew);
        }
        let waited = asked.elapsed();
        let done = work(&mut inner);
        if std::mem::take(&mut inner.undone) {
            self.mailbox.raise(Flag::Anew);
        }
        let took = asked.elapsed();
        if took > SLOW {
            tracing::warn!(
                ?what,
                waited_ms = waited.as_millis(),
                took_ms = took.as_millis(),
                "the outbox's disk is slow: states that stood only that long may go unseen"
            );
        }
        match done {
            Ok(done) => {
                self.works(&mut inner, what);
                Ok(done)
            }
            Err(error) if error.is_damage() => {
                // Closed first: SQLite removes the files at these names when it closes them.
                inner.store = None;
                aside::set_aside(&self.path, &error, &self.board);
                self.reattach(&mut inner)?;
                Err(OutboxError::Anew)
            }
            Err(error) => Err(self.fails(&mut inner, what, error)),
        }
    }

    /// Opens what is there, or an empty one in the place of what is damaged.
    fn attach(&self, inner: &mut Inner, expected: bool) -> Result<(), StoreError> {
        let open = || Store::open(&self.path, self.max_bytes, inner.last_id, inner.boot);
        let (store, boot) = match open() {
            Err(error) if error.is_damage() => {
                aside::set_aside(&self.path, &error, &self.board);
                open()?
            }
            result => {
                let (store, boot) = result?;
                if store.begun && expected {
                    aside::missed(&self.path, &self.board);
                }
                (store, boot)
            }
        };
        if let Some(reason) = &store.shortened {
            aside::shortened(&self.path, reason, &self.board);
        }
        inner.refusals.recall(store.refused()?);
        inner.store = Some(store);
        inner.boot = boot;
        inner.acknowledged.clear();
        Ok(())
    }

    /// The same while the agent runs: the watching thread takes what is known from it.
    fn reattach(&self, inner: &mut Inner) -> Result<(), OutboxError> {
        match self.attach(inner, false) {
            Ok(()) => {
                self.works(inner, Work::Read);
                self.mailbox.raise(Flag::Anew);
                self.added.notify_one();
                Ok(())
            }
            Err(error) => Err(self.fails(inner, Work::Read, error)),
        }
    }

    /// Said once for an outage, not for each try.
    fn fails(&self, inner: &mut Inner, what: Work, error: StoreError) -> OutboxError {
        inner.refused |= what == Work::Record && error.is_full();
        self.careful.store(true, Ordering::SeqCst);
        let error = OutboxError::Failed(self.path.clone(), error);
        if inner.failing.insert(what) {
            tracing::error!(%error, ?what, "the outbox fails; it is tried again until it works");
            let text = error.to_string();
            self.board.trouble(Trouble::Outbox, Some(&text));
        }
        error
    }

    fn works(&self, inner: &mut Inner, what: Work) {
        if inner.failing.remove(&what) && inner.failing.is_empty() {
            tracing::info!("the outbox works again");
            self.board.trouble(Trouble::Outbox, None);
        }
    }
}

fn now_ms() -> i64 {
    Timestamp::from_system_time(SystemTime::now()).as_millis()
}

#[cfg(test)]
mod tests;
