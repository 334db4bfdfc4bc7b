//! The newest events in memory, as they were written, so that the task that
//! publishes need not read them back; and when nothing is new, asks nobody.

use std::collections::VecDeque;

use super::Row;

/// More than these wait only while the broker is away: then they are read from the disk.
const MAX_ROWS: usize = 256;
/// The same in bytes: an idle agent has 15 MiB in all.
const MAX_BYTES: usize = 256 * 1024;

/// Events after `floor`, all of them, in their order.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// None: it is not known which are missing here.
    floor: Option<i64>,
    rows: VecDeque<Row>,
    bytes: usize,
}

impl Fresh {
    /// An event was written.
    pub(super) fn push(&mut self, row: Row) {
        if self.floor.is_none() {
            return;
        }
        self.bytes += row.payload.len();
        self.rows.push_back(row);
        if self.rows.len() > MAX_ROWS || self.bytes > MAX_BYTES {
            self.forget();
        }
    }

    /// Others than these may be there, or fewer.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Everything up to this one was read, and nothing is after it.
    pub(super) fn begin_after(&mut self, floor: i64) {
        self.forget();
        self.floor = Some(floor);
    }

    /// Events after `after`; none when they must be read from the disk.
    pub(super) fn after(&mut self, after: i64, max: usize, bytes: usize) -> Option<Vec<Row>> {
        self.floor.filter(|floor| *floor <= after)?;
        while let Some(row) = self.rows.pop_front_if(|row| row.id <= after) {
            self.bytes = self.bytes.saturating_sub(row.payload.len());
        }
        self.floor = Some(after);
        let mut size = 0;
        let fits = self.rows.iter().take(max).take_while(|row| {
            let room = size < bytes;
            size += row.payload.len();
            room
        });
        Some(fits.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, bytes: usize) -> Row {
        Row {
            id,
            line: "l".into(),
            subject: "s".into(),
            message_id: id.to_string(),
            payload: vec![0; bytes].into(),
        }
    }

    fn ids(rows: Option<Vec<Row>>) -> Option<Vec<i64>> {
        rows.map(|rows| rows.iter().map(|row| row.id).collect())
    }

    #[test]
    fn what_is_not_known_to_be_all_is_not_given() {
        let mut fresh = Fresh::default();
        fresh.push(row(5, 1));
        assert_eq!(fresh.after(4, 9, 9), None, "others may be on the disk");
        fresh.begin_after(5);
        assert_eq!(ids(fresh.after(4, 9, 9)), None, "5 itself is on the disk");
        assert_eq!(ids(fresh.after(5, 9, 9)), Some(vec![]));
        fresh.push(row(6, 1));
        fresh.push(row(8, 1));
        assert_eq!(ids(fresh.after(5, 9, 9)), Some(vec![6, 8]));
        assert_eq!(ids(fresh.after(6, 9, 9)), Some(vec![8]));
        assert_eq!(fresh.after(5, 9, 9), None, "6 was let go");
        fresh.forget();
        assert_eq!(fresh.after(8, 9, 9), None);
    }

    #[test]
    fn it_is_bounded_in_rows_and_bytes() {
        let mut fresh = Fresh::default();
        fresh.begin_after(0);
        (1..=4).for_each(|id| fresh.push(row(id, 10)));
        assert_eq!(ids(fresh.after(0, 3, 99)), Some(vec![1, 2, 3]));
        assert_eq!(ids(fresh.after(0, 9, 11)), Some(vec![1, 2]));
        fresh.push(row(5, MAX_BYTES));
        assert_eq!(fresh.after(0, 9, 99), None);
        fresh.begin_after(5);
        (6..)
            .take(MAX_ROWS + 1)
            .for_each(|id| fresh.push(row(id, 1)));
        assert_eq!(fresh.after(5, 9, 99), None);
    }
}
