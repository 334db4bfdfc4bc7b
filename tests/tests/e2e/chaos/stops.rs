//! Parts that are asked to stop, under load: they end soon and with success,
//! browsers are told and resume, and next to nothing is delivered twice.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::api::Api;
use harness::fleet::{Fleet, Part};
use harness::load::Rate;
use harness::scale::scale;
use harness::wait::{check, eventually};

/// The promise; a stop that takes longer is killed by most service managers.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Events of one batch: what may come again after a stop.
const BATCH: f64 = 500.0;
/// "Going away", by RFC 6455.
const GOING_AWAY: u16 = 1001;
const REPEATED: &str = "phaseline_writer_events_total{kind=\"repeated\"}";

async fn repeated(fleet: &Fleet, index: usize) -> f64 {
    let api = Api::new(fleet.system.aggregators[index].base());
    // Nothing was ever repeated: there is no such line.
    api.metric(REPEATED).await.unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_stops_in_order_under_load_and_nothing_is_lost() {
    let rounds = scale(2, 50);
    let (rate, files) = scale((Rate(100), 30), (Rate(200), 100));
    let mut fleet = Fleet::start(files).await;
    let load = fleet.load(rate, 5);
    fleet.converges(Part::Nats).await;
    fleet.converged.clear();
    let mut slowest: BTreeMap<String, Duration> = BTreeMap::new();
    let mut most_repeated = 0.0_f64;
    for round in 0..rounds {
        let aggregator = round % 2;
        for part in [
            Part::Agent,
            Part::Aggregator(aggregator),
            Part::Nats,
            Part::Postmaster,
        ] {
            let other = 1 - aggregator;
            let before = repeated(&fleet, other).await;
            let took = fleet.stop(part).await;
            let kind = format!("{part:?}");
            let kind = kind.split('(').next().unwrap_or_default().to_owned();
            let longest = slowest.entry(kind).or_default();
            *longest = took.max(*longest);
            fleet.revive(part).await;
            fleet.converges(part).await;
            let again = repeated(&fleet, other).await - before;
            if matches!(part, Part::Agent | Part::Aggregator(_)) {
                most_repeated = most_repeated.max(again);
            }
        }
        if (round + 1) % 10 == 0 {
            eprintln!("stops: {} of {rounds} rounds", round + 1);
        }
    }
    load.stop().await;
    eprintln!("stops: slowest {slowest:?}, at most {most_repeated} events came again");
    eprintln!("stops: slowest return: {}", fleet.slowest());
    fleet.verdict().await.assert_faultless_at_a_rate("stops");
    assert!(slowest.values().all(|took| *took < STOP_WITHIN));
    assert!(most_repeated <= BATCH, "{most_repeated}");
    for (number, follower) in fleet.followers.iter().enumerate() {
        let ends = follower.ends();
        let all_told = ends.iter().all(|end| *end == Some(GOING_AWAY));
        assert!(all_told, "browser {number}: {ends:?}");
        let snapshots = follower.look(|seen| seen.snapshots);
        assert_eq!(snapshots, 1, "browser {number} was resumed each time");
    }
    assert!(fleet.followers.iter().any(|f| !f.ends().is_empty()));
    assert_eq!(fleet.breaches(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_two_aggregators_is_one_reconnect_for_a_browser() {
    let mut fleet = Fleet::start(20).await;
    let load = fleet.load(Rate(50), 6);
    fleet.converges(Part::Nats).await;
    for index in [0, 1] {
        fleet.stop(Part::Aggregator(index)).await;
        fleet.revive(Part::Aggregator(index)).await;
        fleet.system.aggregators[index].ready().await;
        fleet.converges(Part::Aggregator(index)).await;
    }
    load.stop().await;
    fleet
        .verdict()
        .await
        .assert_faultless_at_a_rate("rolling restart");
    for (number, follower) in fleet.followers.iter().enumerate() {
        eventually("it is connected again", async || {
            check(!follower.look(|seen| seen.over), || "not yet".to_owned())
        })
        .await;
        let ends = follower.ends();
        assert!(ends.iter().all(|end| *end == Some(GOING_AWAY)), "{ends:?}");
        let snapshots = follower.look(|seen| seen.snapshots);
        eprintln!(
            "rolling restart: browser {number}: {} reconnects",
            ends.len()
        );
        assert_eq!(snapshots, 1, "browser {number} was resumed, not begun anew");
    }
    assert_eq!(fleet.breaches(), Vec::<String>::new());
}
