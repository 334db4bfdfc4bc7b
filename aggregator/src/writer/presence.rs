//! From presences to hosts: who is there, who is gone, and what of it is a
//! change that people should see at once. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use protocol::presence::{GONE_AFTER_MS, OutboxStatus, PRESENCE_VERSION};
use protocol::{Host, HostState, Presence, RootStatus, Timestamp, subject};
use uuid::Uuid;

use super::names::Rival;
use super::roots;
use crate::fold::TimerKind;

/// Hosts that are kept. Far above any fleet of build machines; a stranger who invents names stops here.
const MAX_HOSTS: usize = 10_000;
/// Two missed presences and a margin.
pub(crate) const GONE_AFTER: Duration = Duration::from_millis(GONE_AFTER_MS.unsigned_abs());

/// Presences in a row with something in the outbox that make a backlog: an event that is under way at
/// the very moment of one is none.
const BACKLOG_AFTER: u32 = 2;

/// A host as the leader remembers it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) host: Host,
    heard: Instant,
    boot: Option<Uuid>,
    /// The other agent that uses this name.
    pub(super) rival: Option<Rival>,
    /// The name that its agent uses, where that is another's.
    pub(super) called: Option<String>,
    /// Labels of the roots that are missing.
    pub(super) missing: BTreeSet<String>,
    /// Presences in a row with something in the outbox.
    waiting: u32,
}

/// What a presence means.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) known: Known,
    /// People should see it now: a seq and a frame.
    pub(crate) changed: bool,
    /// It was the host's own agent that spoke.
    pub(crate) heard: bool,
    /// What it means for the host's open builds, in this order.
    pub(crate) builds: Vec<TimerKind>,
}

/// All hosts that the leader knows.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    pub(super) known: BTreeMap<String, Known>,
    next_check: Option<Instant>,
}

/// Reads a presence, or says why not.
pub(crate) fn read(subject: &str, payload: &[u8]) -> Result<Presence, String> {
    let mut presence: Presence =
        serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    if let Some(calls) = &mut presence.calls {
        calls.tame();
    }
    if presence.v != PRESENCE_VERSION {
        return Err(format!("presence version {}", presence.v));
    }
    let texts = [&presence.host, &presence.version];
    let roots = presence
        .roots
        .iter()
        .flat_map(|root| {
            [
                Some(&root.label),
                Some(&root.path),
                root.reason.as_ref(),
                root.remedy.as_ref(),
            ]
        })
        .flatten();
    if presence.host.is_empty()
        || texts
            .into_iter()
            .chain(roots)
            .any(|text| text.contains('\0'))
    {
        return Err("a text is empty or holds a NUL".to_owned());
    }
    if subject::presence(&presence.host) != subject {
        return Err(format!("it came on {subject}"));
    }
    Ok(presence)
}

impl Hosts {
    /// The hosts of the table, as heard just now: none is judged gone before it had the time to speak.
    pub(crate) fn restore(hosts: Vec<Host>, now: Instant) -> Self {
        let mut restored = Self::default();
        for host in hosts {
            restored.keep(Known::new(host, now));
        }
        restored
    }

    /// After an interruption of our own: every host has the whole time again.
    pub(crate) fn hear_all(&mut self, now: Instant) {
        for known in self.known.values_mut() {
            known.heard = now;
        }
        self.next_check = self.known.values().filter_map(Known::gone_at).min();
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Known> {
        self.known.get(name)
    }

    /// Takes what was judged, once it is committed.
    pub(crate) fn keep(&mut self, known: Known) {
        if let Some(at) = known.gone_at() {
            self.next_check = Some(self.next_check.map_or(at, |next| next.min(at)));
        }
        self.known.insert(known.host.name.clone(), known);
    }

    /// Host clock minus ours, milliseconds; 0 while unknown.
    pub(crate) fn clock_offset_ms(&self, name: &str) -> i64 {
        let offset = self
            .known
            .get(name)
            .and_then(|known| known.host.clock_offset_ms);
        offset.unwrap_or(0)
    }

    /// Why nothing can be said of the builds beneath this root of the host; none while both are there or
    /// were never heard of.
    pub(crate) fn closed(&self, name: &str, root: &str) -> Option<TimerKind> {
        let known = self.known.get(name)?;
        match known.host.state {
            HostState::Up => known.missing.get(root).map(|root| known.root_missing(root)),
            HostState::Gone | HostState::Stopped => Some(TimerKind::HostGone {
                reason: known.host.state_reason.clone()?,
            }),
        }
    }

    /// Events wait on the host: silence here may be a slow way, not a silent build.
    pub(crate) fn has_backlog(&self, name: &str) -> bool {
        self.known.get(name).is_some_and(|known| known.waiting > 0)
    }

    /// The earliest moment at which a host may be gone.
    pub(crate) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    /// The hosts that have been silent for too long, as they are to be.
    pub(crate) fn gone(&mut self, now: Instant) -> Vec<Judged> {
        let silent = |known: &&Known| known.gone_at().is_some_and(|at| at <= now);
        let gone: Vec<Judged> = self
            .known
            .values()
            .filter(silent)
            .map(Known::gone)
            .collect();
        let later = self
            .known
            .values()
            .filter_map(Known::gone_at)
            .filter(|at| *at > now);
        self.next_check = later.min();
        gone
    }

    /// What a presence means for the host that is kept as `name`, or none when it is not to be believed or there
    /// are too many hosts.
    pub(crate) fn judge(
        &self,
        name: &str,
        presence: &Presence,
        now: Instant,
        clock: Timestamp,
    ) -> Option<Judged> {
        let called = (name != presence.host).then(|| presence.host.clone());
        match self.known.get(name) {
            Some(known) => known.judge(presence, called, now, clock),
            None if self.known.len() >= MAX_HOSTS => None,
            None => {
                let mut known = Known::new(unknown_host(name), now);
                known.called = called;
                known.adopt(presence, now, clock);
                known.host.state_reason = known.reason(now);
                Some(Judged {
                    known,
                    changed: true,
                    heard: true,
                    builds: Vec::new(),
                })
            }
        }
    }
}

pub(super) fn unknown_host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        state: HostState::Up,
        state_reason: None,
        agent: None,
        version: None,
        started_at: None,
        last_seen_at: None,
        last_updated: Timestamp::default(),
        clock_offset_ms: None,
        outbox: None,
        roots: Vec::new(),
        calls: None,
        seq: 0,
    }
}

