//! Watched roots that are moved away, deleted, unmounted, and come back.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::scratch;
use harness::system::{Agent, HOST, System};
use harness::wait::{check, eventually};
use harness::writer::Project;
use protocol::{BuildState, RootState};

use super::step;

/// Waits until the first root of the host is in this state.
async fn root_is(system: &System, state: RootState) {
    let api = system.api();
    eventually(&format!("the root is {state:?}"), async || {
        let host = api.host(HOST).await?;
        check(host.roots[0].state == state, || format!("{host:?}"))
    })
    .await;
}

/// Nothing is known of the build, and the page says that its root is missing.
async fn is_unknown(system: &System, project: &Project) {
    let build = system
        .build(project, 1, |build| build.state == BuildState::Unknown)
        .await;
    let reason = build.state_reason.unwrap_or_default();
    assert!(reason.starts_with("root missing: "), "{reason}");
    assert_eq!(build.ended_at, None, "not ended: only unknown");
}

async fn shows(system: &System, project: &Project, count: u64) {
    let detail = format!("step {count}");
    let build = system
        .build(project, 1, |build| {
            build.detail.as_deref() == Some(&detail) && build.state == BuildState::Running
        })
        .await;
    assert_eq!(build.state_reason, None);
}

#[tokio::test]
async fn builds_beneath_a_root_that_is_moved_away_are_unknown_until_it_is_back() {
    let system = System::start().await;
    let client = system.client().await;
    let (still, changed) = (system.project("still"), system.project("a/changed"));
    step(&still, 1);
    step(&changed, 1);
    shows(&system, &still, 1).await;
    shows(&system, &changed, 1).await;
    let aside = scratch::directory("aside").join("moved");
    for round in 2..=3 {
        fs::rename(&system.watch, &aside).unwrap();
        root_is(&system, RootState::Missing).await;
        is_unknown(&system, &still).await;
        is_unknown(&system, &changed).await;
        // Written while nobody can see it there: found when the root is back.
        let away = Project::unmade(aside.join("a/changed"));
        let document = harness::fixtures::numbered(&changed.name(), round);
        away.phase(&document);
        fs::rename(&aside, &system.watch).unwrap();
        shows(&system, &still, 1).await;
        shows(&system, &changed, round).await;
        root_is(&system, RootState::Watching).await;
    }
    // And it is watched as before.
    step(&still, 2);
    shows(&system, &still, 2).await;
    client
        .until_build("still", |told| told["detail"] == "step 2")
        .await;
    client.assert_clean();
    let events = system.database.events().await.unwrap();
    let contents = events.iter().filter(|event| event.kind == "content");
    assert_eq!(contents.count(), 5, "no content comes twice");
    assert!(events.iter().any(|event| event.kind == "root_back"));
}

#[tokio::test]
async fn a_root_that_is_deleted_and_made_again_has_new_builds() {
    let system = System::start().await;
    let project = system.project("p");
    step(&project, 1);
    shows(&system, &project, 1).await;
    fs::remove_dir_all(&system.watch).unwrap();
    root_is(&system, RootState::Missing).await;
    system
        .build(&project, 1, |build| build.state == BuildState::Unknown)
        .await;
    fs::create_dir(&system.watch).unwrap();
    root_is(&system, RootState::Watching).await;
    let build = system
        .build(&project, 1, |build| {
            let reason = build.state_reason.as_deref();
            reason.is_some_and(|reason| reason.contains("removed"))
        })
        .await;
    assert_eq!(build.state, BuildState::Unknown);
    let again = system.project("p");
    step(&again, 1);
    let second = system.build(&again, 2, |_| true).await;
    assert_eq!(second.state, BuildState::Running);
}

#[tokio::test]
async fn a_root_that_is_missing_when_its_agent_comes_back_leaves_its_builds_unknown() {
    let mut system = System::start().await;
    let project = system.project("p");
    step(&project, 1);
    shows(&system, &project, 1).await;
    system.agents[0].process.stop().await;
    system.host_is(HOST, "stopped").await;
    let aside = scratch::directory("aside").join("moved");
    fs::rename(&system.watch, &aside).unwrap();
    system.agents[0].restart();
    system.host_is(HOST, "up").await;
    system
        .build(&project, 1, |build| {
            let reason = build.state_reason.as_deref();
            reason.is_some_and(|reason| reason.starts_with("root missing"))
        })
        .await;
    // A new leader knows it too.
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    is_unknown(&system, &project).await;
    fs::rename(&aside, &system.watch).unwrap();
    shows(&system, &project, 1).await;
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).arg(path).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Unmounts at the end of the test, however it ends.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        run("umount", &["--lazy"], self.0);
    }
}

