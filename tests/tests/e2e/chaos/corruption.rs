//! Our own state is damaged or taken away.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::oracle::Recorder;
use harness::scale::scale;
use harness::steady::Steady;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use harness::writer::Project;
use protocol::subject;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

fn seed() -> u64 {
    harness::scale::chosen("PHASELINE_TEST_SEED").unwrap_or_else(rand::random)
}

/// Flips a bit of some bytes, or cuts a piece off; what was done.
fn damage(state: &Path, rng: &mut StdRng) -> String {
    let name = ["outbox.db", "outbox.db", "outbox.db-wal"][rng.random_range(0..3)];
    let path = state.join(name);
    let Ok(file) = File::options().read(true).write(true).open(&path) else {
        return format!("{name} is not there");
    };
    let size = file.metadata().unwrap().len();
    if size == 0 || rng.random_bool(0.3) {
        let left = rng.random_range(0..=size);
        file.set_len(left).unwrap();
        return format!("{name} cut to {left} of {size}");
    }
    let mut places = Vec::new();
    for _ in 0..rng.random_range(1..=16) {
        // Half of them where the most important things are.
        let end = if rng.random_bool(0.5) {
            size.min(512)
        } else {
            size
        };
        let place = rng.random_range(0..end);
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        byte[0] ^= 1 << rng.random_range(0..8);
        file.write_all_at(&byte, place).unwrap();
        places.push(place);
    }
    format!("{name} flipped at {places:?}")
}

fn set_aside(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state).unwrap().filter_map(Result::ok);
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.to_string_lossy().contains("outbox.corrupt-"))
        .collect()
}

#[tokio::test]
async fn a_damaged_outbox_never_keeps_the_agent_from_starting_nor_hides_a_state() {
    let (seed, rounds) = (seed(), scale(12, 200));
    eprintln!("seed {seed}, {rounds} rounds");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut system = System::start().await;
    let recorder = Recorder::start(&system);
    let projects: Vec<Project> = (0..6).map(|n| system.project(&format!("p{n}"))).collect();
    let state = system.agents[0].state_dir();
    let (mut noticed, mut count) = (0, 0_u64);
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        for project in &projects {
            count += 1;
            recorder.step(project, count);
        }
        // The moment of the kill is the experiment.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..150))).await;
        recorder.truth.agent_ends();
        system.agents[0].kill();
        let done = damage(&state, &mut rng);
        count += 1;
        recorder.step(&projects[0], count);
        let since = Instant::now();
        system.agents[0].restart();
        let before = noticed;
        let newest = recorder.truth.newest();
        for project in &projects {
            let last = newest[&project.token().to_string()];
            let api = system.api();
            let agent = &mut system.agents[0].process;
            eventually(&format!("round {round} after {done}"), async || {
                let ended = agent.ended();
                assert!(ended.is_none(), "{done}: {ended:?}\n{}", agent.tail());
                let build = api.build(&project.build_id(HOST, 1)).await?;
                let shown = build.fields.get("count");
                check(shown == Some(&last.into()), || format!("{shown:?}"))
            })
            .await;
        }
        recorder.truth.agent_watches();
        slowest = slowest.max(since.elapsed());
        let said = system.agents[0].process.output();
        let words = [
            "is set aside",
            "is gone or empty",
            "the newest part of the outbox was",
        ];
        if words.iter().any(|words| said.contains(words)) {
            noticed += 1;
            let api = system.api();
            eventually("what is set aside is an alarm of the host", async || {
                let host = api.host(HOST).await?;
                let reason = host.roots[0].reason.clone().unwrap_or_default();
                check(reason.contains("every file was read again"), || reason)
            })
            .await;
        }
        if (round + 1) % 20 == 0 || noticed > before {
            eprintln!("round {}: {done}; {noticed} noticed", round + 1);
        }
    }
    assert!(noticed > 0, "some damage was noticed");
    assert!(set_aside(&state).len() <= 3 * 3, "only the newest are kept");
    let slowest = slowest.as_secs_f64();
    eprintln!("{rounds} rounds, {noticed} noticed, slowest {slowest:.1} s");
    let verdict = recorder.verdict(&system, Instant::now()).await;
    verdict.assert_faultless("outbox damaged");
    let builds = system.database.number("SELECT count(*) FROM build").await;
    assert_eq!(builds.unwrap(), 6, "no damage begins a run");
}

