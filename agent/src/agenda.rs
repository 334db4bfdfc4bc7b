//! What is to be done later, each thing at most once: the one timer of the
//! watching thread sleeps until the earliest. Pure.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// Jobs by the time at which they are due.
#[derive(Debug)]
pub(crate) struct Agenda<J> {
    by_time: BTreeSet<(Instant, J)>,
    times: HashMap<J, Instant>,
}

impl<J: Ord + Hash + Eq + Clone> Agenda<J> {
    /// Nothing to do.
    pub(crate) fn new() -> Self {
        Self {
            by_time: BTreeSet::new(),
            times: HashMap::new(),
        }
    }

    /// Sets when a job is due, instead of any time it had; none takes it off.
    pub(crate) fn set(&mut self, job: &J, at: Option<Instant>) {
        if let Some(old) = self.times.remove(job) {
            self.by_time.remove(&(old, job.clone()));
        }
        if let Some(at) = at {
            self.times.insert(job.clone(), at);
            self.by_time.insert((at, job.clone()));
        }
    }

    /// When the earliest job is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes off every job that is due, earliest first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<J> {
        let mut due = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            if let Some((_, job)) = self.by_time.pop_first() {
                self.times.remove(&job);
                due.push(job);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_job_is_due_once_at_the_time_set_last() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut agenda = Agenda::new();
        agenda.set(&"a", Some(at(5)));
        agenda.set(&"b", Some(at(3)));
        agenda.set(&"a", Some(at(9)));
        agenda.set(&"c", Some(at(1)));
        agenda.set(&"c", None);
        assert_eq!(agenda.next(), Some(at(3)));
        assert_eq!(agenda.take_due(at(2)), Vec::<&str>::new());
        assert_eq!(agenda.take_due(at(9)), ["b", "a"]);
        assert_eq!(agenda.next(), None);
    }
}
