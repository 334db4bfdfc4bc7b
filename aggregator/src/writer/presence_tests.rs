//! Hosts come, go, stop, and share names.

use protocol::presence::PRESENCE_VERSION;
use protocol::{AgentId, RootState, RootStatus};

use super::*;

fn presence(agent: u64) -> Presence {
    Presence {
        v: PRESENCE_VERSION,
        agent: AgentId(agent),
        boot: Uuid::from_u128(1),
        host: "build-01".into(),
        version: "0.1.0".into(),
        sent_at: at(0),
        started_at: at(-60),
        stopping: false,
        outbox: OutboxStatus::default(),
        calls: None,
        roots: vec![RootStatus {
            label: "src".into(),
            path: "/src".into(),
            state: RootState::Watching,
            watches: 3,
            reason: None,
            remedy: None,
        }],
        alive: Vec::new(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

/// Hosts after one presence of agent 1.
fn one_host(now: Instant) -> Hosts {
    let mut hosts = Hosts::default();
    let judged = hosts.judge("build-01", &presence(1), now, at(0)).unwrap();
    assert!(judged.changed && judged.builds.is_empty());
    hosts.keep(judged.known);
    hosts
}

#[test]
fn a_presence_that_says_the_same_is_no_change() {
    let start = Instant::now();
    let hosts = one_host(start);
    let mut same = presence(1);
    same.outbox.events = 1; // under way at this very moment
    same.sent_at = at(10);
    let judged = hosts
        .judge("build-01", &same, after(start, 10), at(10))
        .unwrap();
    assert!(!judged.changed);
    assert_eq!(judged.known.host.last_seen_at, Some(at(10)));
    assert_eq!(judged.known.host.outbox.unwrap().events, 0);
    same.version = "0.2.0".into();
    assert!(
        hosts
            .judge("build-01", &same, after(start, 10), at(10))
            .unwrap()
            .changed
    );
}

#[test]
fn a_host_is_gone_after_two_missed_presences_and_comes_back() {
    let start = Instant::now();
    let mut hosts = one_host(start);
    assert!(hosts.gone(after(start, 21)).is_empty());
    assert_eq!(hosts.next_check(), Some(start + GONE_AFTER));
    let gone = hosts.gone(after(start, 22)).pop().unwrap();
    assert!(matches!(gone.builds[..], [TimerKind::HostGone { .. }]));
    hosts.keep(gone.known);
    let Some(TimerKind::HostGone { reason }) = hosts.closed("build-01", "src") else {
        panic!("its builds are closed");
    };
    assert!(reason.contains("not been heard since"), "{reason}");
    assert!(hosts.gone(after(start, 100)).is_empty());
    let back = hosts
        .judge("build-01", &presence(1), after(start, 200), at(200))
        .unwrap();
    assert_eq!(back.builds, [TimerKind::HostBack]);
    assert_eq!(back.known.host.state_reason, None);
}

#[test]
fn an_interruption_of_our_own_gives_every_host_the_whole_time_again() {
    let start = Instant::now();
    let mut hosts = one_host(start);
    hosts.hear_all(after(start, 1000));
    assert!(hosts.gone(after(start, 1021)).is_empty());
    assert_eq!(hosts.gone(after(start, 1022)).len(), 1);
}

#[test]
fn an_agent_that_stops_says_so_and_is_not_called_gone() {
    let start = Instant::now();
    let mut hosts = one_host(start);
    let mut last = presence(1);
    last.stopping = true;
    let judged = hosts
        .judge("build-01", &last, after(start, 1), at(1))
        .unwrap();
    let [TimerKind::HostGone { reason }] = &judged.builds[..] else {
        panic!("{judged:?}");
    };
    assert!(reason.contains("was stopped"), "{reason}");
    hosts.keep(judged.known);
    assert!(hosts.gone(after(start, 1000)).is_empty());
    assert!(
        !hosts
            .judge("build-01", &last, after(start, 2), at(2))
            .unwrap()
            .known
            .host
            .state_reason
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_late_message_of_an_earlier_boot_is_not_believed() {
    let start = Instant::now();
    let mut hosts = one_host(start);
    let mut newer = presence(1);
    newer.boot = Uuid::from_u128(2);
    hosts.keep(hosts.judge("build-01", &newer, start, at(0)).unwrap().known);
    let mut old = presence(1);
    old.stopping = true;
    assert!(hosts.judge("build-01", &old, start, at(0)).is_none());
}

#[test]
fn one_event_under_way_is_no_backlog_and_two_presences_with_some_are() {
    let start = Instant::now();
    let mut hosts = one_host(start);
    let mut busy = presence(1);
    busy.outbox.events = 4;
    let first = hosts
        .judge("build-01", &busy, after(start, 10), at(10))
        .unwrap();
    assert!(!first.changed);
    hosts.keep(first.known);
    assert!(hosts.has_backlog("build-01"));
    let second = hosts
        .judge("build-01", &busy, after(start, 20), at(20))
        .unwrap();
    assert!(second.changed);
    hosts.keep(second.known);
    assert!(
        hosts
            .judge("build-01", &presence(1), after(start, 30), at(30))
            .unwrap()
            .changed
    );
}

#[test]
fn what_is_no_presence_is_refused() {
    let good = serde_json::to_vec(&presence(1)).unwrap();
    assert!(read("phaseline.v1.presence.build-01", &good).is_ok());
    assert!(read("phaseline.v1.presence.other", &good).is_err());
    assert!(read("phaseline.v1.presence.build-01", b"{}").is_err());
    let mut bad = presence(1);
    bad.version = "\0".into();
    assert!(
        read(
            "phaseline.v1.presence.build-01",
            &serde_json::to_vec(&bad).unwrap()
        )
        .is_err()
    );
}

fn with_root(state: RootState) -> Presence {
    let mut presence = presence(1);
    presence.roots[0].state = state;
    presence
}

fn words(judged: &Judged) -> Vec<&'static str> {
    judged.builds.iter().map(TimerKind::word).collect()
}

#[test]
fn builds_are_told_that_their_root_is_missing_and_back() {
    let start = Instant::now();
    let mut hosts = one_host(start);
    let tell = |hosts: &mut Hosts, state| {
        let judged = hosts
            .judge("build-01", &with_root(state), start, at(0))
            .unwrap();
        let told = words(&judged);
        hosts.keep(judged.known);
        told
    };
    assert_eq!(tell(&mut hosts, RootState::Missing), ["root_missing"]);
    let Some(TimerKind::RootMissing { reason, .. }) = hosts.closed("build-01", "src") else {
        panic!("its builds are closed");
    };
    assert!(reason.starts_with("root missing: /src"), "{reason}");
    assert_eq!(hosts.closed("build-01", "other"), None);
    assert!(tell(&mut hosts, RootState::Missing).is_empty());
    // A new leader, and an agent that begins anew, do not know less.
    let host = hosts.get("build-01").unwrap().host.clone();
    hosts = Hosts::restore(vec![host], start);
    assert!(tell(&mut hosts, RootState::Starting).is_empty());
    assert_eq!(tell(&mut hosts, RootState::Watching), ["root_back"]);
    assert_eq!(hosts.closed("build-01", "src"), None);
}

#[test]
fn a_root_that_vanished_while_the_host_was_gone_is_missing_when_it_is_back() {
    let start = Instant::now();
    let mut hosts = one_host(start);
    let gone = hosts.gone(after(start, 22)).pop().unwrap();
    hosts.keep(gone.known);
    let later = after(start, 60);
    let judged = hosts.judge("build-01", &with_root(RootState::Missing), later, at(60));
    assert_eq!(words(&judged.unwrap()), ["host_back", "root_missing"]);
}