impl Known {
    pub(super) fn new(host: Host, now: Instant) -> Self {
        let waiting = u32::from(host.outbox.is_some_and(|outbox| outbox.events > 0)) * 2;
        Self {
            // One that was being looked at may have been missing before.
            missing: roots::missing(&host.roots, |_| true).collect(),
            host,
            heard: now,
            boot: None,
            rival: None,
            called: None,
            waiting,
        }
    }

    pub(super) fn gone_at(&self) -> Option<Instant> {
        (self.host.state == HostState::Up).then(|| self.heard + GONE_AFTER)
    }

    fn gone(&self) -> Judged {
        let mut known = self.clone();
        let since = match known.host.last_seen_at {
            Some(at) => format!("since {at}"),
            None => "for two presences".to_owned(),
        };
        let reason = format!(
            "the agent on {} has not been heard {since}",
            known.host.name
        );
        known.host.state = HostState::Gone;
        known.host.state_reason = Some(reason.clone());
        known.rival = None;
        Judged {
            known,
            changed: true,
            heard: false,
            builds: vec![TimerKind::HostGone { reason }],
        }
    }

    fn judge(
        &self,
        presence: &Presence,
        called: Option<String>,
        now: Instant,
        clock: Timestamp,
    ) -> Option<Judged> {
        let mut known = self.clone();
        let is_same = self.host.agent.as_deref() == Some(&presence.agent.to_string());
        let heard = !is_same || self.boot.is_none_or(|boot| presence.boot >= boot);
        if heard {
            known.called = called;
            known.adopt(presence, now, clock);
        } else if !known.hear_earlier_boot(presence, now) {
            return None;
        }
        known.host.state_reason = known.reason(now);
        let changed = known.visible() != self.visible();
        Some(Judged {
            builds: known.news_for_builds(self),
            changed,
            heard,
            known,
        })
    }

    /// The agent that speaks is the host's agent.
    fn adopt(&mut self, presence: &Presence, now: Instant, clock: Timestamp) {
        self.heard = now;
        self.boot = Some(presence.boot);
        self.waiting = match presence.outbox.events {
            0 => 0,
            _ => self.waiting.saturating_add(1),
        };
        let host = &mut self.host;
        host.state = match presence.stopping {
            true => HostState::Stopped,
            false => HostState::Up,
        };
        host.agent = Some(presence.agent.to_string());
        host.version = Some(presence.version.clone());
        host.started_at = Some(presence.started_at);
        host.last_seen_at = Some(clock);
        host.clock_offset_ms = Some(presence.sent_at.millis_since(clock));
        host.outbox = Some(
            if self.waiting < BACKLOG_AFTER && !presence.outbox.overflowed {
                OutboxStatus {
                    events: 0,
                    bytes: 0,
                    ..presence.outbox
                }
            } else {
                presence.outbox
            },
        );
        host.roots.clone_from(&presence.roots);
        host.calls.clone_from(&presence.calls);
        let before = std::mem::take(&mut self.missing);
        let was_missing = |label: &str| before.contains(label);
        self.missing = roots::missing(&presence.roots, was_missing).collect();
    }

    /// What people should see at once when it changes; figures are not in it.
    pub(super) fn visible(&self) -> impl PartialEq + use<'_> {
        let host = &self.host;
        // How many directories are watched is a figure: it moves with every `mkdir`.
        let roots = host.roots.iter().map(|root| {
            let RootStatus {
                label,
                path,
                state,
                watches: _,
                reason,
                remedy,
            } = root;
            (label, path, state, reason, remedy)
        });
        (
            (
                host.state,
                &host.state_reason,
                &host.agent,
                &host.version,
                host.started_at,
            ),
            self.outbox_condition(host.outbox),
            roots.collect::<Vec<_>>(),
        )
    }

    /// Empty, waiting or overflowed.
    fn outbox_condition(&self, outbox: Option<OutboxStatus>) -> u8 {
        match outbox {
            Some(outbox) if outbox.overflowed => 2,
            Some(_) if self.waiting >= BACKLOG_AFTER => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
#[path = "presence_tests.rs"]
mod tests;
