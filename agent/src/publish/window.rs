//! Which events are on their way. At most one of a project at a time, so that
//! one that failed and is sent again never overtakes a later one; after a
//! failure one event tries the way for all others. Pure: no I/O, no clock.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use crate::outbox::Row;

/// Acknowledgements outstanding at most: more gains nothing (measured: 256 reach the broker's full rate).
pub(crate) const IN_FLIGHT: usize = 256;
/// Events held in memory at most; the others wait on the disk.
pub(crate) const ROWS: usize = 1_024;
/// Their payloads together: reached by a handful of the largest, never by usual ones.
pub(crate) const BYTES: usize = 16 * 1024 * 1024;
/// First pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause: a stream that is created, or has room again, is used within about this time.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The events in memory, and the state of the way to the broker.
#[derive(Debug, Default)]
pub(crate) struct Window {
    rows: BTreeMap<i64, Entry>,
    bytes: usize,
    in_flight: usize,
    newest: i64,
    failures: u32,
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    row: Row,
    in_flight: bool,
    /// Failed as the one that tried: others try first.
    failed: u32,
}

impl Window {
    /// Nothing in it.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many more events fit, and how many bytes; none when it is better to
    /// wait until more have left.
    pub(crate) fn room(&self) -> Option<(usize, usize)> {
        let half_empty = self.rows.len() <= ROWS / 2 && self.bytes <= BYTES / 2;
        half_empty.then(|| (ROWS - self.rows.len(), BYTES - self.bytes))
    }

