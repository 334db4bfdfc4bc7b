//! The kernel's limits: the queue of events, watches, instances. Each is said, and nothing stays unseen.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::oracle::Recorder;
use harness::scale::scale;
use harness::scratch;
use harness::system::{Agent, HOST, System};
use harness::wait::{check, eventually};
use harness::writer::{Manner, Project};
use protocol::RootState;

use super::{step, until_shown};

/// `fs.inotify.max_queued_events`, or its default.
fn queue() -> u64 {
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    text.trim().parse().unwrap_or(16_384)
}

const FILES: usize = 50;

/// Projects whose events are in a queue that ran over, and what was written of them.
struct Overrun {
    system: System,
    recorder: Recorder,
    projects: Vec<Project>,
    rewrites: u64,
}

/// Rewrites files while the agent is frozen, until its queue has no room, then makes two projects.
async fn overrun(settings: &[(&'static str, &str)]) -> Overrun {
    let mut system = System::start_with(settings).await;
    let projects: Vec<Project> = (0..FILES)
        .map(|n| system.project(&format!("p{n}")))
        .collect();
    let recorder = Recorder::start(&system);
    projects
        .iter()
        .for_each(|project| recorder.step(project, 1));
    until_shown(&system, 1, FILES, Duration::from_secs(40)).await;
    // Nobody takes events out of the queue while the agent is frozen. Each rewrite is at least two.
    recorder.truth.agent_ends();
    system.agents[0].process.freeze();
    let rewrites = scale(queue() / 2, 10_000.max(queue() / 2)) / FILES as u64 + 2;
    let truth = Arc::clone(&recorder.truth);
    let rewriting = tokio::task::spawn_blocking(move || {
        for count in 2..=rewrites {
            for project in &projects {
                truth.write(project, count, Manner::InPlace);
            }
        }
        projects
    });
    let mut projects = rewriting.await.unwrap();
    // After the queue is full, a new project and a whole new tree go unseen.
    for place in ["new", "a/tree/of/its/own"] {
        let project = system.project(place);
        recorder.step(&project, rewrites);
        projects.push(project);
    }
    Overrun {
        system,
        recorder,
        projects,
        rewrites,
    }
}

#[tokio::test]
async fn an_overflow_of_the_event_queue_keeps_the_last_states_and_marks_the_gap() {
    let Overrun {
        mut system,
        recorder,
        projects,
        rewrites,
    } = overrun(&[]).await;
    let pid = system.agents[0].process.pid();
    system.agents[0].process.thaw();
    let thawed = Instant::now();
    until_shown(&system, rewrites, FILES + 2, Duration::from_secs(40)).await;
    let name = format!("{} rewrites while frozen", rewrites * FILES as u64);
    let verdict = recorder.verdict(&system, thawed).await;
    verdict.assert_faultless(&name);
    recorder.truth.agent_watches();
    assert_eq!(system.agents[0].process.pid(), pid, "the same process");
    // And all that was found is watched from now on.
    let written = Instant::now();
    for project in &projects {
        recorder.step(project, rewrites + 1);
    }
    let verdict = recorder.verdict(&system, written).await;
    verdict.assert_faultless("and afterwards");
    let builds = system.api().builds().await.unwrap();
    let marked = |name: &str| {
        builds
            .iter()
            .any(|build| build.project == name && build.gap_at.is_some())
    };
    assert!(
        projects.iter().all(|project| marked(&project.name())),
        "each gap is marked, with the next state at the latest"
    );
}

#[tokio::test]
async fn control_without_the_walk_after_an_overflow_the_last_states_are_lost() {
    let unprotected = ("PHASELINE_FAIL_POINT", "no_walk_after_overflow");
    let mut overrun = overrun(&[unprotected]).await;
    overrun.system.agents[0].process.thaw();
    let (thawed, patience) = (Instant::now(), Duration::from_secs(6));
    let recorder = &overrun.recorder;
    let verdict = recorder
        .verdict_within(&overrun.system, thawed, patience)
        .await;
    eprintln!("control, no walk after an overflow: {verdict}");
    assert!(
        !verdict.lost.is_empty(),
        "the walk would not be needed: {verdict}"
    );
}

/// An agent with limits of its own sees every project, and says what limit it met and what helps.
async fn sees_all_and_says(host: &'static str, limit: &str, value: u32, setting: &str) {
    let mut system = System::start().await;
    let watch = scratch::directory(host);
    let projects: Vec<Project> = (0..20)
        .map(|n| Project::create(watch.join(format!("p{n}"))))
        .collect();
    let Some(agent) = Agent::start_limited(host, &watch, &system.nats, limit, value) else {
        eprintln!("skipped: user namespaces with a limit of their own are not to be had here");
        return;
    };
    system.agents.push(agent);
    let api = system.api();
    eventually(
        "the host says that it is degraded, and what helps",
        async || {
            let seen = api.host(host).await?;
            let root = seen.roots.first().ok_or("no root")?;
            let told =
                |text: &Option<String>| text.as_deref().is_some_and(|text| text.contains(setting));
            let fits =
                root.state == RootState::Degraded && told(&root.reason) && told(&root.remedy);
            check(fits, || format!("{seen:?}"))
        },
    )
    .await;
    let recorder = Recorder::start(&system);
    for count in 1..=2 {
        projects
            .iter()
            .for_each(|project| recorder.step(project, count));
        let verdict = recorder.verdict(&system, Instant::now()).await;
        verdict.assert_faultless(host);
    }
}

#[tokio::test]
async fn with_too_few_watches_the_host_says_so_and_still_sees_every_project() {
    sees_all_and_says(
        "few-watches",
        "max_inotify_watches",
        12,
        "fs.inotify.max_user_watches",
    )
    .await;
}

#[tokio::test]
async fn without_an_inotify_instance_the_host_says_so_and_still_sees_every_project() {
    sees_all_and_says(
        "no-instance",
        "max_inotify_instances",
        0,
        "fs.inotify.max_user_instances",
    )
    .await;
}

#[tokio::test]
async fn a_very_deep_tree_is_said() {
    let mut system = System::start().await;
    let watch = scratch::directory("deep");
    let names = ["d"; 40].join("/");
    let project = Project::create(watch.join(names));
    step(&project, 1);
    system
        .agents
        .push(Agent::start("deep", &watch, &system.nats));
    let api = system.api();
    eventually("the depth is said", async || {
        let host = api.host("deep").await?;
        let reason = host.roots.first().and_then(|root| root.reason.clone());
        let said = reason.is_some_and(|reason| reason.contains("deeper than 32"));
        check(said, || format!("{host:?}"))
    })
    .await;
    let seen = system.project("seen");
    step(&seen, 1);
    system.build_by_id(&seen.build_id(HOST, 1), |_| true).await;
    let builds = api.builds().await.unwrap();
    assert!(builds.iter().all(|build| build.host != "deep"));
}
