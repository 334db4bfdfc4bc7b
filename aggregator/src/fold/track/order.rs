//! Whether an event counts: each agent's events come in its own order, calls in
//! one of theirs, and so do events that lie beside the project: a transcript, a
//! session's files. The outbox sends the events of each token in their order, and may send
//! those of two tokens in any, so that none of them may outdate the others.

use std::collections::BTreeMap;

use protocol::{AgentId, Event, ProjectToken};
use uuid::Uuid;

use super::Track;
use crate::fold::limits::{MAX_AGENTS, MAX_BESIDE};

/// The newest event of each agent.
pub(super) type Positions = BTreeMap<AgentId, (Uuid, u64)>;

impl Track {
    /// Takes over how far the agents had come, from the memory that this one
    /// replaces: a repeated event leaves no row, but must stay repeated.
    pub fn catch_up(&mut self, other: &Self) {
        for (mine, others) in [
            (&mut self.seen, &other.seen),
            (&mut self.called, &other.called),
        ] {
            advance(mine, others);
        }
        for (token, others) in &other.beside {
            self.follow(*token, others);
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
        let own = self.seen.get(&event.agent);
        let position = match self.is_beside(event) {
            true => {
                let line = self.beside.get(&event.project_token);
                line.and_then(|line| line.get(&event.agent))
            }
            false => own,
        };
        match position {
            Some(newest) => (event.boot, event.seq) <= *newest,
            None if own.is_some() => false,
            None => self
                .newest_observed
                .is_some_and(|newest| event.observed_at < newest),
        }
    }

    /// It lies elsewhere, and was filed here.
    fn is_beside(&self, event: &Event) -> bool {
        event.project_token != self.project
    }

    /// Events of this token are filed here from now on, after these.
    pub(super) fn follow(&mut self, token: ProjectToken, others: &Positions) {
        advance(self.beside.entry(token).or_default(), others);
        if self.beside.len() > MAX_BESIDE {
            let newest =
                |(_, positions): &(&ProjectToken, &Positions)| positions.values().max().copied();
            let oldest = self
                .beside
                .iter()
                .filter(|(other, _)| **other != token)
                .min_by_key(newest);
            if let Some(oldest) = oldest.map(|(token, _)| *token) {
                self.beside.remove(&oldest);
            }
        }
    }

    pub(super) fn remember(&mut self, event: &Event) {
        let is_call = event.is_call();
        let is_beside = !is_call && self.is_beside(event);
        if is_beside {
            self.follow(event.project_token, &BTreeMap::new());
        }
        let seen = if is_call {
            &mut self.called
        } else if is_beside {
            self.beside.entry(event.project_token).or_default()
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
        if !is_call && !is_beside {
            self.newest_agent = Some(event.agent);
            self.newest_observed = Some(event.observed_at);
        }
    }
}

fn advance(mine: &mut Positions, others: &Positions) {
    for (agent, position) in others {
        let newest = mine.entry(*agent).or_insert(*position);
        *newest = (*newest).max(*position);
    }
}
