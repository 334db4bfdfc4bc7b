//! The short way: what this replica committed itself reaches its own readers
//! at once. The broker carries the same frames to every replica, this one
//! included, where they are old by then; should one be dropped here, that copy counts.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Frames that wait here: those of a few batches. More only wait while this
/// replica reads Postgres, which makes them old.
const CAPACITY: usize = 1_024;

/// Where the leader puts its frames.
#[derive(Debug, Clone)]
pub(crate) struct OwnFrames(mpsc::Sender<Bytes>);

/// Both ends.
pub(crate) fn own_frames() -> (OwnFrames, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (OwnFrames(sender), receiver)
}

impl OwnFrames {
    /// Hands frames on; those without room are left to the broker.
    pub(crate) async fn put_all(&self, frames: impl Iterator<Item = &Bytes>) {
        for frame in frames {
            let _ = self.0.try_send(frame.clone());
        }
        // The browsers first: publishing and acknowledging can wait for that moment.
        tokio::task::yield_now().await;
    }
}
