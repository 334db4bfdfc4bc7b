//! Our own state is damaged or taken away.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt as _;
use harness::adw::{Tree, Workflow, planned};
use harness::oracle::Recorder;
use harness::scale::scale;
use harness::steady::Steady;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use harness::writer::Project;
use protocol::{LogPage, Presence, Timestamp, subject};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::log_lines::{append, execution_log, log};

/// What stands when a stream is deleted was sent to it, and stands no longer than this: see `Steady`.
const STANDS: Duration = Duration::from_millis(400);

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

/// Waits for an alert with these words that began since then; how long that took from now.
async fn alert(system: &System, begun: SystemTime, words: &str) -> Duration {
    let (since, api) = (Instant::now(), system.api());
    let begun = Timestamp::from_system_time(begun);
    eventually(&format!("a new alert of {words:?}"), async || {
        let alerts = api.alerts().await?;
        let told = alerts
            .iter()
            .any(|alert| alert.began_at >= begun && alert.text.contains(words));
        check(told, || format!("since {begun}: {alerts:?}"))
    })
    .await;
    since.elapsed()
}

async fn jetstream(system: &System) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(system.nats.client().await)
}

/// Waits until the agent says that so many events wait in its outbox.
async fn outbox_keeps(system: &System, least: u64) {
    let client = system.nats.client().await;
    let mut presences = client.subscribe(subject::PRESENCES).await.unwrap();
    client.flush().await.unwrap();
    let told = async {
        while let Some(message) = presences.next().await {
            let presence: Presence = serde_json::from_slice(&message.payload).unwrap();
            if presence.host == HOST && presence.outbox.events >= least {
                return;
            }
        }
        panic!("the broker ended the subscription");
    };
    let what = format!("the agent keeps {least} events in its outbox");
    let told = tokio::time::timeout(harness::wait::DEADLINE, told).await;
    told.expect(&what);
}

#[tokio::test]
async fn a_stream_deleted_under_load_is_told_and_every_state_is_sent_again() {
    let mut system = System::start().await;
    let (projects, recorder) = (projects(&system, 8), Recorder::start(&system));
    let writer = Steady::start(&recorder.truth, &projects, 1_000);
    system.build(&projects[7], 1, |_| true).await;
    let context = jetstream(&system).await;
    for round in 0..scale(2, 6) {
        // Every other time nobody makes the stream anew for a while.
        let nobody = round % 2 == 1;
        // What the stream alone held is lost: what is written until then, and what stood then.
        recorder.truth.agent_ends();
        if nobody {
            system.aggregators[0].process.freeze();
        }
        let begun = SystemTime::now();
        context.delete_stream(subject::STREAM).await.unwrap();
        tokio::time::sleep(STANDS).await;
        // From here on the outbox has it all.
        recorder.truth.agent_watches();
        if nobody {
            outbox_keeps(&system, 2 * projects.len() as u64).await;
            system.aggregators[0].process.thaw();
        }
        let told = alert(&system, begun, "was gone and is made anew").await;
        eprintln!(
            "stream deleted{}: told after {:.1} s",
            if nobody { " while nobody looks" } else { "" },
            told.as_secs_f64()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    writer.stop().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    verdict.assert_faultless_at_a_rate("stream deleted under load");
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
        let begun = SystemTime::now();
        stream.delete_consumer(subject::CONSUMER).await.unwrap();
        let told = alert(&system, begun, "no events are taken from the stream").await;
        eprintln!("consumer deleted: told after {:.1} s", told.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    writer.stop().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    verdict.assert_faultless_at_a_rate("consumer deleted under load");
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
    let begun = SystemTime::now();
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
    alert(&system, begun, "was gone and is made anew").await;
    let verdict = recorder.verdict(&system, since).await;
    verdict.assert_faultless("a lost state");
}

/// Lines are worth less than states: those that the stream alone held are lost, and counted.
#[tokio::test]
async fn a_deleted_stream_of_logs_is_told_and_made_anew_and_no_state_is_harmed() {
    let system = System::start().await;
    let (projects, recorder) = (projects(&system, 4), Recorder::start(&system));
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let (id, path, api) = (
        workflow.build_id(HOST, 1),
        execution_log(&workflow),
        system.api(),
    );
    system.build_by_id(&id, |_| true).await;
    let writer = Steady::start(&recorder.truth, &projects, 1_000);
    let mut written = 0_u32;
    let mut lines = || {
        written += 20;
        let lines: String = (written - 19..=written)
            .map(|n| format!("line {n}\n"))
            .collect();
        append(&path, &lines);
        format!("line {written}")
    };
    let ends_with = |page: &LogPage, text: &str| page.lines.last().is_some_and(|l| l.text == text);
    let last = lines();
    log(&api, &id, "?last=1", |page| ends_with(page, &last)).await;
    let context = jetstream(&system).await;
    for _ in 0..scale(2, 5) {
        let begun = SystemTime::now();
        context.delete_stream(subject::LOG_STREAM).await.unwrap();
        lines();
        let told = alert(&system, begun, "PHASELINE_LOGS was gone").await;
        eprintln!("logs deleted: told after {:.1} s", told.as_secs_f64());
        let last = lines();
        log(&api, &id, "?last=1", |page| ends_with(page, &last)).await;
    }
    writer.stop().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    verdict.assert_faultless_at_a_rate("stream of logs deleted under load");
    let page = api.log(&id, "?limit=1000").await.unwrap();
    let texts: BTreeSet<&str> = page.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts.len(), page.lines.len(), "no line came twice");
    let lost = written as usize - texts.len();
    eprintln!(
        "logs deleted: {lost} of {written} lines lost, {} bytes counted",
        page.skipped_bytes
    );
    assert_eq!(lost > 0, page.skipped_bytes > 0, "what is lost is counted");
    let letters = system.database.number("SELECT count(*) FROM dead_letter");
    assert_eq!(letters.await, Ok(0));
}
