//! Whether a writer holds its log open. The kernel closes the file with the
//! process, however that ends, and tells of the closing; so the end of a program
//! is seen without asking the system what runs.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Tracked;
use crate::beneath::{Beneath, ReadError, Reading};
use crate::producer::{Source, reading};
use crate::schedule::Cause;

/// Written to and not closed for this time: its writer holds it open. Who opens a file for one line closes it at once.
const HELD_AFTER: Duration = Duration::from_secs(1);

/// What is known of a file's writer; nothing before it was seen to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Writer {
    /// When it wrote first since it was seen to close the file.
    since: Option<Instant>,
    held: Option<bool>,
}

impl Writer {
    /// Something happened to the file.
    pub(super) fn on(&mut self, cause: Cause, now: Instant) {
        match cause {
            Cause::Touched => {
                self.since.get_or_insert(now);
            }
            Cause::Settled => {
                self.since = None;
                self.held = self.held.map(|_| false);
            }
            // Of another file of that name nothing is known.
            Cause::Deleted | Cause::MovedAway => *self = Self::default(),
        }
    }

    /// Whether it is held open now; else when to look again, if that may be.
    fn look(&mut self, now: Instant) -> Option<Instant> {
        let held_from = self.since? + HELD_AFTER;
        if now >= held_from {
            self.held = Some(true);
            return None;
        }
        (self.held != Some(true)).then_some(held_from)
    }
}

impl Tracked {
    /// Reads a log that is held open by its writer.
    pub(super) fn read_held(
        &mut self,
        source: &Source,
        beneath: &Beneath,
        relative: &Path,
        now: Instant,
    ) -> Result<Option<Reading>, ReadError> {
        if let Some(again) = self.writer.look(now) {
            self.schedule.again_at(again);
        }
        let Some(reading) = source.read(beneath, relative)? else {
            return Ok(None);
        };
        if self.writer == Writer::default() && self.was_left_closed(source, &reading) {
            self.writer.held = Some(false);
        }
        Ok(Some(match self.writer.held {
            Some(held) => reading::held(reading.meta, held),
            None => reading,
        }))
    }

    /// It was told as closed before this agent began, and nobody has written to it since.
    fn was_left_closed(&self, source: &Source, reading: &Reading) -> bool {
        let (Some(known), meta) = (&self.known, reading.meta) else {
            return false;
        };
        let closed = || source.document(&reading::held(meta, false).bytes);
        known.mtime_ns == meta.mtime_ns
            && closed().is_ok_and(|closed| Some(closed.hash) == known.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_and_not_closed_for_a_second_is_held() {
        let (start, mut writer) = (Instant::now(), Writer::default());
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(writer.look(start), None);
        // One that opens the file for each line.
        for line in 0..3 {
            writer.on(Cause::Touched, after(line * 600));
            writer.on(Cause::Settled, after(line * 600 + 1));
        }
        assert_eq!((writer.look(after(3_000)), writer.held), (None, None));
        writer.on(Cause::Touched, after(4_000));
        writer.on(Cause::Touched, after(4_500));
        assert_eq!(writer.look(after(4_600)), Some(after(5_000)));
        assert_eq!((writer.look(after(5_000)), writer.held), (None, Some(true)));
        writer.on(Cause::Settled, after(9_000));
        assert_eq!(
            (writer.look(after(9_000)), writer.held),
            (None, Some(false))
        );
        // The next script appends to it.
        writer.on(Cause::Touched, after(9_100));
        assert_eq!(writer.look(after(9_200)), Some(after(10_100)));
        writer.on(Cause::Deleted, after(9_300));
        assert_eq!((writer.look(after(20_000)), writer.held), (None, None));
    }
}
