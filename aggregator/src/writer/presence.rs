//! From presences to hosts: who is there, who is gone, and what of it is a
//! change that people should see at once. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use protocol::presence::{GONE_AFTER_MS, OutboxStatus, PRESENCE_VERSION};
use protocol::{Host, HostState, Presence, RootState, RootStatus, Timestamp, subject};
use uuid::Uuid;

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
    rival: Option<(String, Instant)>,
    /// Labels of the roots that are missing.
    missing: BTreeSet<String>,
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
    /// Two living agents use this name.
    pub(crate) rivals: Option<(String, String)>,
}

/// All hosts that the leader knows.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    known: BTreeMap<String, Known>,
    next_check: Option<Instant>,
}

/// Reads a presence, or says why not.
pub(crate) fn read(subject: &str, payload: &[u8]) -> Result<Presence, String> {
    let presence: Presence = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
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

    /// What a presence means, or none when it is not to be believed or there are too many hosts.
    pub(crate) fn judge(
        &self,
        presence: &Presence,
        now: Instant,
        clock: Timestamp,
    ) -> Option<Judged> {
        match self.known.get(&presence.host) {
            Some(known) => known.judge(presence, now, clock),
            None if self.known.len() >= MAX_HOSTS => None,
            None => {
                let mut known = Known::new(unknown_host(&presence.host), now);
                known.adopt(presence, now, clock);
                known.host.state_reason = known.reason(now);
                Some(Judged {
                    known,
                    changed: true,
                    heard: true,
                    builds: Vec::new(),
                    rivals: None,
                })
            }
        }
    }
}

fn unknown_host(name: &str) -> Host {
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
        seq: 0,
    }
}

impl Known {
    fn new(host: Host, now: Instant) -> Self {
        let waiting = u32::from(host.outbox.is_some_and(|outbox| outbox.events > 0)) * 2;
        // One that was being looked at may have been missing before.
        let not_there =
            |root: &&RootStatus| matches!(root.state, RootState::Missing | RootState::Starting);
        let missing = host.roots.iter().filter(not_there);
        Self {
            missing: missing.map(|root| root.label.clone()).collect(),
            host,
            heard: now,
            boot: None,
            rival: None,
            waiting,
        }
    }

    fn gone_at(&self) -> Option<Instant> {
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
            rivals: None,
        }
    }

    fn judge(&self, presence: &Presence, now: Instant, clock: Timestamp) -> Option<Judged> {
        let agent = presence.agent.to_string();
        let same = self
            .host
            .agent
            .as_deref()
            .is_none_or(|owner| owner == agent);
        if same && self.boot.is_some_and(|boot| presence.boot < boot) {
            return None;
        }
        let mut known = self.clone();
        let heard = same || self.gone_at().is_none_or(|at| at <= now);
        if heard {
            known.adopt(presence, now, clock);
        } else {
            known.rival = (!presence.stopping).then_some((agent, now));
        }
        known.host.state_reason = known.reason(now);
        let rivals = known.new_rivals(self);
        let builds = known.news_for_builds(self);
        let changed = known.visible() != self.visible();
        Some(Judged {
            changed,
            heard,
            known,
            builds,
            rivals,
        })
    }

    /// The agent that speaks is the host's agent.
    fn adopt(&mut self, presence: &Presence, now: Instant, clock: Timestamp) {
        let rival_spoke = |(rival, _): &(String, Instant)| *rival == presence.agent.to_string();
        if self.rival.as_ref().is_some_and(rival_spoke) {
            self.rival = None;
        }
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
        let known = |root: &RootStatus| self.missing.contains(&root.label);
        let missing = presence.roots.iter().filter(|root| match root.state {
            RootState::Missing => true,
            RootState::Starting => known(root),
            RootState::Watching | RootState::Degraded => false,
        });
        self.missing = missing.map(|root| root.label.clone()).collect();
    }

    /// What the change from before means for the host's open builds.
    fn news_for_builds(&self, before: &Self) -> Vec<TimerKind> {
        let mut news = Vec::new();
        let is_back = match (before.host.state, self.host.state) {
            (HostState::Up, HostState::Stopped) => {
                let reason = self.host.state_reason.clone().unwrap_or_default();
                news.push(TimerKind::HostGone { reason });
                false
            }
            (HostState::Gone | HostState::Stopped, HostState::Up) => {
                news.push(TimerKind::HostBack);
                true
            }
            _ => false,
        };
        let is_there = |label: &&String| {
            let mut roots = self.host.roots.iter();
            !self.missing.contains(*label) && roots.any(|root| root.label == **label)
        };
        let back = before.missing.iter().filter(is_there).cloned();
        news.extend(back.map(|root| TimerKind::RootBack { root }));
        let gone = self.missing.iter();
        let gone = gone.filter(|label| is_back || !before.missing.contains(*label));
        news.extend(gone.map(|label| self.root_missing(label)));
        news
    }

    fn root_missing(&self, label: &str) -> TimerKind {
        let root = self.host.roots.iter().find(|root| root.label == label);
        let path = root.map_or(label, |root| root.path.as_str());
        let why = root.and_then(|root| root.reason.as_deref());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        TimerKind::RootMissing {
            root: label.to_owned(),
            reason: format!("root missing: {path}{why}"),
        }
    }

    fn reason(&mut self, now: Instant) -> Option<String> {
        self.rival
            .take_if(|(_, at)| now.saturating_duration_since(*at) > GONE_AFTER);
        let name = &self.host.name;
        match (&self.rival, self.host.state) {
            (_, HostState::Stopped) => Some(format!(
                "the agent on {name} was stopped at {}",
                self.host.last_seen_at.unwrap_or_default()
            )),
            (_, HostState::Gone) => self.host.state_reason.clone(),
            (Some((rival, _)), HostState::Up) => Some(format!(
                "two agents call themselves {name}: {} and {rival}; give one another name with PHASELINE_HOST",
                self.host.agent.as_deref().unwrap_or("one without an id")
            )),
            (None, HostState::Up) => None,
        }
    }

    fn new_rivals(&self, before: &Self) -> Option<(String, String)> {
        let (rival, _) = self.rival.as_ref()?;
        let known_already = before.rival.as_ref().is_some_and(|(old, _)| old == rival);
        (!known_already).then(|| (self.host.agent.clone().unwrap_or_default(), rival.clone()))
    }

    /// What people should see at once when it changes; figures are not in it.
    fn visible(&self) -> impl PartialEq + use<'_> {
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
