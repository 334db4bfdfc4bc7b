//! When a file is read: at once on close-write and rename, once more after a
//! burst, again while it cannot be parsed, and a last time before it is called
//! gone. Pure: the clock comes in with each call, and nobody sleeps here.

use std::time::{Duration, Instant};

/// A file is read at most once in this time, so that a writer faster than ten
/// times a second is coalesced to its newest state.
pub(crate) const WINDOW: Duration = Duration::from_millis(100);

/// The same for a file that grows: its result is to be on the page within 100 ms.
const GROWTH_WINDOW: Duration = Duration::from_millis(40);

/// The same for a file that was met half-written.
const HALF_WINDOW: Duration = Duration::from_millis(10);

/// Pauses before each new try on a file that cannot be parsed: `cat > file`
/// is seen empty or half for a few milliseconds, on a busy disk for longer.
pub(crate) const RETRIES: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(800),
];

/// A file that is rewritten all the time is met half-written again and again;
/// after this it is called broken nevertheless.
pub(crate) const REWRITTEN_FOR: Duration = Duration::from_secs(60);

/// A file must be away this long before it is called removed: editors move the
/// old file aside and write a new one.
pub(crate) const GONE_AFTER: Duration = Duration::from_millis(500);

/// What is known to have happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A writer closed it, or it was renamed into place: its content is whole.
    Settled,
    /// Created, written to or its attributes changed: the writer may not be done.
    Touched,
    /// It, or a directory above it, was deleted.
    Deleted,
    /// It, or a directory above it, was moved away.
    MovedAway,
}

/// What to do about a content that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A new try is scheduled.
    Wait,
    /// All tries are used up.
    GiveUp,
}

/// The times at which one file is read next.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    last_read: Option<Instant>,
    trailing: Option<Instant>,
    retry: Option<Instant>,
    tries: usize,
    failing: Option<Failing>,
    gone: Option<Instant>,
}

/// A content that cannot be used.
#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Instant,
    written_at: i64,
}

impl Schedule {
    /// Something happened to the file. True: read it now.
    pub(crate) fn on(&mut self, cause: Cause, now: Instant) -> bool {
        match cause {
            Cause::Settled => {
                // Met half-written, it is whole now: the next moment is as good as any.
                let window = match self.failing {
                    Some(_) => HALF_WINDOW,
                    None => WINDOW,
                };
                match self.last_read {
                    Some(last) if now < last + window => {
                        self.trailing = Some(last + window);
                        false
                    }
                    _ => true,
                }
            }
            Cause::Touched => {
                self.trailing.get_or_insert(now + WINDOW);
                false
            }
            Cause::Deleted | Cause::MovedAway => {
                self.gone.get_or_insert(now + GONE_AFTER);
                false
            }
        }
    }

    /// A file that grows was written to: its whole lines count at once. True: read it now.
    pub(crate) fn grew(&mut self, now: Instant) -> bool {
        match self.last_read {
            Some(last) if now < last + GROWTH_WINDOW => {
                self.again_at(last + GROWTH_WINDOW);
                false
            }
            _ => true,
        }
    }

    /// Read it again at this time at the latest.
    pub(crate) fn again_at(&mut self, at: Instant) {
        self.trailing = Some(self.trailing.map_or(at, |earlier| earlier.min(at)));
    }

    /// The file is being read now: that is what the trailing read was for.
    pub(crate) fn reading(&mut self, now: Instant) {
        self.last_read = Some(now);
        self.trailing = None;
        if self.retry.is_some_and(|at| at <= now) {
            self.retry = None;
        }
    }

    /// The content was good: no more tries are due.
    pub(crate) fn settled(&mut self) {
        self.retry = None;
        self.tries = 0;
        self.failing = None;
        self.gone = None;
    }

