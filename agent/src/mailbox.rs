//! How others reach the watching thread: a bounded queue of hints, and flags
//! for what must never be lost. A full queue drops the hint and raises
//! [`Flag::Rescan`], so that one full walk finds what was dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use crate::hint::Hint;

/// Hints that wait, in 320 KiB of slots: half of what the kernel queues before
/// them by default (`fs.inotify.max_queued_events`).
const QUEUE: usize = 8_192;

/// What must never be lost; raising one twice is the same as once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Flag {
    /// Hints were lost: walk everything.
    Rescan = 1,
    /// The outbox knows other things than before: take them, and walk everything.
    Anew = 2,
    /// Check that the roots are what is being watched.
    Check = 4,
    /// End.
    Stop = 8,
    /// The outbox, which was full, has room again.
    Room = 16,
}

/// The sending side; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    // None wakes the receiver to look at the flags.
    queue: SyncSender<Option<Hint>>,
    flags: Arc<AtomicU8>,
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Receiver<Option<Hint>>,
    flags: Arc<AtomicU8>,
}

/// A mailbox and its inbox.
pub(crate) fn mailbox() -> (Mailbox, Inbox) {
    with_capacity(QUEUE)
}

fn with_capacity(capacity: usize) -> (Mailbox, Inbox) {
    let (sender, receiver) = sync_channel(capacity);
    let flags = Arc::new(AtomicU8::new(0));
    let inbox = Inbox {
        queue: receiver,
        flags: Arc::clone(&flags),
    };
    (
        Mailbox {
            queue: sender,
            flags,
        },
        inbox,
    )
}

impl Mailbox {
    /// Hands over a hint, never blocking.
    pub(crate) fn hint(&self, hint: Hint) {
        if self.queue.try_send(Some(hint)).is_err() {
            self.raise(Flag::Rescan);
        }
    }

    /// Raises a flag and wakes the receiver. Where the queue is full the
    /// receiver has yet to empty it and looks at the flags afterwards.
    pub(crate) fn raise(&self, flag: Flag) {
        self.flags.fetch_or(flag as u8, Ordering::SeqCst);
        let _ = self.queue.try_send(None);
    }
}

impl Inbox {
    /// Waits until something arrives or `until`, and takes at most `max`
    /// hints. False: nobody can send any more.
    pub(crate) fn wait(&self, until: Option<Instant>, max: usize, hints: &mut Vec<Hint>) -> bool {
        let first = match until {
            None => self
                .queue
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => {
                let pause = at.saturating_duration_since(Instant::now());
                match pause {
                    Duration::ZERO => self.queue.try_recv().map_err(|error| match error {
                        TryRecvError::Empty => RecvTimeoutError::Timeout,
                        TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                    }),
                    pause => self.queue.recv_timeout(pause),
                }
            }
        };
        match first {
            Ok(hint) => hints.extend(hint),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        while hints.len() < max {
            match self.queue.try_recv() {
                Ok(hint) => hints.extend(hint),
                Err(_) => break,
            }
        }
        true
    }

    /// Takes a flag down; true if it was raised.
    pub(crate) fn take(&self, flag: Flag) -> bool {
        let all = self.flags.load(Ordering::SeqCst);
        all & flag as u8 != 0 && {
            self.flags.fetch_and(!(flag as u8), Ordering::SeqCst);
            true
        }
    }

    /// Whether a flag is raised.
    pub(crate) fn is_raised(&self, flag: Flag) -> bool {
        self.flags.load(Ordering::SeqCst) & flag as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_asks_for_a_walk_and_loses_nothing_silently() {
        let (mailbox, inbox) = with_capacity(2);
        for i in 0..5 {
            mailbox.hint(Hint::Appeared(format!("/{i}").into()));
        }
        let mut hints = Vec::new();
        assert!(inbox.wait(None, 10, &mut hints));
        assert_eq!(hints.len(), 2);
        assert!(inbox.take(Flag::Rescan));
        assert!(!inbox.take(Flag::Rescan));
    }

    #[test]
    fn a_flag_wakes_a_waiting_receiver() {
        let (mailbox, inbox) = mailbox();
        let thread = std::thread::spawn(move || {
            let mut hints = Vec::new();
            while !inbox.is_raised(Flag::Stop) && inbox.wait(None, 1, &mut hints) {}
        });
        mailbox.raise(Flag::Check);
        mailbox.raise(Flag::Stop);
        thread.join().unwrap();
    }
}
