//! Agent, aggregator, nats-server and Postgres are killed in any order while
//! files change: in the end every state is right, no row is there twice, and
//! every browser shows what the API says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::fixtures;
use harness::follower::Follower;
use harness::oracle::{Truth, faults};
use harness::stream::agree;
use harness::system::System;
use harness::wait::{check, eventually_within};
use harness::writer::{Manner, PHASE, Project};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// Changes per second, over all files.
const RATE: u32 = 200;
const PROJECTS: usize = 8;
/// Browsers that follow the stream through it all.
const FOLLOWERS: usize = 3;
/// Until all has arrived after the last restart.
const CONVERGENCE: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy)]
enum Part {
    Agent,
    Aggregator,
    Nats,
    Postgres,
}

/// Kills of each part: `PHASELINE_TEST_KILLS`, ten for the long form.
fn kills() -> usize {
    std::env::var("PHASELINE_TEST_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3)
}

fn seed() -> u64 {
    let given = std::env::var("PHASELINE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    given.unwrap_or_else(rand::random)
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_wrong_when_every_part_is_killed_under_load() {
    let seed = seed();
    eprintln!(
        "seed {seed} (PHASELINE_TEST_SEED), {} kills of each part",
        kills()
    );
    let mut rng = StdRng::seed_from_u64(seed);
    let mut system = System::start_with_own_postgres().await;
    let base = system.aggregators[0].base();
    let followers: Vec<Follower> = (0..FOLLOWERS).map(|_| Follower::start(&base)).collect();
    let projects: Arc<Vec<Project>> = Arc::new(
        (0..PROJECTS)
            .map(|number| system.project(&format!("work/p{number}")))
            .collect(),
    );

    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (projects, stop, rng) = (
            Arc::clone(&projects),
            Arc::clone(&stop),
            StdRng::seed_from_u64(seed),
        );
        tokio::task::spawn_blocking(move || write_until(&projects, &stop, rng))
    };
    kill_at_random(&mut system, &mut rng).await;
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap();

    converge(&system, &projects).await;
    let events = system.database.events().await.unwrap();
    let builds = system.database.builds().await.unwrap();
    let truths: Vec<Truth> = projects.iter().map(Truth::from).collect();
    let faults = faults(&truths, &events, &builds);
    assert!(
        faults.is_empty(),
        "{} faults, seed {seed}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert_eq!(builds.len(), PROJECTS, "a kill must not begin a run");
    let letters = system
        .database
        .number("SELECT count(*) FROM dead_letter")
        .await
        .unwrap();
    assert_eq!(letters, 0, "an outage is no reason to set anything aside");
    eprintln!("{written} writes, {} rows, 0 faults", events.len());
    for follower in &followers {
        assert_follows(&system, follower).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a writer's pace, on a thread of its own"
)]
fn write_until(projects: &[Project], stop: &AtomicBool, mut rng: StdRng) -> u64 {
    let mut count = 0;
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let project = &projects[rng.random_range(0..projects.len())];
        let manner = if rng.random_bool(0.5) {
            Manner::InPlace
        } else {
            Manner::Atomic
        };
        project.write(PHASE, &fixtures::numbered(&project.name(), count), manner);
        let due = Duration::from_secs(1) / RATE * u32::try_from(count).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    count
}

async fn kill_at_random(system: &mut System, rng: &mut StdRng) {
    let parts = [Part::Agent, Part::Aggregator, Part::Nats, Part::Postgres];
    let mut order: Vec<Part> = parts
        .into_iter()
        .cycle()
        .take(parts.len() * kills())
        .collect();
    order.shuffle(rng);
    let mut down: Vec<Part> = Vec::new();
    for part in order {
        pause(rng, 1_200).await;
        eprintln!("kill {part:?}");
        kill(system, part).await;
        down.push(part);
        // One in three stays down through the next kill.
        if rng.random_bool(0.33) {
            continue;
        }
        pause(rng, 600).await;
        for part in std::mem::take(&mut down) {
            revive(system, part).await;
        }
    }
    pause(rng, 600).await;
    for part in down {
        revive(system, part).await;
    }
}

/// The moment of a kill is the experiment, not a synchronisation.
async fn pause(rng: &mut StdRng, limit_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..limit_ms))).await;
}

async fn kill(system: &mut System, part: Part) {
    match part {
        Part::Agent => system.agents[0].kill(),
        Part::Aggregator => system.aggregators[0].kill(),
        Part::Nats => system.nats.kill().await,
        Part::Postgres => system.postgres.as_mut().unwrap().kill().await,
    }
}

async fn revive(system: &mut System, part: Part) {
    match part {
        Part::Agent => system.agents[0].restart(),
        Part::Aggregator => system.aggregators[0].restart(),
        Part::Nats => system.nats.up().await,
        Part::Postgres => system.postgres.as_mut().unwrap().up().await,
    }
}

async fn converge(system: &System, projects: &[Project]) {
    for project in projects {
        let id = project.build_id(harness::system::HOST, 1);
        let last = project.written().last().cloned();
        eventually_within(
            CONVERGENCE,
            "the newest state of every file in the API",
            async || {
                let build = system.api().build(&id).await?;
                let fields = Some(serde_json::Value::Object(build.fields.clone()));
                check(fields == last, || {
                    format!("{id}: {fields:?} and not {last:?}")
                })
            },
        )
        .await;
    }
}

async fn assert_follows(system: &System, follower: &Follower) {
    let api = system.api();
    eventually_within(
        CONVERGENCE,
        "a browser shows what the API says",
        async || {
            let seen = follower.seen();
            for build in api.builds().await? {
                let raw = api.raw_build(&build.id).await?;
                let told = seen.builds.get(&build.id).cloned().unwrap_or_default();
                agree(&told, &raw)?;
            }
            Ok(())
        },
    )
    .await;
    let breaches = follower.seen().breaches;
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}
