//! Disks run full and get room again.

mod limit;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::disk::Disk;
use harness::oracle::{Recorder, Verdict};
use harness::scale::scale;
use harness::steady::Steady;
use harness::system::{Agent, Aggregator, HOST, System};
use harness::wait::{check, eventually, eventually_within};
use harness::writer::Project;
use protocol::Build;

/// How long a disk stays full: long enough for the third try of everything.
fn full_for() -> Duration {
    scale(Duration::from_secs(4), Duration::from_secs(30))
}

fn projects(system: &System, count: usize) -> Arc<Vec<Project>> {
    let project = |number| system.project(&format!("work/p{number}"));
    Arc::new((0..count).map(project).collect())
}

/// Waits for what the host's page says of its watching; how long that took.
async fn host_says(system: &System, words: &str) -> Duration {
    let (since, api) = (Instant::now(), system.api());
    eventually(&format!("the host says {words:?}"), async || {
        let host = api.host(HOST).await?;
        let said = host.roots.iter().filter_map(|root| root.reason.as_deref());
        let said = said.collect::<Vec<_>>().join("; ");
        check(said.contains(words), || format!("{said:?}"))
    })
    .await;
    since.elapsed()
}

/// All is well: neither trouble nor an alarm on the host.
async fn host_is_well(system: &System) {
    let api = system.api();
    eventually("the host is well again", async || {
        let host = api.host(HOST).await?;
        let watching = protocol::RootState::Watching;
        check(host.roots.iter().all(|root| root.state == watching), || {
            format!("{:?}", host.roots)
        })
    })
    .await;
}

/// Everything that was started runs still.
fn nothing_ended(system: &mut System) {
    for agent in &mut system.agents {
        let ended = agent.process.ended();
        assert!(ended.is_none(), "{ended:?}: {}", agent.process.tail());
    }
    for aggregator in &mut system.aggregators {
        let ended = aggregator.process.ended();
        assert!(ended.is_none(), "{ended:?}: {}", aggregator.process.tail());
    }
}

fn report(what: &str, alarm: Duration, verdict: &Verdict) {
    eprintln!("{what}: alarm after {:.1} s", alarm.as_secs_f64());
    verdict.assert_faultless(what);
}

/// Projects whose builds say that states of them may be missing.
async fn marked(system: &System, projects: &[Project]) -> Result<BTreeSet<String>, String> {
    let builds = system.api().builds().await?;
    let is_marked = |project: &&Project| {
        let id = project.build_id(HOST, 1);
        let build = builds.iter().find(|build| build.id == id);
        build.is_some_and(|build| build.gap_at.is_some())
    };
    let marked = projects.iter().filter(is_marked);
    Ok(marked.map(|project| project.token().to_string()).collect())
}

/// Projects of which a content has no row are those whose builds say so.
async fn what_gave_way_is_marked(system: &System, projects: &[Project], verdict: &Verdict) {
    eventually("each gap is marked, and no other build", async || {
        let marked = marked(system, projects).await?;
        let differ: Vec<_> = marked.symmetric_difference(&verdict.unkept).collect();
        check(differ.is_empty(), || {
            let missed = verdict.unkept.len();
            format!("{differ:?} of {} marked and {missed} missed", marked.len())
        })
    })
    .await;
    eprintln!(
        "{} of {} builds are marked",
        verdict.unkept.len(),
        projects.len()
    );
}

/// Waits until the newest content of each project is shown.
async fn all_arrived(system: &System, recorder: &Recorder, projects: &[Project]) {
    let newest = recorder.truth.newest();
    for project in projects {
        let detail = format!("step {}", newest[&project.token().to_string()]);
        let arrived = |build: &Build| build.detail.as_deref() == Some(&detail);
        system.build(project, 1, arrived).await;
    }
}

/// An agent whose state directory is on this disk.
async fn system_on(disk: &Disk) -> System {
    let state = disk.path().join("agent");
    System::start_with(&[("PHASELINE_STATE_DIR", state.to_str().unwrap())]).await
}

#[tokio::test]
async fn what_a_full_disk_of_the_outbox_refuses_is_marked_and_no_other_build() {
    let Some(disk) = Disk::mount(6 * 1024) else {
        return;
    };
    let mut system = system_on(&disk).await;
    let (busy, recorder) = (projects(&system, 4), Recorder::start(&system));
    let once = system.project("once");
    let mut watched = Arc::into_inner(projects(&system, 4)).unwrap();
    watched.extend([system.project("once"), system.project("quiet")]);
    for project in &watched {
        recorder.step(project, 1);
    }
    // Nothing waits in the outbox: without room, older states in it give way.
    all_arrived(&system, &recorder, &watched).await;

    recorder.truth.agent_ends();
    disk.fill();
    let writer = Steady::start(&recorder.truth, &busy, 300_000);
    let alarm = host_says(&system, "full").await;
    // Of it nothing is missing: it is read again when there is room.
    recorder.step(&once, 2);
    tokio::time::sleep(full_for()).await;
    nothing_ended(&mut system);
    writer.stop().await;
    disk.free();
    let verdict = recorder.verdict(&system, Instant::now()).await;
    nothing_ended(&mut system);
    host_is_well(&system).await;
    report("disk of the outbox, no kill", alarm, &verdict);
    assert!(!verdict.unkept.is_empty(), "states were refused");
    what_gave_way_is_marked(&system, &watched, &verdict).await;
}

