//! A thousand browsers of which a hundred never read.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use harness::publisher::Publisher;
use harness::scale::scale;
use harness::system::System;
use harness::wait::{check, eventually};
use tokio::task::JoinSet;

use super::crowd::{
    Noted, Shared, has, lock, missing, open, open_asleep, percentile_ms, play, read,
};

/// What the aggregator may grow by, MiB: the promise for 100 browsers of 1,000 that never read.
const MAX_GROWTH_MIB: u64 = 100;
const PROJECTS: usize = 10;
/// Text in each file, bytes: so that what nobody reads fills every buffer on the way.
const FILLER: usize = 6 * 1024;
const PACE: Duration = Duration::from_millis(50);

fn resident_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}

/// Readers that go on until they are dropped.
async fn readers(base: &str, count: usize) -> (Vec<Shared>, JoinSet<()>) {
    let mut tasks = JoinSet::new();
    let mut all = Vec::new();
    for _ in 0..count {
        let noted = Shared::default();
        let mut socket = open(base, &noted).await.expect("the stream is open");
        let mine = Shared::clone(&noted);
        tasks.spawn(async move { read(&mut socket, &mine, |_| false).await });
        all.push(noted);
    }
    (all, tasks)
}

async fn all_have(readers: &[Shared], last: &HashMap<String, u64>) {
    eventually("every reader has the last step of each build", async || {
        let missing = missing(readers, last);
        check(missing == 0, || format!("{missing} readers miss one"))
    })
    .await;
}

/// The 99th percentile of all readers, which forget it.
fn p99_ms(readers: &[Shared]) -> u64 {
    let took = readers
        .iter()
        .flat_map(|noted| std::mem::take(&mut lock(noted).took_us));
    percentile_ms(took.collect(), 99)
}

/// Reads at last: what had come, then, when it was shown out, what it missed.
async fn awake(
    base: &str,
    mut socket: tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>,
    last: &HashMap<String, u64>,
) -> (Noted, bool) {
    let noted = Shared::default();
    let done = |noted: &Noted| has(noted, last);
    read(&mut socket, &noted, done).await;
    let closed = !done(&lock(&noted));
    if closed {
        let mut socket = open(base, &noted).await.expect("the stream is open");
        read(&mut socket, &noted, done).await;
    }
    let noted = std::mem::take(&mut *lock(&noted));
    (noted, closed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_that_never_read_cost_little_slow_nobody_and_miss_no_final_state() {
    let (count, asleep, steps) = scale((54, 6, 20), (900, 100, 40));
    let system = System::start().await;
    let base = system.aggregators[0].base();
    let pid = system.aggregators[0].process.pid();
    // Before there is any client.
    let before = resident_mib(pid);
    let mut publisher = Publisher::connect(&system.nats, "crowd").await;
    let (readers, _tasks) = readers(&base, count).await;
    let last = play(&mut publisher, PROJECTS, 1..=steps, FILLER, PACE).await;
    all_have(&readers, &last).await;
    let p99_before = p99_ms(&readers);
    let with_readers = resident_mib(pid);

    let mut sleepers = Vec::new();
    for _ in 0..asleep {
        sleepers.push(open_asleep(&base).await);
    }
    let mut most = with_readers;
    let mut watch = tokio::time::interval(Duration::from_millis(100));
    let last = {
        let mut playing = std::pin::pin!(play(
            &mut publisher,
            PROJECTS,
            steps + 1..=3 * steps,
            FILLER,
            PACE
        ));
        loop {
            tokio::select! {
                last = &mut playing => break last,
                _ = watch.tick() => most = most.max(resident_mib(pid)),
            }
        }
    };
    all_have(&readers, &last).await;
    most = most.max(resident_mib(pid));
    let p99_after = p99_ms(&readers);

    let (mut closed, mut lost) = (0, missing(&readers, &last));
    for sleeper in sleepers {
        let what = "a reader that slept has the last step of each build";
        let woken = tokio::time::timeout(harness::wait::DEADLINE, awake(&base, sleeper, &last));
        let (noted, was_closed) = woken.await.expect(what);
        lost += usize::from(!has(&noted, &last));
        assert_eq!(noted.out_of_order, 0);
        closed += usize::from(was_closed);
    }
    let out_of_order: usize = readers.iter().map(|noted| lock(noted).out_of_order).sum();
    eprintln!(
        "clients: {count} readers and {asleep} that never read; lost {lost} / duplicate or out of order {out_of_order}; \
         p99 {p99_before} ms before, {p99_after} ms with them; aggregator {before} MiB before any client, \
         {with_readers} MiB with those that read, {most} MiB at most; \
         {closed} were closed and resumed"
    );
    assert_eq!((lost, out_of_order), (0, 0));
    assert!(most - before <= MAX_GROWTH_MIB, "{before} to {most} MiB");
}
