//! Who is called what.

use std::time::Duration;

use protocol::Timestamp;
use protocol::presence::{OutboxStatus, PRESENCE_VERSION};
use uuid::Uuid;

use super::*;

const FIRST: u64 = 0xAAAA_0000_0000_0001;
const SECOND: u64 = 0xBBBB_0000_0000_0002;

fn presence(agent: u64, boot: u128) -> Presence {
    Presence {
        v: PRESENCE_VERSION,
        agent: AgentId(agent),
        boot: Uuid::from_u128(boot),
        host: "build-01".into(),
        version: "0.1.0".into(),
        sent_at: Timestamp::default(),
        started_at: Timestamp::default(),
        stopping: false,
        outbox: OutboxStatus::default(),
        roots: Vec::new(),
        calls: None,
        alive: Vec::new(),
    }
}

/// Takes a presence as the leader does; answers the host's name and reason.
fn hear(hosts: &mut Hosts, presence: &Presence, now: Instant) -> (String, String) {
    let name = hosts.name_of(&presence.host, presence.agent, now);
    if name != presence.host
        && let Some(judged) = hosts.meet_rival(presence, now)
    {
        hosts.keep(judged.known);
    }
    if let Some(judged) = hosts.judge(&name, presence, now, Timestamp::default()) {
        hosts.keep(judged.known);
    }
    let reason = hosts
        .get(&name)
        .and_then(|known| known.host.state_reason.clone());
    (name, reason.unwrap_or_default())
}

#[test]
fn the_second_living_agent_of_a_name_is_shown_with_its_id_and_both_say_so() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut hosts = Hosts::default();
    assert_eq!(hear(&mut hosts, &presence(FIRST, 1), start).0, "build-01");
    let (name, reason) = hear(&mut hosts, &presence(SECOND, 1), after(5));
    assert_eq!(name, "build-01~bbbb");
    assert!(reason.contains("PHASELINE_HOST"), "{reason}");
    let (_, reason) = hear(&mut hosts, &presence(FIRST, 1), after(10));
    assert!(
        reason.contains("two agents call themselves build-01"),
        "{reason}"
    );
    // The second falls silent: the first is well again.
    let (_, reason) = hear(&mut hosts, &presence(FIRST, 1), after(40));
    assert_eq!(reason, "");
    // The first falls silent: the second stays what it is called, a new one takes the name over.
    let gone = hosts.gone(after(90));
    gone.into_iter().for_each(|judged| hosts.keep(judged.known));
    assert_eq!(
        hear(&mut hosts, &presence(SECOND, 2), after(91)).0,
        "build-01~bbbb"
    );
    let heir = hear(&mut hosts, &presence(3, 1), after(92));
    assert_eq!(heir.0, "build-01");
}

#[test]
fn an_event_before_the_first_presence_is_named_alike() {
    let start = Instant::now();
    let mut hosts = Hosts::default();
    hear(&mut hosts, &presence(FIRST, 1), start);
    let name = hosts.name_of("build-01", AgentId(SECOND), start);
    let known = hosts
        .introduce(&name, "build-01", AgentId(SECOND), start)
        .unwrap();
    hosts.keep(known);
    assert!(
        hosts
            .introduce(&name, "build-01", AgentId(SECOND), start)
            .is_none()
    );
    // The name stays, whoever leads next and whatever became of the first.
    let all = ["build-01", "build-01~bbbb"].map(|name| hosts.get(name).unwrap().host.clone());
    let hosts = Hosts::restore(all.to_vec(), start);
    let later = start + 2 * GONE_AFTER;
    assert_eq!(
        hosts.name_of("build-01", AgentId(SECOND), later),
        "build-01~bbbb"
    );
    // Another one whose id begins alike has the whole of it.
    let third = AgentId(SECOND + 1);
    assert_eq!(
        hosts.name_of("build-01", third, start),
        "build-01~bbbb000000000003"
    );
}

#[test]
fn a_copied_state_directory_is_said_and_a_straggler_is_not() {
    let start = Instant::now();
    let mut hosts = Hosts::default();
    hear(&mut hosts, &presence(FIRST, 1), start);
    let (name, reason) = hear(&mut hosts, &presence(FIRST, 2), start);
    assert_eq!((name.as_str(), reason.as_str()), ("build-01", ""));
    assert_eq!(
        hear(&mut hosts, &presence(FIRST, 1), start).1,
        "",
        "it was under way"
    );
    let later = start + Duration::from_secs(10);
    let (_, reason) = hear(&mut hosts, &presence(FIRST, 1), later);
    assert!(reason.contains("copy of the other"), "{reason}");
    hear(&mut hosts, &presence(FIRST, 2), later);
    // Its end is noticed.
    let (_, reason) = hear(&mut hosts, &presence(FIRST, 2), later + 2 * GONE_AFTER);
    assert_eq!(reason, "");
}
