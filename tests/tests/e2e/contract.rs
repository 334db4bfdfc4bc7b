//! The letter of what others may rely on: names at NATS, where words are
//! printed, which setting wins, how a program is asked to end.

use std::process::Command;

use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy};
use futures::StreamExt as _;
use harness::fixtures;
use harness::scratch;
use harness::system::{Agent, HOST, System};
use harness::wait::{check, eventually};

use crate::settings::run;

/// As a person works it out: the first 16 hex digits of the SHA-256 of the path.
fn token_by_hand(path: &str) -> String {
    let script = "printf %s \"$1\" | sha256sum";
    let output = Command::new("sh").args(["-c", script, "sh", path]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text[..16].to_owned()
}

#[tokio::test]
async fn the_stream_its_subjects_and_a_builds_id_are_as_promised() {
    let system = System::start().await;
    let client = system.nats.client().await;
    let mut events = client.subscribe("phaseline.v1.event.>").await.unwrap();
    let mut live = client.subscribe("phaseline.v1.live.>").await.unwrap();
    client.flush().await.unwrap();
    let project = system.project("letter");
    project.phase(&fixtures::phase("letter", "Scout", "1/7", "researching"));
    let token = token_by_hand(project.dir().to_str().unwrap());
    let id = format!("{HOST}-{token}-1");
    system.build_by_id(&id, |_| true).await;
    let event = events.next().await.unwrap();
    assert_eq!(
        event.subject.as_str(),
        format!("phaseline.v1.event.{HOST}.context-foundry.{token}")
    );
    let of_the_build = format!("phaseline.v1.live.{HOST}.{id}");
    let change = live
        .by_ref()
        .skip_while(|message| std::future::ready(message.subject.as_str() != of_the_build));
    let change = std::pin::pin!(change).next().await.unwrap();
    let frame: serde_json::Value = serde_json::from_slice(&change.payload).unwrap();
    assert_eq!(frame["type"], "build_update");
    assert_eq!(frame["data"]["id"], id.as_str());

    let context = async_nats::jetstream::new(client);
    let mut stream = context.get_stream("PHASELINE").await.unwrap();
    let config = &stream.info().await.unwrap().config;
    assert_eq!(config.retention, RetentionPolicy::WorkQueue);
    assert_eq!(config.discard, DiscardPolicy::New);
    assert_eq!(config.subjects, ["phaseline.v1.event.>"]);
}

#[test]
fn of_a_flag_a_variable_and_a_key_of_the_file_the_first_one_counts() {
    let dir = scratch::directory("order");
    let cases = [
        ("phaseline-agent", None, "outbox-max"),
        ("phaseline-aggregator", None, "retention"),
        ("phaseline", Some("up"), "listen"),
    ];
    for (program, command, setting) in cases {
        let key = setting.replace('-', "_");
        let variable = format!("PHASELINE_{}", key.to_uppercase());
        let file = dir.join(format!("{program}.toml"));
        std::fs::write(&file, format!("{key} = \"of-the-file\"\n")).unwrap();
        let flag = format!("--{setting}=of-the-flag");
        let config = format!("--config={}", file.display());
        let says = |given: &[&str], variables: &[(&str, &str)]| {
            let mut arguments: Vec<&str> = command.into_iter().collect();
            arguments.push(&config);
            arguments.extend(given);
            let needed = ("PHASELINE_DATABASE_URL", "host=/nowhere");
            let variables = [&[needed], variables].concat();
            // Each is a bad value, so that the one that counts is named and nothing starts.
            let (code, _, said) = run(program, &arguments, &variables);
            assert_eq!(code, Some(64), "{program}: {said}");
            said
        };
        let of_the_variable = (variable.as_str(), "of-the-variable");
        let said = says(&[&flag], &[of_the_variable]);
        assert!(said.contains("of-the-flag"), "{program}: {said}");
        let said = says(&[], &[of_the_variable]);
        assert!(said.contains("of-the-variable"), "{program}: {said}");
        let said = says(&[], &[]);
        assert!(said.contains("of-the-file"), "{program}: {said}");
    }
}

#[tokio::test]
async fn logs_are_json_for_machines_and_as_much_as_was_asked_for() {
    let mut system = System::bare().await;
    for (host, setting, value) in [
        ("json", "PHASELINE_LOG_FORMAT", "json"),
        ("quiet", "PHASELINE_LOG", "error"),
    ] {
        let dir = scratch::directory(host).into_os_string();
        let agent = Agent::start_with(host, dir, &system.nats, &[(setting, value)]);
        system.agents.push(agent);
    }
    let agents = &mut system.agents;
    eventually("it logs that it starts", async || {
        let said = agents[0].process.output();
        check(said.contains("agent starts"), || said)
    })
    .await;
    for agent in agents.iter_mut() {
        agent.process.stop().await;
    }
    for line in agents[0].process.output().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        for member in ["timestamp", "level", "target"] {
            assert!(entry[member].is_string(), "{member}: {line}");
        }
    }
    let quiet = agents[1].process.output();
    assert!(!quiet.contains("INFO"), "{quiet}");
}

#[tokio::test]
async fn ctrl_c_ends_an_agent_and_an_aggregator_in_order() {
    let mut system = System::start().await;
    system.host_is(HOST, "up").await;
    let status = system.agents[0].process.interrupt().await;
    assert!(status.success(), "{status}");
    // It says farewell instead of being missed.
    system.host_is(HOST, "stopped").await;
    let status = system.aggregators[0].process.interrupt().await;
    assert!(status.success(), "{status}");
}
