//! Negative controls: without these two protections one bad input does hold up the others.

use std::process::Command;
use std::time::Duration;

use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::{Agent, Aggregator, HOST, System};
use harness::wait::{check, eventually, stays};
use harness::writer::{PHASE, Project};
use rustix::fs::{Mode, OFlags};

/// So long nothing comes: a hundred times what it takes with the protection.
const NOTHING: Duration = Duration::from_secs(3);

/// The others see nothing new, however long they wait.
async fn nothing_comes(system: &System, id: &str) {
    let api = system.api();
    stays(NOTHING, "the others wait", async || {
        let build = api.build(id).await?;
        check(build.detail.as_deref() == Some("step 1"), || {
            format!("{:?}", build.detail)
        })
    })
    .await;
}

async fn it_comes(system: &System, id: &str) {
    system
        .build_by_id(id, |build| build.detail.as_deref() == Some("step 2"))
        .await;
}

#[tokio::test]
async fn control_when_poison_is_not_set_aside_the_others_wait_for_ever() {
    let mut system = System::bare().await;
    let unprotected = [("PHASELINE_FAIL_POINT", "no_dead_letters")];
    let aggregator = Aggregator::start_with(&system.nats, &system.database, &unprotected);
    aggregator.ready().await;
    system.aggregators.push(aggregator);
    let mut publisher = Publisher::connect(&system.nats, "others").await;
    let id = publisher.build_id("good", 1);
    publisher.tell("good", &fixtures::numbered("good", 1)).await;
    system.build_by_id(&id, |_| true).await;
    let subject = "phaseline.v1.event.poison.context-foundry.00000000000000aa";
    publisher.raw(subject, b"no event".to_vec()).await;
    publisher.tell("good", &fixtures::numbered("good", 2)).await;
    nothing_comes(&system, &id).await;
    // It is that, and nothing else.
    system.aggregators[0].kill();
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators[0] = aggregator;
    it_comes(&system, &id).await;
    let letters = "SELECT count(*) FROM dead_letter";
    assert_eq!(system.database.number(letters).await, Ok(1));
}

fn step(project: &Project, count: u64) {
    project.phase(&fixtures::numbered(&project.name(), count));
}

#[tokio::test]
async fn control_without_a_look_before_opening_a_pipe_keeps_all_files_from_being_read() {
    let mut system = System::bare().await;
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    let watch = system.watch.clone().into_os_string();
    let unprotected = [("PHASELINE_FAIL_POINT", "no_look_before_opening")];
    let agent = Agent::start_with(HOST, watch.clone(), &system.nats, &unprotected);
    let state = agent.state_dir();
    system.agents.push(agent);
    system.host_is(HOST, "up").await;
    let (good, pipe) = (system.project("good"), system.project("pipe"));
    let id = good.build_id(HOST, 1);
    step(&good, 1);
    system.build_by_id(&id, |_| true).await;
    let made = Command::new("mkfifo").arg(pipe.file(PHASE)).status();
    assert!(made.unwrap().success());
    // Somebody who reads it is waited for: the agent, which now waits for what is never written.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let _silent = eventually("the agent reads the pipe", async || {
        let opened = rustix::fs::open(pipe.file(PHASE), flags, Mode::empty());
        opened.map_err(|error| error.to_string())
    })
    .await;
    step(&good, 2);
    nothing_comes(&system, &id).await;
    // It is that, and nothing else.
    system.agents[0].kill();
    let state = [("PHASELINE_STATE_DIR", state.to_str().unwrap())];
    system.agents[0] = Agent::start_with(HOST, watch, &system.nats, &state);
    it_comes(&system, &id).await;
    let flagged = system.build(&pipe, 1, |_| true).await;
    let reason = flagged.state_reason.unwrap_or_default();
    assert!(reason.contains("a pipe"), "{reason}");
}
