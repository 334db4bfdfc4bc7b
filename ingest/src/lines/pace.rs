//! How fast lines may go on: what is used in a burst is there at once, and in
//! the long run so much a second. Pure; the clock is the caller's.

use std::time::{Duration, Instant};

/// So much of that may be used at once: what a build writes in a burst is there at once.
const BURST: Duration = Duration::from_secs(4);

/// A leaky bucket: up to when what was taken is paid for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paid(Option<Instant>);

impl Paid {
    /// Takes so many seconds' worth; when the next may be taken.
    pub fn take(&mut self, seconds: f64, now: Instant) -> Instant {
        let from = self.0.map_or(now, |until| until.max(now));
        let until = from + Duration::from_secs_f64(seconds);
        self.0 = Some(until);
        until.checked_sub(BURST).unwrap_or(now)
    }

    /// Nothing is owed.
    #[must_use]
    pub fn is_paid(&self, now: Instant) -> bool {
        self.0.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_at_once_and_then_so_much_a_second() {
        let (mut paid, start) = (Paid::default(), Instant::now());
        let mut next = start;
        for _ in 0..4 {
            next = paid.take(1.0, start);
        }
        assert!(next <= start, "four seconds' worth");
        assert_eq!(paid.take(1.0, start), start + Duration::from_secs(1));
        let later = start + Duration::from_secs(60);
        assert!(
            paid.take(1.0, later) <= later,
            "what was not used is not saved up"
        );
    }
}
