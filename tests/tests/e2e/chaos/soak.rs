//! Hours in minutes: steady load, a random fault each minute, and nothing
//! grows: no memory, no descriptor, no watch. Agent and first aggregator are
//! never killed here, so that each can be looked at over the whole time; the
//! kills are in `kills`.

use std::time::{Duration, Instant};

use harness::fleet::{Fleet, Part, Wires};
use harness::load::Rate;
use harness::postgres::Postgres;
use harness::process;
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

/// What a process has at one moment at which no fault is done.
#[derive(Debug, Clone, Copy)]
struct Look {
    pid: u32,
    at: Duration,
    resident_kib: u64,
    open_files: usize,
    watches: usize,
}

impl Look {
    fn at(pid: u32, since: Instant) -> Self {
        Self {
            pid,
            at: since.elapsed(),
            resident_kib: process::resident_kib(pid),
            open_files: process::open_files(pid),
            watches: process::watches(pid),
        }
    }
}

/// Whom is looked at, and whether it is ours: what others need is printed only.
const LOOKED_AT: [(&str, bool); 5] = [
    ("agent", true),
    ("aggregator 0", true),
    ("aggregator 1", true),
    ("nats-server", false),
    ("Postgres", false),
];

fn pids(fleet: &Fleet) -> [Option<u32>; 5] {
    let system = &fleet.system;
    [
        Some(system.agents[0].process.pid()),
        Some(system.aggregators[0].process.pid()),
        Some(system.aggregators[1].process.pid()),
        system.nats.pid(),
        system.postgres.as_ref().and_then(Postgres::pid),
    ]
}

/// The middle one: a single look may fall into a moment at which a file is read.
fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

/// What grew from the minute after the warm-up to the last one; empty when nothing did. Of a part
/// that was started again, its last process is looked at, from its own warm-up on.
fn growth(name: &str, looks: &[Look], warm_up: Duration) -> Vec<String> {
    let pid = looks.last().map(|look| look.pid);
    let looks: Vec<&Look> = looks.iter().filter(|look| Some(look.pid) == pid).collect();
    let (Some(begin), Some(end)) = (looks.first(), looks.last()) else {
        return Vec::new();
    };
    let (warm, end) = (begin.at + warm_up, end.at);
    let window = MINUTE.min(end.saturating_sub(warm) / 2);
    let first = || {
        looks
            .iter()
            .filter(|look| look.at >= warm && look.at <= warm + window)
    };
    let last = || looks.iter().filter(|look| look.at + window >= end);
    if first().count() == 0 {
        eprintln!("soak: {name}: started again too late to say what it needs");
        return Vec::new();
    }
    let kib = median(first().map(|look| look.resident_kib));
    let kib_now = median(last().map(|look| look.resident_kib));
    let files = if is_long() {
        median(first().map(|look| look.open_files))
    } else {
        // Pools still open their connections in these few seconds.
        let before = looks.iter().filter(|look| look.at <= warm + window);
        before.map(|look| look.open_files).max().unwrap_or(0)
    };
    let files_now = median(last().map(|look| look.open_files));
    let watches = median(first().map(|look| look.watches));
    let watches_now = median(last().map(|look| look.watches));
    eprintln!(
        "soak: {name}: after the warm-up and at the end {kib} and {kib_now} KiB, \
         {files} and {files_now} descriptors, {watches} and {watches_now} watches"
    );
    let mut grown = Vec::new();
    if is_long() && kib_now > kib + GROWTH_KIB {
        grown.push(format!(
            "{name}: resident memory from {kib} to {kib_now} KiB"
        ));
    }
    if files_now > files + PASSING {
        grown.push(format!("{name}: descriptors from {files} to {files_now}"));
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
    let mut looks: [Vec<Look>; 5] = Default::default();
    let mut next_fault = every;
    while since.elapsed() < whole {
        for (looks, pid) in looks.iter_mut().zip(pids(&fleet)) {
            looks.extend(pid.map(|pid| Look::at(pid, since)));
        }
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
    fleet.verdict().await.assert_faultless_at_a_rate("soak");
    let mut grown = Vec::new();
    for ((name, ours), looks) in LOOKED_AT.into_iter().zip(&looks) {
        let found = growth(name, looks, warm_up);
        if ours {
            grown.extend(found);
        }
    }
    assert_eq!(grown, Vec::<String>::new());
    assert_eq!(fleet.breaches(), Vec::<String>::new());
}
