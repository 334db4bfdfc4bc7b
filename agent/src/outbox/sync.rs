//! The group sync: within a tenth of a second of a write it is on the disk,
//! however many writes that was, and nobody else waits for the disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

/// Writes of this time share a sync. A crash of the machine loses at most so
/// much, and the files themselves are still there to be read again.
const GROUP: Duration = Duration::from_millis(100);
/// The write-ahead file is merged into the database above this size, bytes.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

/// The thread that syncs; ends, after a last sync, when this is dropped.
#[derive(Debug)]
pub(crate) struct Syncer {
    dirty: Arc<AtomicBool>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread for a database.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(database: PathBuf) -> io::Result<Self> {
        let dirty = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let flag = Arc::clone(&dirty);
        let thread = std::thread::Builder::new()
            .name("phaseline-sync".into())
            .spawn(move || sync_until_dropped(&database, &flag, &woken))?;
        Ok(Self {
            dirty,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Something was written.
    pub(crate) fn written(&self) {
        if !self.dirty.swap(true, Ordering::SeqCst)
            && let Some(wake) = &self.wake
        {
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn sync_until_dropped(database: &Path, dirty: &AtomicBool, woken: &Receiver<()>) {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    let wal = PathBuf::from(wal);
    while woken.recv().is_ok() {
        // Ends early only when the sender is gone.
        let _ = woken.recv_timeout(GROUP);
        dirty.store(false, Ordering::SeqCst);
        if let Err(error) = sync(database, &wal) {
            tracing::warn!(path = %wal.display(), %error, "failed to sync the outbox to the disk");
        }
    }
}

fn sync(database: &Path, wal: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let file = match File::open(wal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    file.sync_data()?;
    if file.metadata()?.len() > CHECKPOINT_BYTES {
        let db = Connection::open(database)?;
        db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    }
    Ok(())
}
