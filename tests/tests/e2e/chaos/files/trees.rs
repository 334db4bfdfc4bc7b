//! Projects that appear, move and vanish with whole trees are found without polling.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::fixtures;
use harness::oracle::{Recorder, TruthLog, Verdict};
use harness::scale::{chosen, scale};
use harness::scratch;
use harness::system::{Agent, Aggregator, HOST, System};
use harness::wait::{check, eventually};
use harness::writer::{DIRECTORY, Manner, Project};
use rand::RngExt as _;

/// A new directory is watched, but what was in it before its watch is not looked for at once,
const NO_FIRST_WALK: (&str, &str) = ("PHASELINE_FAIL_POINT", "no_walk_of_new");
/// nor a moment later.
const NO_WALK: (&str, &str) = ("PHASELINE_FAIL_POINT", "no_walk_of_new,no_second_look");

/// Trees that are made at full speed.
fn trees() -> usize {
    let chosen = chosen("PHASELINE_TEST_TREES").and_then(|n| usize::try_from(n).ok());
    chosen.unwrap_or_else(|| scale(500, 10_000))
}

/// A snapshot for browsers has no more builds.
const MAX_SHOWN: usize = 1_000;

fn recorder(system: &System, builds: usize) -> Recorder {
    if builds > MAX_SHOWN {
        Recorder::without_browsers()
    } else {
        Recorder::start(system)
    }
}

/// Trees made at full speed, and what was recorded of them.
struct Made {
    system: System,
    recorder: Recorder,
    projects: Vec<Project>,
    verdict: Verdict,
}

async fn made(settings: &[(&'static str, &str)], count: usize, patience: Duration) -> Made {
    let system = System::start_with(settings).await;
    let watch = system.watch.clone();
    let recorder = recorder(&system, count);
    let truth = Arc::clone(&recorder.truth);
    let made = Instant::now();
    let making = move || -> Vec<Project> {
        let tree = |number: usize| {
            let dir = watch.join(format!("group-{}/project-{number}", number % 17));
            let project = Project::create(dir);
            let manner = [Manner::InPlace, Manner::Atomic][number % 2];
            truth.write(&project, 1, manner);
            project
        };
        (0..count).map(tree).collect()
    };
    let projects = tokio::task::spawn_blocking(making).await.unwrap();
    let written = Instant::now();
    let verdict = recorder.verdict_within(&system, written, patience).await;
    let seconds = (written - made).as_secs_f64();
    eprintln!("{count} trees in {seconds:.1} s: {verdict}");
    Made {
        system,
        recorder,
        projects,
        verdict,
    }
}

#[tokio::test]
async fn trees_made_at_full_speed_are_all_found_and_watched() {
    all_are_found_and_watched(&[], trees()).await;
}

/// Whatever the first walk of a new directory misses is found by the second: also everything.
#[tokio::test]
async fn the_second_walk_of_new_directories_finds_what_the_first_one_missed() {
    all_are_found_and_watched(&[NO_FIRST_WALK], trees() / 5).await;
}

async fn all_are_found_and_watched(settings: &[(&'static str, &str)], count: usize) {
    let patience =
        Duration::from_secs(30) + Duration::from_millis(20) * u32::try_from(count).unwrap();
    let Made {
        system,
        recorder,
        projects,
        verdict,
    } = made(settings, count, patience).await;
    verdict.assert_faultless("trees");
    // They are watched, not only found.
    let truth = Arc::clone(&recorder.truth);
    let writing = tokio::task::spawn_blocking(move || {
        for project in &projects {
            truth.write(project, 2, Manner::InPlace);
        }
    });
    writing.await.unwrap();
    let verdict = recorder
        .verdict_within(&system, Instant::now(), patience)
        .await;
    verdict.assert_faultless("a second state in each tree");
    let rows = system
        .database
        .number("SELECT count(*) FROM event")
        .await
        .unwrap();
    assert_eq!(
        rows,
        i64::try_from(2 * count).unwrap(),
        "a row for each state"
    );
}

/// Deletes and makes each tree again and again, with and without a pause.
fn churn(truth: &TruthLog, dirs: &[std::path::PathBuf], rounds: u64) -> Vec<Project> {
    std::thread::scope(|scope| {
        let churning: Vec<_> = dirs
            .iter()
            .map(|dir| scope.spawn(|| churn_one(truth, dir, rounds)))
            .collect();
        churning
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a user's pace, on a thread of its own"
)]
fn churn_one(truth: &TruthLog, dir: &Path, rounds: u64) -> Project {
    let project = Project::unmade(dir.to_owned());
    for round in 1..=rounds {
        if round > 1 {
            truth.ends(&project);
            fs::remove_dir_all(dir).unwrap();
        }
        std::thread::sleep(Duration::from_micros(rand::rng().random_range(0..3_000)));
        fs::create_dir_all(dir.join("deep").join("er")).unwrap();
        fs::create_dir_all(dir.join(DIRECTORY)).unwrap();
        truth.write(&project, round, Manner::InPlace);
        std::thread::sleep(Duration::from_micros(rand::rng().random_range(0..3_000)));
    }
    project
}

/// What is left of trees that come and go is found and watched.
async fn churned(settings: &[(&'static str, &str)], rounds: u64, patience: Duration) -> Verdict {
    const TREES: usize = 8;
    let system = System::start_with(settings).await;
    let dirs: Vec<_> = (0..TREES)
        .map(|n| system.watch.join(format!("a/b/tree-{n}")))
        .collect();
    // Each time a tree is made anew is another build.
    let recorder = recorder(&system, TREES * usize::try_from(rounds).unwrap());
    let truth = Arc::clone(&recorder.truth);
    let projects = tokio::task::spawn_blocking(move || churn(&truth, &dirs, rounds))
        .await
        .unwrap();
    let found = recorder
        .verdict_within(&system, Instant::now(), patience)
        .await;
    eprintln!("{TREES} trees made {rounds} times: {found}");
    for project in &projects {
        recorder.step(project, rounds + 1);
    }
    recorder
        .verdict_within(&system, Instant::now(), patience)
        .await
}

#[tokio::test]
async fn trees_that_are_deleted_and_made_again_are_found_and_watched_each_time() {
    let verdict = churned(&[], scale(125, 1_000), Duration::from_secs(40)).await;
    verdict.assert_faultless("trees made again and again");
}

#[tokio::test]
async fn control_without_walks_of_new_directories_trees_are_lost() {
    let made = made(&[NO_WALK], 100, Duration::from_secs(4)).await;
    let verdict = made.verdict;
    assert!(
        !verdict.lost.is_empty(),
        "the walks would not be needed: {verdict}"
    );
}

#[tokio::test]
async fn a_tree_that_is_moved_in_is_found() {
    let system = System::start().await;
    let outside = scratch::directory("outside");
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