#[tokio::test]
async fn a_full_disk_of_the_outbox_is_told_waited_for_and_survived() {
    let Some(disk) = Disk::mount(6 * 1024) else {
        return;
    };
    let mut system = system_on(&disk).await;
    let (projects, recorder) = (projects(&system, 4), Recorder::start(&system));
    let writer = Steady::start(&recorder.truth, &projects, 1_000);
    system.build(&projects[3], 1, |_| true).await;
    writer.stop().await;
    // Nothing waits in the outbox: without room, older states in it give way.
    all_arrived(&system, &recorder, &projects).await;

    recorder.truth.agent_ends();
    disk.fill();
    let writer = Steady::start(&recorder.truth, &projects, 300_000);
    let alarm = host_says(&system, "full").await;
    tokio::time::sleep(full_for()).await;
    nothing_ended(&mut system);

    // Also one that begins while there is no room: no exit, and it says why.
    system.agents[0].restart();
    host_says(&system, "full").await;
    // What was refused before is forgotten with the process that knew it; this
    // one, too, refuses more than one state of each project.
    tokio::time::sleep(full_for()).await;
    nothing_ended(&mut system);

    writer.stop().await;
    disk.free();
    let verdict = recorder.verdict(&system, Instant::now()).await;
    nothing_ended(&mut system);
    host_is_well(&system).await;
    report("disk of the outbox", alarm, &verdict);
    let marked = marked(&system, &projects).await.unwrap();
    assert!(
        !marked.is_empty(),
        "states were refused, and their builds say so"
    );
    assert!(marked.is_subset(&verdict.unkept), "{marked:?} {verdict:?}");
}

#[tokio::test]
async fn an_agent_that_begins_for_the_first_time_on_a_full_disk_waits_for_room() {
    let Some(disk) = Disk::mount(1024) else {
        return;
    };
    let mut system = System::bare().await;
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    let state = disk.path().join("agent");
    std::fs::create_dir(&state).unwrap();
    disk.fill();
    system.agents.push(Agent::start_with(
        HOST,
        system.watch.clone().into_os_string(),
        &system.nats,
        &[("PHASELINE_STATE_DIR", state.to_str().unwrap())],
    ));
    let agent = &system.agents[0].process;
    eventually("it says what it waits for", async || {
        let said = agent.output();
        check(said.contains("No space left"), || said)
    })
    .await;
    nothing_ended(&mut system);
    disk.free();
    system.host_is(HOST, "up").await;
    host_is_well(&system).await;
}

#[tokio::test]
async fn a_full_disk_of_nats_is_told_and_the_agents_keep_everything() {
    let Some(disk) = Disk::mount(48 * 1024) else {
        return;
    };
    let mut system = System::bare_with_nats_in(disk.path()).await;
    system.start_parts().await;
    let (projects, recorder) = (projects(&system, 8), Recorder::start(&system));
    let writer = Steady::start(&recorder.truth, &projects, 1_000);
    system.build(&projects[7], 1, |_| true).await;

    disk.fill();
    let alarm = host_says(&system, "the broker takes no events").await;
    tokio::time::sleep(full_for()).await;
    nothing_ended(&mut system);
    let letters = "SELECT count(*) FROM dead_letter";
    assert_eq!(system.database.number(letters).await.unwrap(), 0);

    disk.free();
    // nats-server 2.15 writes nothing more after such an error until it is started again.
    system.nats.kill().await;
    system.nats.up().await;
    writer.stop().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    host_is_well(&system).await;
    report("disk of nats-server", alarm, &verdict);
}

#[tokio::test]
async fn a_full_disk_of_postgres_is_told_and_events_wait_in_the_stream() {
    let Some(disk) = Disk::mount(256 * 1024) else {
        return;
    };
    let mut system = System::bare_with_postgres_in(disk.path()).await;
    system.start_parts().await;
    let (projects, recorder) = (projects(&system, 8), Recorder::start(&system));
    let writer = Steady::start(&recorder.truth, &projects, 20_000);
    system.build(&projects[7], 1, |_| true).await;

    disk.fill();
    let api = system.api();
    let since = Instant::now();
    let refused = eventually("the refusal is an alert", async || {
        let alerts = api.alerts().await?;
        let ours = alerts.into_iter().find(|alert| alert.ended_at.is_none());
        ours.ok_or_else(|| "none".to_owned())
    })
    .await;
    let alarm = since.elapsed();
    eprintln!("alert: {}", refused.text);
    let page = api.get("/system").await.unwrap();
    assert!(page.body.contains("goes on"), "{}", page.body);
    assert_eq!(api.get("/readyz").await.unwrap().status, 503);
    tokio::time::sleep(full_for()).await;
    nothing_ended(&mut system);

    disk.free();
    // It may have given itself up for want of room for its log; then whoever runs it starts it again.
    if system.database.number("SELECT 1::bigint").await.is_err() {
        eprintln!("Postgres is started again");
        let postgres = system.postgres.as_mut().unwrap();
        postgres.kill().await;
        postgres.up().await;
    }
    writer.stop().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    report("disk of Postgres", alarm, &verdict);
    let letters = "SELECT count(*) FROM dead_letter";
    assert_eq!(system.database.number(letters).await.unwrap(), 0);
    eventually_within(Duration::from_secs(30), "the alert is over", async || {
        let alerts = api.alerts().await?;
        check(alerts.iter().all(|alert| alert.ended_at.is_some()), || {
            format!("{alerts:?}")
        })
    })
    .await;
}
