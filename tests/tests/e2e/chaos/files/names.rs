//! Two agents with one host name, and a copied state directory: nothing is mixed, nothing is silent.

use std::process::Command;
use std::time::Instant;

use harness::oracle::Recorder;
use harness::scratch;
use harness::system::{Agent, HOST, System};
use harness::wait::{check, eventually};
use harness::writer::Project;
use protocol::Host;
use protocol::page::Alert;

use super::step;

/// Waits until a host's reason contains these words.
async fn says(system: &System, name: &str, words: &str) -> Host {
    let api = system.api();
    eventually(&format!("{name} says: {words}"), async || {
        let host = api.host(name).await?;
        let reason = host.state_reason.as_deref().unwrap_or_default();
        check(reason.contains(words), || format!("{host:?}"))?;
        Ok(host)
    })
    .await
}

async fn shows(system: &System, id: &str, count: u64) {
    let detail = format!("step {count}");
    system
        .build_by_id(id, |build| build.detail.as_deref() == Some(&detail))
        .await;
}

#[tokio::test]
async fn a_second_agent_of_a_name_has_builds_of_its_own_and_both_hosts_say_so() {
    let mut system = System::start().await;
    // The very same project path, as on two machines that are set up alike.
    let project = system.project("shared");
    step(&project, 1);
    shows(&system, &project.build_id(HOST, 1), 1).await;
    let begun = Instant::now();
    let second = Agent::start(HOST, &system.watch, &system.nats);
    system.agents.push(second);
    let first = says(&system, HOST, "two agents call themselves").await;
    let reason = first.state_reason.unwrap_or_default();
    assert!(reason.contains("PHASELINE_HOST"), "{reason}");
    let id = std::fs::read_to_string(system.agents[1].state_dir().join("agent-id")).unwrap();
    let name = format!("{HOST}~{}", &id[..4]);
    says(&system, &name, "PHASELINE_HOST").await;
    let api = system.api();
    eventually("an alert says how to rename it", async || {
        let alerts = api.alerts().await?;
        let ours = |alert: &&Alert| alert.text.contains("PHASELINE_HOST");
        let open = alerts.iter().find(|alert| alert.ended_at.is_none());
        check(open.as_ref().is_some_and(ours), || format!("{alerts:?}"))
    })
    .await;
    for count in 1..=3 {
        step(&project, count);
        for name in [HOST, &name] {
            shows(&system, &project.build_id(name, 1), count).await;
        }
    }
    let builds = system.api().builds().await.unwrap();
    assert_eq!(builds.len(), 2, "one for each agent");
    assert!(builds.iter().any(|build| build.host == name));
    // The names stay when the aggregator and the second agent begin anew.
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    system.agents[1].restart();
    step(&project, 4);
    for name in [HOST, &name] {
        shows(&system, &project.build_id(name, 1), 4).await;
    }
    let hosts: protocol::page::HostPage = system.api().read("/api/v1/hosts").await.unwrap();
    assert_eq!(hosts.hosts.len(), 2);
    let late = system
        .database
        .number("SELECT count(*) FROM event WHERE late")
        .await;
    assert_eq!(late, Ok(0));
    eprintln!(
        "two agents of one name: 8 states, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

#[tokio::test]
async fn a_copied_state_directory_is_said_under_one_name_and_harmless_under_two() {
    let mut system = System::start().await;
    let (mine, copied) = (system.project("mine"), scratch::directory("copied"));
    let recorder = Recorder::start(&system);
    recorder.step(&mine, 1);
    shows(&system, &mine.build_id(HOST, 1), 1).await;
    system.agents[0].process.stop().await;
    let copy = scratch::directory("state").join("copy");
    let original = system.agents[0].state_dir();
    let done = Command::new("cp")
        .arg("-a")
        .arg(&original)
        .arg(&copy)
        .status();
    assert!(done.unwrap().success());
    system.agents[0].restart();
    system.host_is(HOST, "up").await;
    // Under another name: two hosts, each with its builds.
    let state = copy.to_str().unwrap().to_owned();
    let settings = [("PHASELINE_STATE_DIR", state.as_str())];
    let other = Agent::start_with("copy", copied.clone().into(), &system.nats, &settings);
    system.agents.push(other);
    system.host_is("copy", "up").await;
    let theirs = Project::create(copied.join("theirs"));
    for count in 2..=3 {
        recorder.step(&mine, count);
        recorder.step(&theirs, count);
        shows(&system, &mine.build_id(HOST, 1), count).await;
        shows(&system, &theirs.build_id("copy", 1), count).await;
    }
    system.agents[1].process.stop().await;
    let verdict = recorder.verdict(&system, Instant::now()).await;
    verdict.assert_faultless("a copied state directory");
    // Under the same name they are one to us, and the page says so.
    let twin = Agent::start_with(HOST, copied.into(), &system.nats, &settings);
    system.agents.push(twin);
    says(&system, HOST, "copy of the other").await;
}
