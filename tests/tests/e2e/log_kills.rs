//! A log that grows while everything is killed: every complete line is there
//! once and in order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use harness::adw::{Tree, Workflow, planned};
use harness::api::Api;
use harness::scale::{chosen, scale};
use harness::system::{HOST, System};
use harness::wait::eventually;
use protocol::LogPage;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinHandle;

use crate::log_lines::{append, execution_log, log};

/// What is done while the log grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    Agent,
    Aggregator,
    Both,
    Nats,
    Postmaster,
    Backend,
    /// Of the file: its writer ends the line that it was in, and goes on in a new one.
    Rotation,
}

const ALL: [Blow; 7] = [
    Blow::Agent,
    Blow::Aggregator,
    Blow::Both,
    Blow::Nats,
    Blow::Postmaster,
    Blow::Backend,
    Blow::Rotation,
];
/// Lines that are written at once, in two pieces of which the first ends within a line,
const BURST: u32 = 5;
/// and between two of them: all that is written in the long form is within what is kept of a build.
const PACE: Duration = Duration::from_millis(200);

/// A program that writes its log until it is told to stop.
struct Writer {
    written: Arc<AtomicU32>,
    rotate: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(path: &Path) -> Self {
        let (written, rotate, stop) = (Arc::default(), Arc::default(), Arc::default());
        let path = path.to_owned();
        let shared = (Arc::clone(&written), Arc::clone(&rotate), Arc::clone(&stop));
        let task =
            tokio::task::spawn_blocking(move || write(&path, &shared.0, &shared.1, &shared.2));
        Self {
            written,
            rotate,
            stop,
            task: Some(task),
        }
    }

    /// Complete lines so far.
    fn written(&self) -> u32 {
        self.written.load(Ordering::Acquire)
    }

    /// Stops; so many lines were written.
    async fn stop(mut self) -> u32 {
        self.stop.store(true, Ordering::Release);
        self.task.take().unwrap().await.unwrap();
        self.written()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a writer's pace, on a thread of its own"
)]
fn write(path: &Path, written: &AtomicU32, rotate: &AtomicBool, stop: &AtomicBool) {
    let mut last = 0;
    while !stop.load(Ordering::Acquire) {
        let burst: String = (last + 1..=last + BURST)
            .map(|n| format!("line {n}\n"))
            .collect();
        let (before, after) = burst.split_at(burst.len() / 2 + 3);
        append(path, before);
        std::thread::sleep(PACE / 2);
        if rotate.swap(false, Ordering::AcqRel) {
            let old = rotated(path);
            std::fs::rename(path, &old).unwrap();
            let (rest, new) = after.split_at(after.find('\n').unwrap() + 1);
            append(&old, rest);
            append(path, new);
        } else {
            append(path, after);
        }
        last += BURST;
        written.store(last, Ordering::Release);
        std::thread::sleep(PACE / 2);
    }
}

fn rotated(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// The moment of a kill, and how long its part is away, are the experiment.
async fn pause(rng: &mut StdRng, limit_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..limit_ms))).await;
}

/// Kills it, and brings it back a moment later.
async fn strike(system: &mut System, blow: Blow, writer: &Writer, rng: &mut StdRng) {
    if matches!(blow, Blow::Agent | Blow::Both) {
        system.agents[0].kill();
    }
    if matches!(blow, Blow::Aggregator | Blow::Both) {
        system.aggregators[0].kill();
    }
    match blow {
        Blow::Nats => system.nats.kill().await,
        Blow::Postmaster => system.postgres.as_mut().unwrap().kill().await,
        Blow::Backend => {
            eventually("a process of Postgres can be killed", async || {
                let postgres = system.postgres.as_ref().unwrap();
                postgres.kill_backend(&system.database).await
            })
            .await;
        }
        Blow::Rotation => writer.rotate.store(true, Ordering::Release),
        Blow::Agent | Blow::Aggregator | Blow::Both => {}
    }
    pause(rng, 600).await;
    match blow {
        Blow::Agent => system.agents[0].restart(),
        Blow::Aggregator => system.aggregators[0].restart(),
        Blow::Both => {
            system.agents[0].restart();
            system.aggregators[0].restart();
        }
        Blow::Nats => system.nats.up().await,
        Blow::Postmaster => system.postgres.as_mut().unwrap().up().await,
        // Postgres comes back by itself.
        Blow::Backend | Blow::Rotation => {}
    }
}

/// The numbers of all lines of the log, in its order.
async fn numbers(api: &Api, id: &str) -> Vec<u32> {
    let (mut numbers, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let query = format!("?after={from}&limit=1000");
        let page = api.log(id, &query).await.unwrap();
        numbers.extend(page.lines.iter().map(|line| number(&line.text)));
        after = page.next;
    }
    numbers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_complete_line_comes_once_through_kills_and_a_rotation() {
    let seed = chosen("PHASELINE_TEST_SEED").unwrap_or_else(rand::random);
    let rounds = scale(1, 8);
    eprintln!("log and kills: seed {seed} (PHASELINE_TEST_SEED), {rounds} of each");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut system = System::start_with_own_postgres().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |_| true).await;
    let api = system.api();
    let writer = Writer::start(&execution_log(&workflow));
    let mut blows: Vec<Blow> = (0..rounds).flat_map(|_| ALL).collect();
    blows.shuffle(&mut rng);
    for (done, blow) in blows.iter().enumerate() {
        pause(&mut rng, 500).await;
        strike(&mut system, *blow, &writer, &mut rng).await;
        let written = writer.written();
        log(&api, &id, "?last=1", |page| last(page) >= written).await;
        eprintln!("log and kills: {} of {}: {blow:?}", done + 1, blows.len());
    }
    let written = writer.stop().await;
    let page = log(&api, &id, "?last=1", |page| last(page) >= written).await;
    let numbers = numbers(&api, &id).await;
    let kept: BTreeSet<u32> = numbers.iter().copied().collect();
    let lost: Vec<u32> = (1..=written).filter(|n| !kept.contains(n)).collect();
    let disordered = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count();
    let doubled = numbers.len() - kept.len();
    eprintln!(
        "log and kills: lost {} / duplicate {doubled} / out of order {disordered} ({written} lines, {} kept)",
        lost.len(),
        numbers.len()
    );
    assert_eq!((lost, doubled, disordered), (Vec::new(), 0, 0));
    assert_eq!(kept.last(), Some(&written), "no line that was not written");
    let newest = page.lines.last().unwrap().number;
    let counted = (newest, page.dropped, page.skipped_bytes);
    assert_eq!(counted, (i64::from(written), 0, 0));
}

/// Number in the newest line's text.
fn last(page: &LogPage) -> u32 {
    page.lines.last().map_or(0, |line| number(&line.text))
}

/// Number in a line's text; 0 in one that nobody wrote.
fn number(text: &str) -> u32 {
    let number = text.strip_prefix("line ");
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
