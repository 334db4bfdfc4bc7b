//! Parts that are away for minutes, and networks that swallow everything.

mod half_open;
mod moments;

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use harness::fleet::{Fleet, Part};
use harness::load::Rate;
use harness::proxy::Network;
use harness::scale::{chosen, scale};
use harness::system::{HOST, System};
use harness::wait::{check, eventually, eventually_within};
use protocol::Presence;

/// Far beyond what is promised: the figures are printed.
const PATIENCE: Duration = Duration::from_secs(120);
const MINUTE: Duration = Duration::from_secs(60);
const RATE: Rate = Rate(50);

/// Waits in an outage, which is the experiment, and says how it goes.
async fn last(test: &str, duration: Duration) {
    let since = Instant::now();
    while since.elapsed() < duration {
        let left = duration.saturating_sub(since.elapsed());
        tokio::time::sleep(left.min(MINUTE)).await;
        let (passed, whole) = (since.elapsed().as_secs(), duration.as_secs());
        eprintln!("{test}: {passed} of {whole} s");
    }
}

fn outbox_bytes(system: &System) -> u64 {
    let files = std::fs::read_dir(system.agents[0].state_dir()).unwrap();
    let files = files.flatten().filter_map(|file| file.metadata().ok());
    files.map(|file| file.len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_behind_a_network_that_drops_everything_for_minutes_costs_nothing() {
    let name = "outage of NATS";
    let minutes = chosen("MINUTES").unwrap_or(5);
    let outage = scale(
        Duration::from_secs(18),
        MINUTE * u32::try_from(minutes).unwrap(),
    );
    let (mut fleet, wires) = Fleet::start_wired(20).await;
    let load = fleet.load(RATE, 1);
    fleet.converges(Part::Nats).await;
    fleet.converged.clear();

    let (agent_before, since) = (wires.agent.accepted(), Instant::now());
    wires.agent.set(Network::Stalled);
    wires.aggregators.set(Network::Stalled);
    let seconds = || since.elapsed().as_secs_f64();
    // Every browser is told, and until when its values were right.
    for follower in &fleet.followers {
        eventually_within(
            PATIENCE,
            "the pages are told that they are stale",
            async || {
                let stale = follower.look(|seen| seen.stale.clone());
                stale.ok_or_else(|| "not yet".to_owned())
            },
        )
        .await;
    }
    eprintln!("{name}: pages say stale after {:.1} s", seconds());
    eventually_within(PATIENCE, "the agent gives its connection up", async || {
        let made = wires.agent.accepted();
        check(made > agent_before, || format!("{made} connections"))
    })
    .await;
    eprintln!("{name}: the agent noticed after {:.1} s", seconds());
    last(name, outage.saturating_sub(since.elapsed())).await;
    let bytes = outbox_bytes(&fleet.system);
    eprintln!("{name}: {bytes} bytes in the agent's state directory");
    assert!(bytes < 512 * 1024 * 1024);

    wires.agent.set(Network::Up);
    wires.aggregators.set(Network::Up);
    fleet.converges(Part::Nats).await;
    load.stop().await;
    let verdict = fleet.verdict().await;
    verdict.assert_faultless_at_a_rate(name);
    for follower in &fleet.followers {
        eventually("the pages are told that they are current", async || {
            let stale = follower.look(|seen| seen.stale.clone());
            check(stale.is_none(), || format!("{stale:?}"))
        })
        .await;
    }
    assert_eq!(fleet.breaches(), Vec::<String>::new());
}

/// Waits until the agent says this of its outbox.
async fn outbox(system: &System, what: &str, fits: impl Fn(&Presence) -> bool) -> Presence {
    let client = system.nats.client().await;
    let mut presences = client
        .subscribe(protocol::subject::PRESENCES)
        .await
        .unwrap();
    client.flush().await.unwrap();
    let look = async {
        while let Some(message) = presences.next().await {
            let presence: Presence = serde_json::from_slice(&message.payload).unwrap();
            if presence.host == HOST && fits(&presence) {
                return presence;
            }
        }
        panic!("the broker ended the subscription: {what}");
    };
    let found = tokio::time::timeout(PATIENCE, look).await;
    found.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_postgres_away_and_the_stream_full_the_agents_keep_what_they_have() {
    let name = "outage of Postgres";
    let outage = scale(Duration::from_secs(2), 3 * MINUTE);
    let mut fleet = Fleet::start(20).await;
    // Small enough to be full within the outage.
    let stream = async_nats::jetstream::new(fleet.system.nats.client().await);
    let mut config = stream.get_stream("PHASELINE").await.unwrap();
    let mut config = config.info().await.unwrap().config.clone();
    config.max_bytes = 200_000;
    stream.update_stream(config).await.unwrap();
    let load = fleet.load(RATE, 2);
    fleet.converges(Part::Postmaster).await;
    fleet.converged.clear();

    fleet.kill(Part::Postmaster).await;
    let since = Instant::now();
    let waiting = outbox(&fleet.system, "the outbox fills", |presence| {
        presence.outbox.events > 100
    })
    .await;
    eprintln!(
        "{name}: stream full, {} events in the outbox after {:.1} s",
        waiting.outbox.events,
        since.elapsed().as_secs_f64()
    );
    eventually("the pages say so", async || {
        let stale = fleet.followers[0].look(|seen| seen.stale.clone());
        check(stale.is_some(), || "not yet".to_owned())
    })
    .await;
    last(name, outage.saturating_sub(since.elapsed())).await;
    fleet.revive(Part::Postmaster).await;
    fleet.converges(Part::Postmaster).await;
    load.stop().await;
    let verdict = fleet.verdict().await;
    verdict.assert_faultless_at_a_rate(name);
    let letters = fleet
        .system
        .database
        .number("SELECT count(*) FROM dead_letter");
    assert_eq!(
        letters.await,
        Ok(0),
        "an outage is no reason to set anything aside"
    );
}

#[tokio::test]
async fn a_page_whose_server_hears_nothing_says_stale_and_when_it_was_right() {
    if !harness::browser::available() {
        return;
    }
    let mut system = System::start().await;
    let project = system.project("last-seen");
    project.phase(&harness::fixtures::numbered("last-seen", 1));
    system.build(&project, 1, |_| true).await;
    let base = system.aggregators[0].base();
    harness::browser::with_browser(&base, async |page| {
        page.goto("/").await;
        page.until_text("#connection [data-f=connection]", |text| text == "live")
            .await;
        system.nats.kill().await;
        let said = page
            .until_text("#banner [data-f=banner]", |text| text.starts_with("Stale"))
            .await;
        assert!(said.contains("last seen at"), "{said}");
        system.nats.up().await;
        page.until_text("#connection [data-f=connection]", |text| text == "live")
            .await;
    })
    .await;
}
