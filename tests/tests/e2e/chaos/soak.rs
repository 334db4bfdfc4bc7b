//! Hours in minutes: steady load, a random fault each minute, and nothing
//! grows: no memory, no descriptor, no watch. Agent and first aggregator are
//! never killed here, so that each can be looked at over the whole time; the
//! kills are in `kills`.

use std::time::{Duration, Instant};

use harness::fleet::{Fleet, Part, Wires};
use harness::load::Rate;
use harness::process::Process;
use harness::proxy::Network;
use harness::scale::{chosen, is_long, scale};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const MINUTE: Duration = Duration::from_secs(60);
/// Caches fill and pools open their connections in this time.
const WARM_UP: Duration = Duration::from_secs(5 * 60);
/// What resident memory may grow after that: pages of the allocator, no queue.
const GROWTH_KIB: u64 = 2 * 1024;
/// Descriptors that are open for a moment only: a file that is read, a connection that syncs. What leaks does so with each fault.
const PASSING: usize = 2;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill(Part),
    FreezeAgent,
    FreezeAggregator,
    FreezeNats,
    Network(usize, Network),
}

fn random_fault(rng: &mut StdRng) -> Fault {
    let networks = [
        Network::Stalled,
        Network::NoAnswers,
        Network::NoRequests,
        Network::Cut,
        Network::Slow(Duration::from_millis(100)),
    ];
    match rng.random_range(0..9) {
        0 => Fault::Kill(Part::Nats),
        1 => Fault::Kill(Part::Postmaster),
        2 => Fault::Kill(Part::Backend),
        3 => Fault::Kill(Part::Aggregator(1)),
        4 => Fault::FreezeAgent,
        5 => Fault::FreezeAggregator,
        6 => Fault::FreezeNats,
        _ => {
            let network = networks[rng.random_range(0..networks.len())];
            Fault::Network(rng.random_range(0..4), network)
        }
    }
}

/// Does it for a while, then undoes it.
async fn inflict(fleet: &mut Fleet, wires: &Wires, fault: Fault, lasts: Duration) {
    let wire = |number| match number {
        0 => &wires.agent,
        1 => &wires.aggregators,
        2 => &wires.postgres,
        _ => &wires.browser,
    };
    match fault {
        Fault::Kill(part) => fleet.kill(part).await,
        Fault::FreezeAgent => {
            fleet.truth.agent_ends();
            fleet.system.agents[0].process.freeze();
        }
        Fault::FreezeAggregator => fleet.system.aggregators[0].process.freeze(),
        Fault::FreezeNats => fleet.system.nats.freeze(),
        Fault::Network(number, network) => wire(number).set(network),
    }
    tokio::time::sleep(lasts).await;
    match fault {
        Fault::Kill(part) => fleet.revive(part).await,
        Fault::FreezeAgent => {
            fleet.system.agents[0].process.thaw();
            fleet.agent_is_back().await;
        }
        Fault::FreezeAggregator => fleet.system.aggregators[0].process.thaw(),
        Fault::FreezeNats => fleet.system.nats.thaw(),
        Fault::Network(number, _) => wire(number).set(Network::Up),
    }
    fleet.converges(Part::Nats).await;
}

/// What a process has at one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    resident_kib: u64,
    open_files: usize,
    watches: usize,
}

impl Look {
    fn at(process: &Process, since: Instant) -> Self {
        Self {
            at: since.elapsed(),
            resident_kib: process.resident_kib(),
            open_files: process.open_files(),
            watches: process.watches(),
        }
    }
}

/// The middle one: a single look may fall into a fault.
fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

/// What grew from the minute after the warm-up to the last one; empty when nothing did.
fn growth(name: &str, looks: &[Look], warm_up: Duration) -> Vec<String> {
    let end = looks.last().map_or(Duration::ZERO, |look| look.at);
    let window = MINUTE.min(end.saturating_sub(warm_up) / 2);
    let first: Vec<&Look> = looks
        .iter()
        .filter(|look| look.at >= warm_up && look.at <= warm_up + window)
        .collect();
    let last: Vec<&Look> = looks
        .iter()
        .filter(|look| look.at + window >= end)
        .collect();
    let before = looks.iter().filter(|look| look.at <= warm_up + window);
    let most_files = before.map(|look| look.open_files).max().unwrap_or(0);
    let memory = |looks: &[&Look]| median(looks.iter().map(|look| look.resident_kib));
    let (kib, kib_now) = (memory(&first), memory(&last));
    let files = median(last.iter().map(|look| look.open_files));
    let watches = median(first.iter().map(|look| look.watches));
    let watches_now = median(last.iter().map(|look| look.watches));
    eprintln!(
        "soak: {name}: {kib} KiB after the warm-up, {kib_now} KiB at the end; \
         {files} descriptors at the end, {most_files} at most before; \
         {watches} watches, {watches_now} at the end"
    );
    let mut grown = Vec::new();
    if is_long() && kib_now > kib + GROWTH_KIB {
        grown.push(format!(
            "{name}: resident memory from {kib} to {kib_now} KiB"
        ));
    }
    if files > most_files + PASSING {
        grown.push(format!("{name}: descriptors from {most_files} to {files}"));
    }
    if watches_now != watches {
        grown.push(format!("{name}: watches from {watches} to {watches_now}"));
    }
    grown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_fault_each_minute_nothing_is_lost_and_nothing_grows() {
    let minutes = chosen("HOURS").map(|hours| hours * 60);
    let minutes = minutes.or(chosen("MINUTES")).unwrap_or(20);
    let whole = scale(Duration::from_secs(8), Duration::from_secs(60 * minutes));
    let (every, lasts) = scale((Duration::from_secs(3), 1), (MINUTE, 20));
    let warm_up = WARM_UP.min(whole / 4);
    let seed = chosen("PHASELINE_TEST_SEED").unwrap_or_else(rand::random);
    eprintln!(
        "soak: {} s, seed {seed} (PHASELINE_TEST_SEED)",
        whole.as_secs()
    );
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut fleet, wires) = Fleet::start_wired(50).await;
    let load = fleet.load(Rate(50), seed);
    fleet.converges(Part::Nats).await;

    let since = Instant::now();
    let mut looks: [Vec<Look>; 2] = Default::default();
    let mut next_fault = every;
    while since.elapsed() < whole {
        looks[0].push(Look::at(&fleet.system.agents[0].process, since));
        looks[1].push(Look::at(&fleet.system.aggregators[0].process, since));
        if since.elapsed() >= next_fault {
            next_fault += every;
            let fault = random_fault(&mut rng);
            let lasts = Duration::from_secs(rng.random_range(0..lasts));
            eprintln!(
                "soak: {} s: {fault:?} for {lasts:?}",
                since.elapsed().as_secs()
            );
            inflict(&mut fleet, &wires, fault, lasts).await;
        }
        tokio::time::sleep(scale(LOOK_EVERY / 10, LOOK_EVERY)).await;
    }
    load.stop().await;
    fleet.verdict().await.assert_faultless("soak");
    let mut grown = growth("agent", &looks[0], warm_up);
    grown.extend(growth("aggregator", &looks[1], warm_up));
    assert_eq!(grown, Vec::<String>::new());
    assert_eq!(fleet.breaches(), Vec::<String>::new());
}
