//! Log lines of runners: what their `log-chunk` frames say, as lines of the
//! build's log, cleaned and masked like those of files. They wait here, in
//! bounded memory, for the stream of log lines; nothing of them is ever in the
//! way of a call. [`joined`] makes lines, [`waiting`] keeps them, [`ship`] sends.

mod joined;
mod pace;
mod ship;
mod waiting;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use protocol::log::LOG_VERSION;
use protocol::{AgentId, ContentHash, LogBatch, ProjectToken, Timestamp};
use tokio::sync::Notify;
use uuid::Uuid;

use joined::Piece;
pub use pace::Paid;
pub use ship::{Carried, Carrier};
use waiting::Waiting;

use crate::producers::openbuilder;

/// Logs that are put together at a time: two for each project of the most runners that may be connected, and
/// as many that were.
const MAX_LOGS: usize = 256;

/// What a runner's frame says of a program's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Some of it.
    Chunk(Chunk),
    /// The program is over: no more comes.
    Ended {
        /// The runner's `projectId`.
        project: String,
    },
}

/// Some output of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The runner's `projectId`.
    pub(crate) project: String,
    /// The log that it is of.
    pub(crate) file: &'static str,
    /// The same for a frame that is sent twice; none where it cannot be known.
    pub(crate) identity: Option<ContentHash>,
    pub(crate) text: String,
}

/// Host, project, file.
type Key = (String, ProjectToken, &'static str);

/// Lines of runners on their way to the stream of log lines.
#[derive(Debug)]
pub struct Lines {
    agent: AgentId,
    host: String,
    logs: Mutex<Logs>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Logs {
    by_key: BTreeMap<Key, Waiting>,
    /// Bytes that wait, of all logs.
    bytes: usize,
    /// All of them together may go on then.
    paid: Paid,
    /// Counts what came, so that the log that was used last is known.
    clock: u64,
    /// Whose turn it was.
    last: Option<Key>,
}

impl Lines {
    /// None yet. `agent` takes them, on `host` unless a runner names another one.
    #[must_use]
    pub fn new(agent: AgentId, host: &str) -> Self {
        Self {
            agent,
            host: host.to_owned(),
            logs: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Takes what a frame says; false when the same was taken before.
    pub(crate) fn take(&self, host: Option<&str>, output: &Output) -> bool {
        match output {
            Output::Chunk(chunk) => self.chunk(host, chunk),
            Output::Ended { project } => {
                self.end(host, project);
                true
            }
        }
    }

    fn chunk(&self, host: Option<&str>, chunk: &Chunk) -> bool {
        let key = self.key(host, &chunk.project, chunk.file);
        let mut logs = self.lock();
        logs.make_room(&key);
        logs.clock += 1;
        let now = logs.clock;
        let log = logs.by_key.entry(key.clone()).or_insert_with(|| {
            // Below 2^63, as Postgres counts.
            Waiting::new((Uuid::new_v4().as_u64_pair().0 >> 1).max(1))
        });
        log.used = now;
        if chunk.identity.is_some_and(|identity| !log.meets(identity)) {
            return false;
        }
        let pieces = log.joined.take(&chunk.text);
        self.keep(&mut logs, &key, pieces);
        true
    }

    /// No more comes of a project's programs, or who would send it is gone: half a line is one.
    pub(crate) fn end(&self, host: Option<&str>, project: &str) {
        let mut logs = self.lock();
        for file in openbuilder::LOGS {
            let key = self.key(host, project, file);
            let Some(log) = logs.by_key.get_mut(&key) else {
                continue;
            };
            let piece = log.joined.end();
            self.keep(&mut logs, &key, piece.into_iter().collect());
        }
    }

    fn keep(&self, logs: &mut Logs, key: &Key, pieces: Vec<Piece>) {
        for piece in pieces {
            let Some(log) = logs.by_key.get_mut(key) else {
                return;
            };
            let batch = self.batch(key, log.generation, piece);
            logs.push(key, batch);
            self.news.notify_one();
        }
    }

    fn batch(&self, (host, token, file): &Key, generation: u64, piece: Piece) -> LogBatch {
        LogBatch {
            v: LOG_VERSION,
            agent: self.agent,
            host: host.clone(),
            producer: Some(openbuilder::PRODUCER.to_owned()),
            project_token: *token,
            file: (*file).to_owned(),
            generation,
            skipped: 0,
            from: piece.from,
            to: piece.to,
            observed_at: Timestamp::from_system_time(SystemTime::now()),
            lines: piece.lines,
        }
    }

    fn key(&self, host: Option<&str>, project: &str, file: &'static str) -> Key {
        let token = ProjectToken::of(Path::new(&openbuilder::own_id(project)));
        (host.unwrap_or(&self.host).to_owned(), token, file)
    }

    fn lock(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Logs {
    /// The log that was not used for the longest gives way to a new one.
    fn make_room(&mut self, key: &Key) {
        if self.by_key.len() < MAX_LOGS || self.by_key.contains_key(key) {
            return;
        }
        let oldest = self.by_key.iter().min_by_key(|(_, log)| log.used);
        if let Some(oldest) = oldest.map(|(key, _)| key.clone())
            && let Some(gone) = self.by_key.remove(&oldest)
        {
            self.bytes -= gone.bytes();
        }
    }
}

#[cfg(test)]
mod tests;