    /// The newest event that was ever put in: the next ones come after it.
    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }

    /// Puts in events from the outbox, oldest first.
    pub(crate) fn fill(&mut self, rows: Vec<Row>) {
        for row in rows {
            self.newest = self.newest.max(row.id);
            self.bytes += row.payload.len();
            self.rows.insert(
                row.id,
                Entry {
                    row,
                    in_flight: false,
                    failed: 0,
                },
            );
        }
    }

    /// The events to send now, which count as on their way from here on.
    pub(crate) fn take_ready(&mut self, now: Instant) -> Vec<Row> {
        if self.paused_until.is_some_and(|until| now < until) {
            return Vec::new();
        }
        let limit = if self.failures == 0 { IN_FLIGHT } else { 1 };
        let mut free = limit.saturating_sub(self.in_flight);
        if free == 0 {
            return Vec::new();
        }
        let mut lines = HashSet::new();
        let heads = self
            .rows
            .values()
            .filter(|entry| lines.insert(entry.row.line.as_str()))
            .filter(|entry| !entry.in_flight);
        let mut heads: Vec<(u32, i64)> = heads.map(|entry| (entry.failed, entry.row.id)).collect();
        if limit == 1 {
            heads.sort_unstable();
        }
        let mut ready = Vec::new();
        for (_, id) in heads {
            if free == 0 {
                break;
            }
            if let Some(entry) = self.rows.get_mut(&id) {
                entry.in_flight = true;
                ready.push(entry.row.clone());
                free -= 1;
            }
        }
        self.in_flight += ready.len();
        ready
    }

    /// The broker has it.
    pub(crate) fn acknowledged(&mut self, id: i64) {
        if let Some(entry) = self.rows.remove(&id) {
            self.bytes = self.bytes.saturating_sub(entry.row.payload.len());
            self.in_flight -= usize::from(entry.in_flight);
        }
        self.failures = 0;
        self.paused_until = None;
    }

    /// It could not be sent, or nobody knows: it is sent again after a pause,
    /// for which `jitter` (0 to 1) is added by up to half.
    pub(crate) fn failed(&mut self, id: i64, now: Instant, jitter: f64) {
        let Some(entry) = self.rows.get_mut(&id) else {
            return;
        };
        entry.failed = entry.failed.saturating_add(1);
        self.in_flight -= usize::from(std::mem::take(&mut entry.in_flight));
        if self.paused_until.is_some_and(|until| now < until) {
            // One of many that were on their way when it broke.
            return;
        }
        let pause = PAUSE_MAX.min(PAUSE_MIN * 2_u32.pow(self.failures.min(10)));
        self.failures = self.failures.saturating_add(1);
        self.paused_until = Some(now + pause + pause.mul_f64(jitter.clamp(0.0, 1.0) / 2.0));
    }

    /// Puts another payload in an event's place; it is ready to be sent.
    pub(crate) fn replace(&mut self, row: Row) {
        if let Some(entry) = self.rows.get_mut(&row.id) {
            self.bytes = (self.bytes + row.payload.len()).saturating_sub(entry.row.payload.len());
            self.in_flight -= usize::from(std::mem::take(&mut entry.in_flight));
            entry.row = row;
        }
    }

    /// The connection is new: whatever was on its way is sent again at once.
    pub(crate) fn reconnected(&mut self) {
        for entry in self.rows.values_mut() {
            entry.in_flight = false;
        }
        self.in_flight = 0;
        self.failures = 0;
        self.paused_until = None;
    }

    /// The last that was tried failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// When to look again, if nothing else happens before.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.paused_until.filter(|_| !self.rows.is_empty())
    }

    /// Nothing is left in memory.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(id: i64, line: &str) -> Row {
        Row {
            id,
            line: line.into(),
            subject: "s".into(),
            message_id: id.to_string(),
            payload: vec![0; 10].into(),
        }
    }

    fn ids(rows: &[Row]) -> Vec<i64> {
        rows.iter().map(|row| row.id).collect()
    }

    fn window(rows: &[(i64, &str)]) -> (Window, Instant) {
        let mut window = Window::new();
        window.fill(rows.iter().map(|(id, line)| row(*id, line)).collect());
        (window, Instant::now())
    }

    #[test]
    fn a_project_has_one_event_on_its_way_and_keeps_its_order() {
        let (mut window, now) = window(&[(1, "a"), (2, "a"), (3, "b")]);
        assert_eq!(ids(&window.take_ready(now)), [1, 3]);
        assert!(window.take_ready(now).is_empty());
        window.acknowledged(1);
        assert_eq!(ids(&window.take_ready(now)), [2]);
        window.acknowledged(2);
        window.acknowledged(3);
        assert!(window.is_empty());
    }

    #[test]
    fn a_failed_event_is_not_overtaken_by_its_project() {
        let (mut window, now) = window(&[(1, "a"), (2, "a")]);
        window.take_ready(now);
        window.failed(1, now, 0.0);
        assert!(window.take_ready(now).is_empty(), "paused");
        let later = window.paused_until().unwrap();
        assert_eq!(ids(&window.take_ready(later)), [1]);
    }

    #[test]
    fn after_a_failure_one_tries_for_all_and_each_takes_its_turn() {
        let (mut window, mut now) = window(&[(1, "a"), (2, "b"), (3, "c")]);
        window.take_ready(now);
        for id in [1, 2, 3] {
            window.failed(id, now, 0.0);
        }
        for id in [1, 2, 3] {
            now = window.paused_until().unwrap();
            assert_eq!(ids(&window.take_ready(now)), [id]);
            window.failed(id, now, 0.0);
        }
        now = window.paused_until().unwrap();
        assert_eq!(ids(&window.take_ready(now)), [1]);
        window.acknowledged(1);
        assert_eq!(ids(&window.take_ready(now)), [2, 3]);
    }

    #[test]
    fn pauses_grow_to_a_second_and_no_further() {
        let (mut window, mut now) = window(&[(1, "a")]);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            window.take_ready(now);
            window.failed(1, now, 0.0);
            let until = window.paused_until().unwrap();
            pauses.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
    }

    #[test]
    fn a_new_connection_sends_again_at_once() {
        let (mut window, now) = window(&[(1, "a"), (2, "b")]);
        window.take_ready(now);
        window.failed(1, now, 0.5);
        window.reconnected();
        assert_eq!(ids(&window.take_ready(now)), [1, 2]);
    }

    #[test]
    fn at_most_so_many_are_on_their_way() {
        let lines: Vec<String> = (0..2 * IN_FLIGHT).map(|i| i.to_string()).collect();
        let mut window = Window::new();
        let rows = lines.iter().enumerate();
        window.fill(rows.map(|(id, line)| row(id as i64 + 1, line)).collect());
        assert_eq!(window.take_ready(Instant::now()).len(), IN_FLIGHT);
    }

    proptest! {
        /// Whatever fails and however often the connection is lost: each event
        /// is acknowledged once, in the order of its project.
        #[test]
        fn every_event_arrives_once_and_in_order(
            lines in proptest::collection::vec(0_u8..4, 1..40),
            luck in proptest::collection::vec(0_u8..10, 1..60),
        ) {
            let mut window = Window::new();
            let rows = lines.iter().enumerate();
            window.fill(rows.map(|(id, line)| row(id as i64 + 1, &line.to_string())).collect());
            let (mut now, mut arrived) = (Instant::now(), Vec::new());
            let mut luck = luck.into_iter().chain(std::iter::repeat(9));
            while !window.is_empty() {
                now = now.max(window.paused_until().unwrap_or(now));
                for row in window.take_ready(now) {
                    match luck.next() {
                        Some(0..=3) => window.failed(row.id, now, 0.5),
                        Some(4) => window.reconnected(),
                        _ => {
                            window.acknowledged(row.id);
                            arrived.push((row.line.clone(), row.id));
                        }
                    }
                }
            }
            prop_assert_eq!(arrived.len(), lines.len());
            arrived.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert!(arrived.is_sorted());
        }
    }
}
