//! The outbox reaches its own limit: it stays within it, older states give way, and their builds say so.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::oracle::Recorder;
use harness::scale::scale;
use harness::steady::Steady;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use harness::writer::Project;

use super::{nothing_ended, projects, report, what_gave_way_is_marked};

/// Bytes of the outbox and what lies beside it.
fn outbox_bytes(state: &Path) -> u64 {
    let entries = std::fs::read_dir(state).unwrap().filter_map(Result::ok);
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("outbox"));
    ours.filter_map(|entry| entry.metadata().ok())
        .map(|found| found.len())
        .sum()
}

/// An agent whose outbox may take 8 MiB.
async fn system_with_a_small_outbox() -> System {
    System::start_with(&[("PHASELINE_OUTBOX_MAX", "8MiB")]).await
}

/// Each project's newest number is at least this: all of them together were several times the limit.
fn all_wrote(recorder: &Recorder, projects: usize, rounds: u64) -> bool {
    let newest = recorder.truth.newest();
    newest.values().filter(|n| **n >= rounds).count() >= projects
}

#[tokio::test]
async fn a_full_outbox_stays_within_its_limit_and_keeps_the_newest_states() {
    const LIMIT: u64 = 8 << 20;
    /// The write-ahead file's own limit, and one event.
    const BESIDE: u64 = 18 << 20;
    let mut system = system_with_a_small_outbox().await;
    let (state, recorder) = (system.agents[0].state_dir(), Recorder::start(&system));
    // More files than fit even once: their newest states are read when there is room.
    let projects = projects(&system, 40);
    let quiet = system.project("quiet");
    system.nats.kill().await;
    recorder.step(&quiet, 1);
    recorder.truth.agent_ends();
    let writer = Steady::start(&recorder.truth, &projects, 250_000);
    let mut largest = 0;
    let rounds = scale(5, 100);
    while !all_wrote(&recorder, projects.len(), rounds) {
        largest = largest.max(outbox_bytes(&state));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    writer.stop().await;
    nothing_ended(&mut system);
    system.nats.up().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    report("limit of the outbox", Duration::ZERO, &verdict);
    eprintln!("{largest} bytes at most, {LIMIT} allowed and {BESIDE} beside");
    assert!(largest > LIMIT / 2, "it was filled");
    assert!(largest <= LIMIT + BESIDE, "{largest}");
    assert!(!verdict.unkept.is_empty(), "not everything fitted");
    what_gave_way_is_marked(&system, &projects, &verdict).await;
    let quiet = system.build(&quiet, 1, |_| true).await;
    assert_eq!(quiet.gap_at, None, "of it nothing gave way");
    let api = system.api();
    eventually("the overflow shows on the host", async || {
        let host = api.host(HOST).await?;
        let overflowed = host.outbox.is_some_and(|outbox| outbox.overflowed);
        check(overflowed, || format!("{host:?}"))
    })
    .await;
}

#[tokio::test]
async fn what_gave_way_in_a_full_outbox_is_marked_also_when_the_agent_is_killed_then() {
    let mut system = system_with_a_small_outbox().await;
    let recorder = Recorder::start(&system);
    let all = projects(&system, 44);
    let quiet: Vec<Project> = (0..4)
        .map(|n| system.project(&format!("quiet{n}")))
        .collect();
    system.nats.kill().await;
    for project in &quiet {
        recorder.step(project, 1);
    }
    recorder.truth.agent_ends();
    let writer = Steady::start(&recorder.truth, &all, 250_000);
    for rounds in [3, 5] {
        while !all_wrote(&recorder, all.len(), rounds) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        system.agents[0].kill();
        system.agents[0].restart();
    }
    writer.stop().await;
    system.nats.up().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    report("limit of the outbox and a kill", Duration::ZERO, &verdict);
    let watched: Vec<Project> = Arc::into_inner(all)
        .unwrap()
        .into_iter()
        .chain(quiet)
        .collect();
    assert!(!verdict.unkept.is_empty(), "not everything fitted");
    what_gave_way_is_marked(&system, &watched, &verdict).await;
}