    /// The content was not good and may be better soon. A try that is already
    /// scheduled stands, so that a fast writer does not use them all up; and
    /// while the file is being written (`written_at`, its time, moves) the
    /// tries begin anew.
    pub(crate) fn failed(&mut self, now: Instant, written_at: i64) -> Patience {
        self.gone = None;
        let failing = *self.failing.get_or_insert(Failing {
            since: now,
            written_at,
        });
        if failing.written_at != written_at && now < failing.since + REWRITTEN_FOR {
            self.tries = 0;
            self.failing = Some(Failing {
                written_at,
                ..failing
            });
        }
        if self.retry.is_some() {
            return Patience::Wait;
        }
        match RETRIES.get(self.tries) {
            Some(pause) => {
                self.tries += 1;
                self.retry = Some(now + *pause);
                Patience::Wait
            }
            None => {
                self.tries = 0;
                self.failing = None;
                Patience::GiveUp
            }
        }
    }

    /// The file was not there. True: it has been away long enough.
    pub(crate) fn missing(&mut self, now: Instant) -> bool {
        self.retry = None;
        self.tries = 0;
        self.failing = None;
        let at = *self.gone.get_or_insert(now + GONE_AFTER);
        if at <= now {
            self.gone = None;
        }
        at <= now
    }

    /// The next time at which the file is to be read; none when nothing is armed.
    pub(crate) fn due(&self) -> Option<Instant> {
        [self.trailing, self.retry, self.gone]
            .into_iter()
            .flatten()
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_lone_write_is_read_at_once_and_never_again() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        assert!(!schedule.on(Cause::Touched, start));
        assert!(schedule.on(Cause::Settled, start + MS));
        schedule.reading(start + MS);
        schedule.settled();
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn a_fast_writer_is_read_first_and_last() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        assert!(schedule.on(Cause::Settled, start));
        schedule.reading(start);
        for i in 1..50 {
            assert!(!schedule.on(Cause::Settled, start + i * MS));
        }
        assert_eq!(schedule.due(), Some(start + WINDOW));
        schedule.reading(start + WINDOW);
        assert_eq!(schedule.due(), None);
        assert!(schedule.on(Cause::Settled, start + 2 * WINDOW));
    }

    #[test]
    fn a_file_met_half_written_is_read_when_its_writer_is_done() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.reading(start);
        schedule.failed(start, 1);
        assert!(!schedule.on(Cause::Settled, start + MS));
        assert_eq!(schedule.due(), Some(start + HALF_WINDOW));
        assert!(schedule.on(Cause::Settled, start + HALF_WINDOW));
    }

    #[test]
    fn a_writer_that_never_closes_is_read_every_window() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        for i in 0..99 {
            assert!(!schedule.on(Cause::Touched, start + i * MS));
        }
        assert_eq!(schedule.due(), Some(start + WINDOW));
    }

    #[test]
    fn a_broken_file_is_tried_three_times_however_often_it_is_written() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        schedule.reading(now);
        for pause in RETRIES {
            assert_eq!(schedule.failed(now, 1), Patience::Wait);
            assert_eq!(
                schedule.failed(now + MS, 1),
                Patience::Wait,
                "a hint in between"
            );
            now += pause;
            assert_eq!(schedule.due(), Some(now));
            schedule.reading(now);
        }
        assert_eq!(schedule.failed(now, 1), Patience::GiveUp);
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn a_file_that_is_being_written_is_not_broken_for_a_while() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let (mut now, mut written_at) = (start, 0);
        while schedule.failed(now, written_at) == Patience::Wait {
            now = schedule.due().unwrap();
            written_at += 1;
            schedule.reading(now);
        }
        assert!(now >= start + REWRITTEN_FOR);
        assert!(now < start + 2 * REWRITTEN_FOR);
    }

    #[test]
    fn a_file_is_gone_only_after_a_moment() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        assert!(!schedule.on(Cause::Deleted, start));
        assert!(!schedule.missing(start + MS));
        assert_eq!(schedule.due(), Some(start + GONE_AFTER));
        assert!(schedule.missing(start + GONE_AFTER));
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn a_file_that_comes_back_is_not_gone() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.on(Cause::MovedAway, start);
        assert!(schedule.on(Cause::Settled, start + MS));
        schedule.reading(start + MS);
        schedule.settled();
        assert_eq!(schedule.due(), None);
    }
}
