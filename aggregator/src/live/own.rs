//! The way from this replica's writer to its own hub: what was committed here is
//! shown here without a round over NATS. The same frames go out on NATS for all
//! other replicas; here they come second and are known already.

use tokio::sync::mpsc;

use super::incoming::Incoming;

/// Commits that may wait while the hub reads Postgres. Frames of more come by NATS alone.
const WAITING: usize = 64;

/// Opens the way.
pub(crate) fn own_frames() -> (OwnFrames, OwnReader) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (OwnFrames(sender), OwnReader(receiver))
}

/// The writer's end.
#[derive(Clone)]
pub(crate) struct OwnFrames(mpsc::Sender<Vec<Incoming>>);

impl OwnFrames {
    /// Hands over the frames of a commit. Never waits: a change must not be held up by who looks at it.
    pub(crate) fn hand(&self, frames: Vec<Incoming>) {
        let _ = self.0.try_send(frames);
    }
}

/// The hub's end.
pub(crate) struct OwnReader(mpsc::Receiver<Vec<Incoming>>);

impl OwnReader {
    /// The frames of the next commit; waits for ever when there is no writer any more.
    pub(super) async fn next(&mut self) -> Vec<Incoming> {
        match self.0.recv().await {
            Some(frames) => frames,
            None => std::future::pending().await,
        }
    }
}
