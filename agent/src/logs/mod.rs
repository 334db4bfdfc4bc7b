//! Log lines: the ends of files that producers write for people, shipped line
//! by line in a lane of their own, so that no flood of lines is ever in the
//! way of a state event: not the outbox, not its lock, not its stream.
//!
//! The file itself is the queue: what the broker has not acknowledged is read
//! again after a restart, from a saved position (`saved`). `tail` reads and
//! cuts, `lane` decides when and sends.
//!
//! A line is known by (agent, project, file, generation, offset), so that what
//! is read twice is stored once. A gap between offsets is what was skipped,
//! because the log grew too fast or was too far behind, or what the stream
//! dropped: counted in bytes, because nobody read its lines. A file moved aside
//! is found by its inode and read to its end. Lost is the end of a log that is
//! cut off or deleted before it was read.

mod followed;
mod lane;
mod saved;
mod tail;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::ProjectToken;
use tokio::sync::Notify;

pub(crate) use followed::{ACK_TIMEOUT, Sent, send};
pub(crate) use lane::{Lane, run};
pub(crate) use saved::Saved;

/// Files that may have grown and were not looked at yet. Beyond it one is looked at when it grows again.
const MAX_WAITING: usize = 4_096;

/// A file whose lines are shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The watched root that it is in.
    pub(crate) root: PathBuf,
    /// Where it is beneath that.
    pub(crate) relative: PathBuf,
    /// Whose build it belongs to; none: whichever is the newest in the project.
    pub(crate) producer: Option<Arc<str>>,
    /// As in `Event::project_token`.
    pub(crate) token: ProjectToken,
    /// As in `Event::file`.
    pub(crate) file: String,
    /// A file that must be beside it.
    pub(crate) beside: Option<String>,
    /// It was there before the agent first looked.
    pub(crate) found: bool,
}

/// Where the watching thread says which logs may have grown. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs(Option<Arc<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    touched: Mutex<BTreeMap<Arc<Path>, Place>>,
    news: Notify,
}

impl Logs {
    /// Nobody listens: lines may not leave this host.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// Somebody does.
    pub(crate) fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether anybody listens.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The file may have grown, begun, ended or moved.
    pub(crate) fn touch(&self, path: &Path, place: impl FnOnce() -> Place) {
        let Some(shared) = &self.0 else { return };
        let mut touched = shared.lock();
        if touched.contains_key(path) {
            return;
        }
        if touched.len() >= MAX_WAITING {
            tracing::warn!(path = %path.display(), "too many logs grow at once: this one waits until it grows again");
            return;
        }
        touched.insert(path.into(), place());
        drop(touched);
        shared.news.notify_one();
    }

    fn take(&self) -> BTreeMap<Arc<Path>, Place> {
        match &self.0 {
            Some(shared) => std::mem::take(&mut *shared.lock()),
            None => BTreeMap::new(),
        }
    }

    async fn news(&self) {
        match &self.0 {
            Some(shared) => shared.news.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<Path>, Place>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
