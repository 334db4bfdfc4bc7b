//! Projects that appear, move and vanish with whole trees are found without polling.

use std::fs;
use std::time::Duration;

use harness::fixtures;
use harness::system::{Agent, Aggregator, HOST, System};
use harness::wait::{DEADLINE, check, eventually, eventually_within};
use harness::writer::{DIRECTORY, Manner, PHASE, Project, write};

/// Trees that are made at full speed; the 10,000 are for `make chaos` sized machines.
fn trees() -> usize {
    std::env::var("PHASELINE_TEST_TREES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(500)
}

#[tokio::test]
async fn trees_made_at_full_speed_are_all_found() {
    let system = System::start().await;
    let watch = system.watch.clone();
    let count = trees();
    tokio::task::spawn_blocking(move || {
        for number in 0..count {
            let dir = watch.join(format!(
                "group-{}/project-{number}/{DIRECTORY}",
                number % 17
            ));
            fs::create_dir_all(&dir).unwrap();
            let manner = if number % 2 == 0 {
                Manner::InPlace
            } else {
                Manner::Atomic
            };
            let file = fixtures::phase(&format!("project-{number}"), "Scout", "1/7", "researching");
            write(&dir.join(PHASE), file.to_string().as_bytes(), manner).unwrap();
        }
    })
    .await
    .unwrap();
    let expected = i64::try_from(count).unwrap();
    let deadline = DEADLINE + Duration::from_millis(10) * u32::try_from(count).unwrap();
    eventually_within(deadline, "every tree is a build", async || {
        let seen = system.database.number("SELECT count(*) FROM build").await?;
        check(seen == expected, || format!("{seen} of {expected}"))
    })
    .await;
    assert_eq!(
        system
            .database
            .number("SELECT count(*) FROM event")
            .await
            .unwrap(),
        expected
    );
}

#[tokio::test]
async fn a_tree_that_is_moved_in_is_found() {
    let system = System::start().await;
    let outside = harness::scratch::directory("outside");
    let project = Project::create(outside.join("moved/deep/in/here"));
    project.phase(&fixtures::phase("here", "Scout", "1/7", "researching"));
    fs::rename(outside.join("moved"), system.watch.join("moved")).unwrap();
    let inside = Project::unmade(system.watch.join("moved/deep/in/here"));
    system.build(&inside, 1, |_| true).await;
    // And it is watched, not only read once.
    inside.phase(&fixtures::phase("here", "Architect", "2/7", "designing"));
    system
        .build(&inside, 1, |build| {
            build.phase.as_deref() == Some("Architect")
        })
        .await;
}

#[tokio::test]
async fn a_directory_that_is_deleted_and_made_again_is_watched_again() {
    let system = System::start().await;
    let project = system.project("phoenix");
    project.phase(&fixtures::phase("phoenix", "Deploy", "6/7", "deploying"));
    system.build(&project, 1, |_| true).await;
    fs::remove_dir_all(project.dir()).unwrap();
    system
        .build(&project, 1, |build| {
            build
                .state_reason
                .as_deref()
                .is_some_and(|reason| reason.contains("removed"))
        })
        .await;
    let again = Project::create(project.dir().to_owned());
    again.phase(&fixtures::phase("phoenix", "Scout", "1/7", "researching"));
    system.build(&again, 2, |_| true).await;
    again.phase(&fixtures::phase("phoenix", "Architect", "2/7", "designing"));
    system
        .build(&again, 2, |build| {
            build.phase.as_deref() == Some("Architect")
        })
        .await;
}

#[tokio::test]
async fn a_root_that_appears_later_is_watched_then() {
    let mut system = System::bare().await;
    let root = system.watch.join("not/yet");
    system
        .aggregators
        .push(Aggregator::start(&system.nats, &system.database).await);
    system.agents.push(Agent::start(HOST, &root, &system.nats));
    let api = system.api();
    eventually("the missing root is visible", async || {
        let host = api.host(HOST).await?;
        check(host.roots[0].state == protocol::RootState::Missing, || {
            format!("{host:?}")
        })
    })
    .await;
    let project = Project::create(root.join("early"));
    project.phase(&fixtures::phase("early", "Scout", "1/7", "researching"));
    system.build(&project, 1, |_| true).await;
    system.host_is(HOST, "up").await;
}

#[tokio::test]
async fn build_output_is_not_searched_and_projects_beside_it_are() {
    let system = System::start().await;
    let pruned = system.project("web/node_modules/pkg");
    pruned.phase(&fixtures::phase("pkg", "Scout", "1/7", "researching"));
    // `build` is only an output directory inside of a project.
    let named = system.project("build/site");
    named.phase(&fixtures::phase("site", "Scout", "1/7", "researching"));
    system.build(&named, 1, |_| true).await;
    fs::create_dir_all(system.watch.join("lib")).unwrap();
    fs::write(system.watch.join("lib/Cargo.toml"), "[package]").unwrap();
    let output = system.project("lib/target/site");
    output.phase(&fixtures::phase("site", "Scout", "1/7", "researching"));
    let marker = system.project("marker");
    marker.phase(&fixtures::phase("marker", "Scout", "1/7", "researching"));
    system.build(&marker, 1, |_| true).await;
    let builds = system.api().builds().await.unwrap();
    let mut projects: Vec<&str> = builds.iter().map(|build| build.path.as_str()).collect();
    projects.sort_unstable();
    assert_eq!(projects, ["build/site", "marker"]);
}
