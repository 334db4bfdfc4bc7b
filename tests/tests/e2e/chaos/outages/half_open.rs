//! Connections that are open at one end only: each hop, each direction. Who
//! sits on one gives it up by itself, and nothing is lost.

use std::time::{Duration, Instant};

use futures::future::join_all;
use harness::api::Api;
use harness::fleet::{Fleet, Part, Wires};
use harness::load::Rate;
use harness::proxy::{Network, Proxy};
use harness::scale::is_long;
use harness::wait::{check, eventually_within};

/// Far beyond the promised 15 s: the figures are printed.
const PATIENCE: Duration = Duration::from_secs(90);

/// Requests at once for each aggregator: more than its pool has connections.
const AT_ONCE: usize = 16;

type Hop = (&'static str, fn(&Wires) -> &Proxy, Part);

const HOPS: [Hop; 4] = [
    ("agent to nats-server", |wires| &wires.agent, Part::Agent),
    (
        "aggregators to nats-server",
        |wires| &wires.aggregators,
        Part::Nats,
    ),
    (
        "aggregators to Postgres",
        |wires| &wires.postgres,
        Part::Postmaster,
    ),
    (
        "browser to aggregator",
        |wires| &wires.browser,
        Part::Aggregator(0),
    ),
];

/// Asks both aggregators more at once than they have idle connections to Postgres: one that nobody uses is
/// given up by the kernel, which cannot know of a proxy's black hole.
async fn use_every_connection(fleet: &Fleet) {
    let apis: Vec<Api> = fleet
        .system
        .aggregators
        .iter()
        .map(|a| Api::new(a.base()))
        .collect();
    let asked = apis.iter().cycle().take(AT_ONCE * apis.len());
    join_all(asked.map(|api| api.get("/api/v1/costs"))).await;
}

/// Swallows one direction of the connections of a hop until each was given up by one of its ends. New ones
/// pass: a client of NATS keeps its old one until it has another.
async fn swallow(fleet: &Fleet, wires: &Wires, (name, wire, part): Hop, network: Network) {
    let proxy = wire(wires);
    // Whoever gave the last one up may still be waiting before the next.
    eventually_within(PATIENCE, name, async || {
        check(!proxy.held().is_empty(), || "no connection".to_owned())
    })
    .await;
    let (held, since) = (proxy.strand(network), Instant::now());
    assert!(!held.is_empty(), "{name}: there is no connection");
    let mut given_up = Vec::new();
    eventually_within(PATIENCE, name, async || {
        if part == Part::Postmaster {
            use_every_connection(fleet).await;
        }
        let left = proxy.held().intersection(&held).count();
        given_up.resize(held.len() - left, since.elapsed().as_secs_f64());
        check(left == 0, || {
            format!("{left} of {} connections are held", held.len())
        })
    })
    .await;
    let (first, slowest) = (given_up[0], given_up[held.len() - 1]);
    eprintln!(
        "half open: {name}, {network:?}: {} connections, the first given up after {first:.1} s, the slowest after {slowest:.1} s",
        held.len()
    );
    proxy.set(Network::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_are_given_up_and_nothing_is_lost() {
    let (mut fleet, wires) = Fleet::start_wired(20).await;
    let load = fleet.load(Rate(50), 3);
    fleet.converges(Part::Nats).await;
    fleet.converged.clear();
    if is_long() {
        for hop in HOPS {
            for network in [Network::NoAnswers, Network::NoRequests] {
                swallow(&fleet, &wires, hop, network).await;
                fleet.converges(hop.2).await;
            }
        }
    } else {
        let lost = |hop, network| swallow(&fleet, &wires, hop, network);
        tokio::join!(
            lost(HOPS[0], Network::NoAnswers),
            lost(HOPS[1], Network::NoRequests),
            lost(HOPS[2], Network::NoAnswers)
        );
        fleet.converges(Part::Postmaster).await;
    }
    load.stop().await;
    let verdict = fleet.verdict().await;
    verdict.assert_faultless_at_a_rate("half open");
    assert_eq!(fleet.breaches(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_on_every_hop_changes_nothing_but_the_delay() {
    let (mut fleet, wires) = Fleet::start_wired(10).await;
    for (_, wire, _) in HOPS {
        wire(&wires).set(Network::Slow(Duration::from_millis(40)));
    }
    let load = fleet.load(Rate(20), 4);
    fleet.converges(Part::Nats).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.stop().await;
    fleet
        .verdict()
        .await
        .assert_faultless_at_a_rate("slow network");
}