fn projects(system: &System, count: usize) -> Arc<Vec<Project>> {
    let project = |number| system.project(&format!("work/p{number}"));
    Arc::new((0..count).map(project).collect())
}

/// Waits for an alert with these words; how long that took.
async fn alert(system: &System, words: &str) -> Duration {
    let (since, api) = (Instant::now(), system.api());
    eventually(&format!("an alert of {words:?}"), async || {
        let alerts = api.alerts().await?;
        let told = alerts.iter().any(|alert| alert.text.contains(words));
        check(told, || format!("{alerts:?}"))
    })
    .await;
    since.elapsed()
}

async fn jetstream(system: &System) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(system.nats.client().await)
}

#[tokio::test]
async fn a_stream_deleted_under_load_is_told_and_every_state_is_sent_again() {
    let system = System::start().await;
    let (projects, recorder) = (projects(&system, 8), Recorder::start(&system));
    let writer = Steady::start(&recorder.truth, &projects, 1_000);
    system.build(&projects[7], 1, |_| true).await;
    let context = jetstream(&system).await;
    for _ in 0..scale(1, 5) {
        // What it alone held is lost.
        recorder.truth.agent_ends();
        context.delete_stream(subject::STREAM).await.unwrap();
        let told = alert(&system, "was gone and is made anew").await;
        recorder.truth.agent_watches();
        eprintln!("stream deleted: told after {:.1} s", told.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    writer.stop().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    verdict.assert_faultless("stream deleted under load");
}

#[tokio::test]
async fn a_consumer_deleted_under_load_is_told_and_nothing_is_lost() {
    let system = System::start().await;
    let (projects, recorder) = (projects(&system, 8), Recorder::start(&system));
    let writer = Steady::start(&recorder.truth, &projects, 1_000);
    system.build(&projects[7], 1, |_| true).await;
    let stream = jetstream(&system).await.get_stream(subject::STREAM).await;
    let stream = stream.unwrap();
    for _ in 0..scale(1, 5) {
        stream.delete_consumer(subject::CONSUMER).await.unwrap();
        let told = alert(&system, "no events are taken from the stream").await;
        eprintln!("consumer deleted: told after {:.1} s", told.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    writer.stop().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    verdict.assert_faultless("consumer deleted under load");
}

/// The state was acknowledged by a stream that is gone, and its file stays as
/// it is: only an agent that hears of the other stream sends it again.
#[tokio::test]
async fn a_state_that_a_lost_stream_had_taken_is_sent_again_by_itself() {
    let mut system = System::start().await;
    let (project, recorder) = (system.project("quiet"), Recorder::start(&system));
    recorder.step(&project, 1);
    system.build(&project, 1, |_| true).await;
    system.aggregators[0].kill();
    recorder.step(&project, 2);
    let context = jetstream(&system).await;
    eventually("the stream holds the state", async || {
        let stream = context.get_stream(subject::STREAM).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let messages = stream.cached_info().state.messages;
        check(messages == 1, || messages.to_string())
    })
    .await;
    context.delete_stream(subject::STREAM).await.unwrap();
    system.aggregators[0].restart();
    let since = Instant::now();
    system
        .build(&project, 1, |build| {
            build.detail.as_deref() == Some("step 2")
        })
        .await;
    eprintln!(
        "a lost state is back after {:.1} s",
        since.elapsed().as_secs_f64()
    );
    alert(&system, "was gone and is made anew").await;
    let verdict = recorder.verdict(&system, since).await;
    verdict.assert_faultless("a lost state");
}
