//! One log's lines that wait to be sent: bounded, the oldest give way. What is
//! dropped is a gap between offsets, which whoever stores the rest counts.

use std::collections::VecDeque;
use std::time::Instant;

use protocol::log::MAX_BATCH_LINES;
use protocol::{ContentHash, LogBatch};

use super::joined::{Joined, PIECE};
use super::pace::Paid;
use super::{Key, Logs};

/// What waits, bytes of text: the same as an agent holds of its log files.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// The same of one log, so that one does not take the room of all.
const LOG_QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// Frames that are known again: a runner that connects anew repeats its last few.
const MAX_KNOWN: usize = 512;
/// What goes on of one log per second in the long run: as of a log file.
const LOG_BYTES_PER_S: f64 = 1024.0 * 1024.0;
const LOG_LINES_PER_S: f64 = 10_000.0;
/// And of all logs together.
const BYTES_PER_S: f64 = 4.0 * 1024.0 * 1024.0;

/// A log.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) joined: Joined,
    pub(super) generation: u64,
    /// When it was last used, by the count of what came.
    pub(super) used: u64,
    known: VecDeque<ContentHash>,
    queue: VecDeque<LogBatch>,
    bytes: usize,
    paid: Paid,
    not_before: Option<Instant>,
    /// Something of it was taken from the queue: where it begins is known.
    is_begun: bool,
}

/// What may be sent.
pub(super) enum Next {
    Batch(Box<LogBatch>),
    /// Nothing before then.
    Later(Instant),
    Nothing,
}

impl Waiting {
    pub(super) fn new(generation: u64) -> Self {
        Self {
            joined: Joined::default(),
            generation,
            used: 0,
            known: VecDeque::new(),
            queue: VecDeque::new(),
            bytes: 0,
            paid: Paid::default(),
            not_before: None,
            is_begun: false,
        }
    }

    /// Remembers a frame; false when it is known.
    pub(super) fn meets(&mut self, identity: ContentHash) -> bool {
        if self.known.contains(&identity) {
            return false;
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(identity);
        true
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, batch: LogBatch) {
        self.bytes += size(&batch);
        if let Some(last) = self.queue.back_mut()
            && last.to == batch.from
            && last.lines.len() + batch.lines.len() <= MAX_BATCH_LINES
            && batch.to - last.from <= PIECE
        {
            last.to = batch.to;
            last.lines.extend(batch.lines);
        } else {
            self.queue.push_back(batch);
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(gone) = self.queue.pop_front() else {
            return false;
        };
        self.bytes -= size(&gone);
        true
    }

    fn pop(&mut self) -> Option<LogBatch> {
        let mut batch = self.queue.pop_front()?;
        self.bytes -= size(&batch);
        if !std::mem::replace(&mut self.is_begun, true) {
            // Of a log that nobody knows yet a gap at its beginning must be told.
            batch.skipped = batch.from;
        }
        Some(batch)
    }
}

impl Logs {
    pub(super) fn push(&mut self, key: &Key, batch: LogBatch) {
        let Some(log) = self.by_key.get_mut(key) else {
            return;
        };
        self.bytes -= log.bytes;
        log.push(batch);
        while log.bytes > LOG_QUEUE_BYTES && log.drop_oldest() {}
        self.bytes += log.bytes;
        while self.bytes > QUEUE_BYTES {
            let Some(longest) = self.by_key.values_mut().max_by_key(|log| log.bytes) else {
                return;
            };
            self.bytes -= longest.bytes;
            let dropped = longest.drop_oldest();
            self.bytes += longest.bytes;
            if !dropped {
                return;
            }
        }
    }

    /// In turn of each log; at no log's pace when `hurry`.
    pub(super) fn next(&mut self, now: Instant, hurry: bool) -> Next {
        let waits = |(_, log): &(&Key, &Waiting)| !log.queue.is_empty();
        let behind = self
            .by_key
            .iter()
            .filter(waits)
            .filter(|(key, _)| Some(*key) > self.last.as_ref());
        let around = self.by_key.iter().filter(waits);
        let mut later: Option<Instant> = None;
        let mut chosen = None;
        for (key, log) in behind.chain(around) {
            match log.not_before.filter(|at| *at > now && !hurry) {
                Some(at) => later = Some(later.map_or(at, |known| known.min(at))),
                None => {
                    chosen = Some(key.clone());
                    break;
                }
            }
        }
        let Some(key) = chosen else {
            return later.map_or(Next::Nothing, Next::Later);
        };
        let Some(log) = self.by_key.get_mut(&key) else {
            return Next::Nothing;
        };
        let Some(batch) = log.pop() else {
            return Next::Nothing;
        };
        self.bytes -= size(&batch);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch has some 64 KiB and 500 lines"
        )]
        let (bytes, lines) = ((batch.to - batch.from) as f64, batch.lines.len() as f64);
        let cost = (bytes / LOG_BYTES_PER_S).max(lines / LOG_LINES_PER_S);
        let own = log.paid.take(cost, now);
        let all = self.paid.take(bytes / BYTES_PER_S, now);
        log.not_before = Some(own.max(all));
        self.last = Some(key);
        Next::Batch(Box::new(batch))
    }
}

/// What a batch takes in memory, bytes.
fn size(batch: &LogBatch) -> usize {
    batch.lines.iter().map(|line| line.text.len() + 64).sum()
}
