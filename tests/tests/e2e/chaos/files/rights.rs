//! A file that becomes a directory, and rights that are taken and returned.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::system::{Agent, System};
use harness::wait::{check, eventually};
use harness::writer::{PHASE, Project};
use protocol::BuildState;

use super::step;

/// Even root needs rights without these two capabilities.
const WITHOUT_OVERRIDE: [&str; 6] = [
    "setpriv",
    "--inh-caps",
    "-all",
    "--bounding-set",
    "-dac_override,-dac_read_search",
    "--",
];

async fn shows(system: &System, id: &str, count: u64) {
    let detail = format!("step {count}");
    let build = system
        .build_by_id(id, |build| {
            build.detail.as_deref() == Some(&detail) && build.state_reason.is_none()
        })
        .await;
    assert_eq!(build.state, BuildState::Running);
}

/// The last good state stays, and the reason says why there is no newer one.
async fn says(system: &System, id: &str, why: &str, count: u64) {
    let build = system
        .build_by_id(id, |build| {
            let reason = build.state_reason.as_deref();
            reason.is_some_and(|reason| reason.contains(PHASE) && reason.contains(why))
        })
        .await;
    assert_eq!(build.detail, Some(format!("step {count}")));
}

#[tokio::test]
async fn a_file_that_becomes_a_directory_and_a_file_again_is_said_and_read() {
    let system = System::start().await;
    let project = system.project("shapes");
    // A file that was deleted and is there again is the next run.
    let id = |run| project.build_id(harness::system::HOST, run);
    step(&project, 1);
    shows(&system, &id(1), 1).await;
    for run in 1..=3 {
        let round = u64::from(run);
        fs::remove_file(project.file(PHASE)).unwrap();
        fs::create_dir(project.file(PHASE)).unwrap();
        says(&system, &id(run), "a directory", round).await;
        // What is in it is nobody's state.
        fs::write(project.file(PHASE).join(PHASE), "{}").unwrap();
        fs::remove_dir_all(project.file(PHASE)).unwrap();
        step(&project, round + 1);
        shows(&system, &id(run + 1), round + 1).await;
    }
    let events = system.database.events().await.unwrap();
    let of = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!((of("content"), of("unreadable"), of("removed")), (4, 3, 0));
}

/// Waits until what the host says of its root is as wanted.
async fn root_says(system: &System, host: &str, what: &str, wanted: impl Fn(&str) -> bool) {
    let api = system.api();
    eventually(what, async || {
        let host = api.host(host).await?;
        let reason = host.roots.first().and_then(|root| root.reason.as_deref());
        check(wanted(reason.unwrap_or_default()), || format!("{host:?}"))
    })
    .await;
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An agent to which rights matter, also where the tests run as root.
fn plain_agent(system: &System, host: &str) -> Option<Agent> {
    let mut tried = Command::new(WITHOUT_OVERRIDE[0]);
    tried
        .args(&WITHOUT_OVERRIDE[1..])
        .arg("true")
        .stderr(Stdio::null());
    if !tried.status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: setpriv cannot take capabilities away here");
        return None;
    }
    let prefix = WITHOUT_OVERRIDE;
    Some(Agent::start_under(
        &prefix,
        host,
        &system.watch,
        &system.nats,
    ))
}

#[tokio::test]
async fn rights_that_are_taken_are_said_and_when_returned_the_newest_state_is_read() {
    let mut system = System::start().await;
    let locked = system.project("locked");
    step(&locked, 1);
    set_mode(locked.dir(), 0o000);
    // One that may be listed and not passed.
    let listed = system.project("listed");
    step(&listed, 1);
    set_mode(listed.dir(), 0o444);
    let project = system.project("taken");
    step(&project, 1);
    let Some(agent) = plain_agent(&system, "plain") else {
        return;
    };
    system.agents.push(agent);
    system.host_is("plain", "up").await;
    let id = project.build_id("plain", 1);
    shows(&system, &id, 1).await;
    root_says(&system, "plain", "both are said", |reason| {
        reason.contains("listed/.context-foundry cannot be looked into: Permission denied")
            && reason.contains("and 1 more like it")
    })
    .await;

    // Of the file, then of the directory above it.
    let (file, dir) = (project.file(PHASE), project.dir().to_owned());
    for (path, back, count) in [(file, 0o644, 2), (dir, 0o755, 3)] {
        set_mode(&path, 0o000);
        // Only those who wrote before can write now: as the tests are root, they can.
        step(&project, count);
        says(&system, &id, "denied", count - 1).await;
        // Nor does the agent see what appears there meanwhile.
        fs::create_dir(project.dir().join(format!("late-{count}"))).unwrap();
        if path == project.dir() {
            let told = |reason: &str| reason.contains("and 2 more like it");
            root_says(&system, "plain", "it is said as well", told).await;
        }
        set_mode(&path, back);
        shows(&system, &id, count).await;
    }

    // What was locked from the beginning is found when it is opened.
    let api = system.api();
    let path = format!("/api/v1/builds/{}", locked.build_id("plain", 1));
    let answer = api.get(&path).await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.body);
    set_mode(locked.dir(), 0o755);
    eventually("the opened directory is a build", async || {
        let answer = api.get(&path).await?;
        check(answer.status == 200, || answer.body)
    })
    .await;
    step(&locked, 2);
    shows(&system, &locked.build_id("plain", 1), 2).await;
    root_says(&system, "plain", "the other one is said", |reason| {
        reason.contains("listed/") && !reason.contains("more like it")
    })
    .await;
    set_mode(listed.dir(), 0o755);
    shows(&system, &listed.build_id("plain", 1), 1).await;
    root_says(&system, "plain", "nothing is left out", str::is_empty).await;
}

#[tokio::test]
async fn an_agent_without_rights_to_its_root_says_so_and_begins_when_it_has_them() {
    let mut system = System::start().await;
    let project = Project::create(system.watch.join("p"));
    step(&project, 1);
    set_mode(&system.watch, 0o000);
    let Some(agent) = plain_agent(&system, "refused") else {
        return;
    };
    system.agents.push(agent);
    let api = system.api();
    eventually("the refusal is said", async || {
        let host = api.host("refused").await?;
        let reason = host.roots.first().and_then(|root| root.reason.clone());
        check(reason.unwrap_or_default().contains("denied"), || {
            format!("{host:?}")
        })
    })
    .await;
    set_mode(&system.watch, 0o755);
    shows(&system, &project.build_id("refused", 1), 1).await;
}