#[tokio::test]
async fn a_root_that_is_unmounted_and_mounted_again_goes_on() {
    let mut system = System::start().await;
    let root = scratch::directory("mounted");
    let disk = scratch::directory("disk");
    let source = disk.to_string_lossy().into_owned();
    if !run("mount", &["--bind", &source], &root) {
        eprintln!("skipped: this system does not let us mount anything");
        return;
    }
    let _mounted = Mounted(&root);
    let inner = root.join("work");
    let project = Project::create(inner.join("p"));
    step(&project, 1);
    let agent = Agent::start("mounts", &inner, &system.nats);
    system.agents.push(agent);
    let id = project.build_id("mounts", 1);
    let is = async |state: BuildState| system.build_by_id(&id, |build| build.state == state).await;
    is(BuildState::Running).await;
    assert!(
        run("umount", &[], &root),
        "it can be unmounted: nothing is held open"
    );
    let reason = is(BuildState::Unknown)
        .await
        .state_reason
        .unwrap_or_default();
    assert!(reason.starts_with("root missing"), "{reason}");
    assert!(run("mount", &["--bind", &source], &root));
    is(BuildState::Running).await;
    step(&project, 2);
    system
        .build_by_id(&id, |build| build.detail.as_deref() == Some("step 2"))
        .await;
}

#[tokio::test]
async fn a_directory_that_is_mounted_in_two_places_is_one_build_and_said() {
    let system = System::start().await;
    let project = system.project("a/p");
    step(&project, 1);
    system.build(&project, 1, |_| true).await;
    let second = system.watch.join("b");
    fs::create_dir(&second).unwrap();
    let source = system.watch.join("a").to_string_lossy().into_owned();
    if !run("mount", &["--bind", &source], &second) {
        eprintln!("skipped: this system does not let us mount anything");
        return;
    }
    let mounted = Mounted(&second);
    // A mount gives no event: whatever appears beside it makes the directory be looked at.
    step(&system.project("b/other"), 1);
    let other = Project::unmade(system.watch.join("a/other"));
    system.build(&other, 1, |_| true).await;
    step(&project, 2);
    shows(&system, &project, 2).await;
    let mut agents = Vec::new();
    let again = Agent::start("again", &system.watch, &system.nats);
    agents.push(again);
    let api = system.api();
    eventually("the second name is said", async || {
        let host = api.host("again").await?;
        let reason = host.roots.first().and_then(|root| root.reason.clone());
        let reason = reason.unwrap_or_default();
        check(reason.contains("is the same directory as"), || {
            format!("{host:?}")
        })
    })
    .await;
    eventually("both hosts have each project once", async || {
        let builds = api.builds().await?;
        let of = |host: &str| builds.iter().filter(|build| build.host == host).count();
        check((of(HOST), of("again")) == (2, 2), || format!("{builds:?}"))
    })
    .await;
    drop(mounted);
}

/// Rounds of mounting over a directory that was made just before, each a little later after it was made than the last.
const RACES: u64 = 60;

#[tokio::test]
async fn a_mount_over_a_directory_that_is_just_being_watched_costs_the_first_name_nothing() {
    let system = System::start().await;
    step(&system.project("a/p"), 1);
    let source = system.watch.join("a");
    let second = |round: u64| system.watch.join(format!("b{round}"));
    let names: Vec<_> = (0..RACES).map(second).collect();
    let mut mounted = Vec::new();
    for (round, name) in (0..RACES).zip(&names) {
        fs::create_dir(name).unwrap();
        // Between its listing and its watch the agent may be anywhere in these.
        #[expect(
            clippy::disallowed_methods,
            reason = "microseconds, which are the experiment"
        )]
        std::thread::sleep(Duration::from_micros(round * 25));
        if rustix::mount::mount_bind(&source, name).is_err() {
            eprintln!("skipped: this system does not let us mount anything");
            return;
        }
        mounted.push(Mounted(name));
        // Made under the second name, it is found under the first.
        step(&system.project(&format!("b{round}/p{round}")), 1);
        let project = Project::unmade(source.join(format!("p{round}")));
        system.build(&project, 1, |_| true).await;
    }
    // Nor did the first name lose its watch for later.
    step(&system.project("a/last"), 1);
    system
        .build(&Project::unmade(source.join("last")), 1, |_| true)
        .await;
    let builds = system.api().builds().await.unwrap();
    assert_eq!(builds.len() as u64, RACES + 2, "one build each: {builds:?}");
}
