//! Two living agents with one host name. The first keeps it; the other is shown
//! as `name~abcd`, with the start of its id, and stays so: its builds are of one
//! host for good. Both hosts say what to do. Two agents with one id (a copied
//! state directory) cannot be told apart by it; that is said too. Pure.

use std::time::Instant;

use protocol::{AgentId, HostState, Presence};

use super::presence::{GONE_AFTER, Hosts, Judged, Known, unknown_host};

/// Digits of the id behind the name.
const DIGITS: usize = 4;
/// Presences of an earlier start after one of a later: one may have been under way, two were sent since.
const EARLIER: u32 = 2;

/// Another agent that uses a host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rival {
    /// Its id; none where it is the host's own.
    agent: Option<String>,
    heard: Instant,
    times: u32,
}

impl Hosts {
    /// The name under which an agent is kept that calls itself `host`.
    pub(crate) fn name_of(&self, host: &str, agent: AgentId, now: Instant) -> String {
        let Some(owner) = self.known.get(host) else {
            return host.to_owned();
        };
        let id = agent.to_string();
        let is_its = |known: &Known| known.host.agent.as_deref() == Some(id.as_str());
        if is_its(owner) {
            return host.to_owned();
        }
        let by_id = format!("{host}~{}", &id[..DIGITS]);
        let by_whole_id = format!("{host}~{id}");
        let other = self.known.get(&by_id);
        if other.is_some_and(is_its) {
            by_id
        } else if self.known.contains_key(&by_whole_id) {
            by_whole_id
        } else if owner.host.agent.is_none() || !owner.is_living(now) {
            host.to_owned()
        } else if other.is_none() {
            by_id
        } else {
            // Two ids begin alike: one in 65,536.
            by_whole_id
        }
    }

    /// The name under which a call is kept that was taken for `host`: that of the agent that took
    /// it, where it was one. An aggregator is the agent of no host.
    pub(crate) fn name_of_taker(&self, host: &str, agent: AgentId) -> String {
        let id = agent.to_string();
        let names = [
            host.to_owned(),
            format!("{host}~{}", &id[..DIGITS]),
            format!("{host}~{id}"),
        ];
        let is_its = |name: &String| {
            let known = self.known.get(name);
            known.is_some_and(|known| known.host.agent.as_deref() == Some(id.as_str()))
        };
        names
            .into_iter()
            .find(is_its)
            .unwrap_or_else(|| host.to_owned())
    }

    /// Notes on the host whose name it is that another agent uses it.
    pub(crate) fn meet_rival(&self, presence: &Presence, now: Instant) -> Option<Judged> {
        let owner = self.known.get(&presence.host)?;
        let mut known = owner.clone();
        known.rival = (!presence.stopping).then(|| Rival {
            agent: Some(presence.agent.to_string()),
            heard: now,
            times: EARLIER,
        });
        known.host.state_reason = known.reason(now);
        let changed = known.visible() != owner.visible();
        Some(Judged {
            changed,
            heard: false,
            known,
            builds: Vec::new(),
        })
    }

    /// What is wrong with names that two living agents have, for people; none while each has its own.
    pub(crate) fn rivalry(&self, now: Instant) -> Option<String> {
        let mut contested = self.known.values().filter(|known| {
            let rival = known.rival.as_ref();
            known.host.state == HostState::Up && rival.is_some_and(|rival| rival.is_living(now))
        });
        let first = contested.next()?.host.state_reason.clone()?;
        Some(match contested.count() {
            0 => first,
            more => format!("{first}; and so it is with {more} more"),
        })
    }

    /// A host of which an event came before the first presence, under a name that is not its own.
    pub(crate) fn introduce(
        &self,
        name: &str,
        called: &str,
        agent: AgentId,
        now: Instant,
    ) -> Option<Known> {
        if name == called || self.known.contains_key(name) {
            return None;
        }
        let mut host = unknown_host(name);
        host.agent = Some(agent.to_string());
        let mut known = Known::new(host, now);
        known.called = Some(called.to_owned());
        known.host.state_reason = known.reason(now);
        Some(known)
    }
}

impl Rival {
    /// It is there, and was not merely under way.
    fn is_living(&self, now: Instant) -> bool {
        self.times >= EARLIER && now.saturating_duration_since(self.heard) <= GONE_AFTER
    }
}

impl Known {
    fn is_living(&self, now: Instant) -> bool {
        self.gone_at().is_some_and(|at| now < at)
    }

    /// The same id from an earlier start. False: it said farewell only.
    pub(super) fn hear_earlier_boot(&mut self, presence: &Presence, now: Instant) -> bool {
        if presence.stopping {
            return false;
        }
        let before = self.rival.take().filter(|rival| rival.agent.is_none());
        self.rival = Some(Rival {
            agent: None,
            heard: now,
            times: before.map_or(1, |rival| rival.times.saturating_add(1)),
        });
        true
    }

    /// Why the host's state is as it is, for people; none while it is up and well.
    pub(super) fn reason(&mut self, now: Instant) -> Option<String> {
        self.rival
            .take_if(|rival| now.saturating_duration_since(rival.heard) > GONE_AFTER);
        let name = &self.host.name;
        let agent = self.host.agent.as_deref().unwrap_or("one without an id");
        match self.host.state {
            HostState::Stopped => {
                let at = self.host.last_seen_at.unwrap_or_default();
                return Some(format!("the agent on {name} was stopped at {at}"));
            }
            HostState::Gone => return self.host.state_reason.clone(),
            HostState::Up => {}
        }
        let rival = self.rival.as_ref().filter(|rival| rival.times >= EARLIER);
        match (rival, &self.called) {
            (Some(Rival { agent: None, .. }), _) => Some(format!(
                "two agents with one id, {agent}, call themselves {name}: one state directory is a copy of the other; \
                 remove it on one of the machines and start that agent again"
            )),
            (
                Some(Rival {
                    agent: Some(rival), ..
                }),
                _,
            ) => Some(format!(
                "two agents call themselves {name}: {agent} and {rival}; give one another name with PHASELINE_HOST"
            )),
            (None, Some(called)) => Some(format!(
                "its agent, {agent}, calls itself {called}, as another one did before it; \
                 give it another name with PHASELINE_HOST"
            )),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
