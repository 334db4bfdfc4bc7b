//! Connections that are open at one end only: each hop, each direction. Who
//! sits on one gives it up by itself, and nothing is lost.

use std::time::{Duration, Instant};

use harness::fleet::{Fleet, Part, Wires};
use harness::load::Rate;
use harness::proxy::{Network, Proxy};
use harness::scale::is_long;
use harness::wait::{check, eventually_within};

/// Far beyond the promised 15 s: the figures are printed.
const PATIENCE: Duration = Duration::from_secs(90);

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

/// Swallows one direction until the client of the hop makes a new connection.
async fn swallow(wires: &Wires, (name, wire, _): Hop, network: Network) {
    let proxy = wire(wires);
    let before = proxy.accepted();
    let since = Instant::now();
    proxy.set(network);
    eventually_within(PATIENCE, name, async || {
        let made = proxy.accepted();
        check(made > before, || "no new connection".to_owned())
    })
    .await;
    let seconds = since.elapsed().as_secs_f64();
    eprintln!("half open: {name}, {network:?}: given up after {seconds:.1} s");
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
                swallow(&wires, hop, network).await;
                fleet.converges(hop.2).await;
            }
        }
    } else {
        let lost = |hop| swallow(&wires, hop, Network::NoAnswers);
        tokio::join!(lost(HOPS[0]), lost(HOPS[2]));
        fleet.converges(Part::Postmaster).await;
    }
    load.stop().await;
    let verdict = fleet.verdict().await;
    verdict.assert_faultless("half open");
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
    fleet.verdict().await.assert_faultless("slow network");
}
