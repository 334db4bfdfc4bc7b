//! Every part is killed at any moment, under load, with two aggregators and
//! three browsers: nothing is lost, doubled or out of order.

mod controls;

use std::collections::BTreeMap;
use std::time::Duration;

use harness::fleet::{Fleet, Part};
use harness::load::Rate;
use harness::scale::{chosen, scale};
use harness::wait::{DEADLINE, eventually_within};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// What is done to a part in one round.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill(Part),
    /// An aggregator ends between its commit and its acknowledgement.
    BetweenCommitAndAck,
}

/// So many blows for each of agent, aggregator, nats-server and Postgres.
fn blows(of_each: usize, rng: &mut StdRng) -> Vec<Blow> {
    let mut order = Vec::new();
    for round in 0..of_each {
        order.push(Blow::Kill(Part::Agent));
        order.push(Blow::Kill(Part::Nats));
        order.push(Blow::Kill(match round % 2 {
            0 => Part::Postmaster,
            _ => Part::Backend,
        }));
        order.push(match round % 3 {
            0 => Blow::BetweenCommitAndAck,
            _ => Blow::Kill(Part::Aggregator(rng.random_range(0..2))),
        });
    }
    order.shuffle(rng);
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_out_of_order_when_every_part_is_killed_under_load() {
    let seed = chosen("PHASELINE_TEST_SEED").unwrap_or_else(rand::random);
    let kills = chosen("PHASELINE_TEST_KILLS").and_then(|n| usize::try_from(n).ok());
    let kills = kills.unwrap_or(scale(2, 25));
    let files = scale(40, 200);
    let rate = chosen("PHASELINE_TEST_RATE").and_then(|n| u32::try_from(n).ok());
    let rate = Rate(rate.unwrap_or(scale(100, 500)));
    eprintln!("kills: seed {seed} (PHASELINE_TEST_SEED), {kills} of each part, {rate:?}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut fleet = Fleet::start(files).await;
    let load = fleet.load(rate, seed);

    let order = blows(kills, &mut rng);
    let mut down: Vec<Part> = Vec::new();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, blow) in order.iter().enumerate() {
        pause(&mut rng, 1_000).await;
        eprintln!("kills: {} of {}: {blow:?}", number + 1, order.len());
        match blow {
            Blow::BetweenCommitAndAck => {
                revive(&mut fleet, &mut down).await;
                end_between_commit_and_ack(&mut fleet, &mut rng).await;
                *done.entry("aggregator").or_default() += 1;
                continue;
            }
            // A connection to Postgres can only be killed while there are some,
            Blow::Kill(Part::Backend) => revive(&mut fleet, &mut down).await,
            // and nothing twice.
            Blow::Kill(part) if down.contains(part) => revive(&mut fleet, &mut down).await,
            Blow::Kill(_) => {}
        }
        let Blow::Kill(part) = *blow else { continue };
        fleet.kill(part).await;
        down.push(part);
        *done.entry(name(part)).or_default() += 1;
        // One in three stays down through the next kill.
        if rng.random_bool(0.33) {
            continue;
        }
        pause(&mut rng, 500).await;
        revive(&mut fleet, &mut down).await;
    }
    revive(&mut fleet, &mut down).await;
    load.stop().await;
    eprintln!("kills: done {done:?}");
    assert_eq!(done.len(), 4, "{done:?}");
    assert!(done.values().all(|count| *count == kills), "{done:?}");

    let verdict = fleet.verdict().await;
    eprintln!("kills: slowest return: {}", fleet.slowest());
    eprintln!("kills: redelivered without effect: {}", fleet.repeated);
    verdict.assert_faultless_at_a_rate("kills");
    assert!(fleet.repeated > 0.0, "the kills led to no redelivery");
    let breaches = fleet.breaches();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    let database = &fleet.system.database;
    let builds = database.builds().await.unwrap();
    assert_eq!(builds.len(), files, "a kill must not begin a run");
    let letters = database.number("SELECT count(*) FROM dead_letter").await;
    assert_eq!(letters, Ok(0), "a kill is no reason to set anything aside");
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Agent => "agent",
        Part::Aggregator(_) => "aggregator",
        Part::Nats => "nats-server",
        Part::Postmaster | Part::Backend => "Postgres",
    }
}

/// The moment of a kill is the experiment, not a synchronisation.
async fn pause(rng: &mut StdRng, limit_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..limit_ms))).await;
}

/// Brings back all that is down; the time counts for the one that was killed last.
async fn revive(fleet: &mut Fleet, down: &mut Vec<Part>) {
    eprintln!("kills: back: {down:?}");
    let Some(last) = down.last().copied() else {
        return;
    };
    let mut parts = std::mem::take(down);
    // Postgres recovers from the death of a backend only while its first process lives.
    parts.sort_by_key(|part| matches!(part, Part::Backend));
    for part in parts {
        fleet.revive(part).await;
    }
    fleet.converges(last).await;
}

/// One gets the fail point, the other is killed so that the first leads, and
/// the first ends there; the other finds everything committed and unacknowledged.
async fn end_between_commit_and_ack(fleet: &mut Fleet, rng: &mut StdRng) {
    let batches: u32 = rng.random_range(1..20);
    let point = format!("after_commit:{batches}");
    fleet.count_repeated(0).await;
    fleet.system.aggregators[0].restart_with(&[("PHASELINE_FAIL_POINT", &point)]);
    fleet.system.aggregators[0].ready().await;
    fleet.kill(Part::Aggregator(1)).await;
    let victim = &mut fleet.system.aggregators[0].process;
    eventually_within(
        DEADLINE,
        "the aggregator ends at its fail point",
        async || victim.ended().ok_or_else(|| "it still runs".to_owned()),
    )
    .await;
    fleet.revive(Part::Aggregator(1)).await;
    fleet.converges(Part::Aggregator(1)).await;
    fleet.revive(Part::Aggregator(0)).await;
}
