//! What the broker has not acknowledged, on disk: an event is here before it
//! is published and leaves after the acknowledgement, over restarts and
//! `kill -9`. Shared by the thread that watches and the task that publishes.

mod store;
mod sync;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use protocol::presence::OutboxStatus;
use protocol::{AgentId, Event, Timestamp};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::board::Board;
use crate::change::Known;
use crate::mailbox::{Flag, Mailbox};

pub(crate) use store::Row;
use store::{Store, StoreError};
use sync::Syncer;

/// Why the outbox could not do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboxError {
    /// It was damaged, set aside and begun anew; what was known is forgotten.
    #[error("the outbox was damaged and was begun anew")]
    Anew,
    /// It could not be read or written.
    #[error("failed to use the outbox {0}: {1}")]
    Failed(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Who speaks: in each event and presence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// Random, of the state directory.
    pub(crate) agent: AgentId,
    /// Of this start.
    pub(crate) boot: Uuid,
}

/// The outbox of one agent.
#[derive(Debug)]
pub(crate) struct Outbox {
    path: PathBuf,
    identity: Identity,
    max_bytes: u64,
    inner: Mutex<Inner>,
    syncer: Syncer,
    added: Notify,
    mailbox: Mailbox,
    board: Arc<Board>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    next_seq: u64,
    overflowed: bool,
    coalesced: bool,
}

impl Outbox {
    /// Opens the outbox in this directory, or begins one. A damaged one is set aside.
    ///
    /// # Errors
    /// When it can neither be opened nor begun.
    pub(crate) fn open(
        dir: &Path,
        agent: AgentId,
        max_bytes: u64,
        mailbox: Mailbox,
        board: Arc<Board>,
    ) -> Result<Self, OutboxError> {
        let path = dir.join("outbox.db");
        let failed = |error: StoreError| OutboxError::Failed(path.clone(), error.into());
        let begin = || {
            let mut store = Store::open(&path)?;
            let boot = store.begin_boot()?;
            Ok((store, boot))
        };
        let (store, boot) = match begin() {
            Err(error) if StoreError::is_corruption(&error) => {
                set_aside(&path, &error, &board);
                begin().map_err(failed)?
            }
            result => result.map_err(failed)?,
        };
        let syncer = Syncer::start(path.clone())
            .map_err(|error| OutboxError::Failed(path.clone(), error.into()))?;
        Ok(Self {
            identity: Identity { agent, boot },
            max_bytes,
            inner: Mutex::new(Inner {
                store,
                next_seq: 1,
                overflowed: false,
                coalesced: false,
            }),
            syncer,
            added: Notify::new(),
            mailbox,
            board,
            path,
        })
    }

    /// Who speaks.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// What is known of every state file.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn files(&self) -> Result<Vec<(PathBuf, Known)>, OutboxError> {
        self.with(|inner| inner.store.files(now_ms()))
    }

    /// Gives an event its identity and writes it, with what is now known of
    /// its file. `known.event` is set to its position.
    ///
    /// # Errors
    /// See [`OutboxError`]; then nothing was written.
    pub(crate) fn record(
        &self,
        event: &mut Event,
        path: &Path,
        known: &mut Known,
    ) -> Result<(), OutboxError> {
        let max_bytes = self.max_bytes;
        let identity = self.identity;
        self.with(|inner| {
            let full = inner.store.bytes >= max_bytes;
            if full && !inner.coalesced {
                tracing::warn!(
                    outbox.bytes = inner.store.bytes,
                    outbox.max_bytes = max_bytes,
                    "outbox is full: only the newest state of each file is kept"
                );
                inner.overflowed = true;
                inner.coalesced = true;
                inner.store.coalesce_all()?;
            } else if inner.store.bytes < max_bytes / 2 {
                inner.coalesced = false;
            }
            event.agent = identity.agent;
            event.boot = identity.boot;
            event.seq = inner.next_seq;
            inner.store.record(event, path, known, full)?;
            inner.next_seq += 1;
            Ok(())
        })?;
        self.syncer.written();
        self.added.notify_one();
        Ok(())
    }

    /// Remembers a file that was rewritten without a change.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn remember(&self, path: &Path, known: &Known) -> Result<(), OutboxError> {
        self.with(|inner| inner.store.remember(path, known, now_ms()))
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
        self.with(|inner| inner.store.load(after, max, bytes))
    }

    /// Drops events that the broker has acknowledged.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn acknowledge(&self, ids: &[i64]) -> Result<(), OutboxError> {
        self.with(|inner| inner.store.acknowledge(ids))
    }

    /// Puts another payload in the place of an event's.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub(crate) fn replace(&self, row: &Row) -> Result<(), OutboxError> {
        self.with(|inner| inner.store.replace(row))
    }

    /// Waits until an event was added.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// What waits.
    pub(crate) fn status(&self) -> OutboxStatus {
        let inner = self.lock();
        OutboxStatus {
            events: inner.store.events,
            bytes: inner.store.bytes,
            max_bytes: self.max_bytes,
            overflowed: inner.overflowed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut Inner) -> Result<T, StoreError>,
    ) -> Result<T, OutboxError> {
        let mut inner = self.lock();
        work(&mut inner).map_err(|error| {
            if error.is_corruption() {
                self.begin_anew(&mut inner, &error)
            } else {
                OutboxError::Failed(self.path.clone(), error.into())
            }
        })
    }

    /// Sets a damaged database aside and goes on with an empty one, in which
    /// the watching thread will put everything that it finds.
    fn begin_anew(&self, inner: &mut Inner, cause: &StoreError) -> OutboxError {
        // Closed first: SQLite removes the files at these names when it closes them.
        if let Err(error) = inner.store.close() {
            return OutboxError::Failed(self.path.clone(), error.into());
        }
        set_aside(&self.path, cause, &self.board);
        let anew = Store::open(&self.path).and_then(|mut store| {
            store.begin_boot()?;
            Ok(store)
        });
        match anew {
            Ok(store) => {
                inner.store = store;
                self.mailbox.raise(Flag::Anew);
                OutboxError::Anew
            }
            Err(error) => OutboxError::Failed(self.path.clone(), error.into()),
        }
    }
}

/// Renames a damaged database, so that a person can look at it.
fn set_aside(path: &Path, cause: &StoreError, board: &Board) {
    let name = format!("outbox.corrupt-{}", now_ms() / 1_000);
    let aside = path.with_file_name(&name);
    for ending in ["", "-wal", "-shm"] {
        let with = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        if let Err(error) = std::fs::rename(with(path), with(&aside))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(path = %path.display(), %error, "failed to set the damaged outbox aside");
        }
    }
    tracing::error!(path = %aside.display(), error = %cause, "outbox was damaged and is set aside; events that were not sent are in it");
    board.alarm(format!(
        "the outbox was damaged and is set aside as {name}; events that were not sent are lost"
    ));
}

fn now_ms() -> i64 {
    Timestamp::from_system_time(SystemTime::now()).as_millis()
}

#[cfg(test)]
mod tests;
