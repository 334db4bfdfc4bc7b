//! Whether an event counts: each agent's events come in its own order, and
//! calls in one of theirs.

use protocol::Event;

use super::Track;
use crate::fold::limits::MAX_AGENTS;

impl Track {
    /// Takes over how far the agents had come, from the memory that this one
    /// replaces: a repeated event leaves no row, but must stay repeated.
    pub fn catch_up(&mut self, other: &Self) {
        for (mine, others) in [
            (&mut self.seen, &other.seen),
            (&mut self.called, &other.called),
        ] {
            for (agent, position) in others {
                let newest = mine.entry(*agent).or_insert(*position);
                *newest = (*newest).max(*position);
            }
        }
        self.newest_observed = self.newest_observed.max(other.newest_observed);
        self.newest_agent = other.newest_agent.or(self.newest_agent);
        self.runs_before = other.runs_before;
        self.parts.catch_up(&other.parts);
    }

    /// Older than what was folded: by the agent's own order, or, from another
    /// agent of that host, by the time of reading. Whoever takes calls begins
    /// with a new one: it keeps no state that it could repeat.
    pub(super) fn is_late(&self, event: &Event) -> bool {
        if event.is_call() {
            let position = self.called.get(&event.agent);
            return position.is_some_and(|newest| (event.boot, event.seq) <= *newest);
        }
        match self.seen.get(&event.agent) {
            Some(&(boot, seq)) => (event.boot, event.seq) <= (boot, seq),
            None => self
                .newest_observed
                .is_some_and(|newest| event.observed_at < newest),
        }
    }

    pub(super) fn remember(&mut self, event: &Event) {
        let is_call = event.is_call();
        let seen = if is_call {
            &mut self.called
        } else {
            &mut self.seen
        };
        seen.insert(event.agent, (event.boot, event.seq));
        if seen.len() > MAX_AGENTS {
            let oldest = seen
                .iter()
                .min_by_key(|(_, position)| **position)
                .map(|(agent, _)| *agent);
            if let Some(oldest) = oldest {
                seen.remove(&oldest);
            }
        }
        if !is_call {
            self.newest_agent = Some(event.agent);
            self.newest_observed = Some(event.observed_at);
        }
    }
}
