//! A session of Context Foundry that is called otherwise than its directory: its
//! checkpoints and the project's live file are one build.

use harness::fixtures;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use protocol::build::Origin;
use protocol::{Build, BuildState};

use crate::foundry::{checkpoint, only, put};
use crate::history::rebuild;

#[tokio::test]
async fn a_session_called_otherwise_than_its_directory_is_one_build_whichever_file_comes_first() {
    let mut system = System::start().await;
    for (name, live_first) in [("foundry", true), ("forge", false)] {
        let project = system.project(name);
        let builds_here = async |probe: &dyn Fn(&Build) -> bool, what: &str| -> Build {
            let mut found = None;
            eventually(what, async || {
                let all = system.api().builds().await?;
                let here: Vec<_> = all.into_iter().filter(|build| build.path == name).collect();
                found = here.first().cloned();
                check(here.len() == 1 && probe(&here[0]), || format!("{here:#?}"))
            })
            .await;
            found.unwrap()
        };
        let live = |phase: &str, number: &str, status: &str| {
            project.phase(&fixtures::phase("shop_1", phase, number, status));
        };
        if live_first {
            live("Scout", "1/7", "researching");
            builds_here(&|build| build.origin == Origin::Live, "the live file").await;
            checkpoint(project.dir(), "scout", 1);
        } else {
            checkpoint(project.dir(), "scout", 1);
            builds_here(
                &|build| build.origin == Origin::Checkpoint,
                "the checkpoint",
            )
            .await;
            live("Scout", "1/7", "researching");
        }
        put(
            project.dir(),
            "checkpoints/ralph/shop_1/progress.json",
            r#"{"completed":["Plan"],"remaining":["Write"],"notes":[]}"#,
        );
        live("Builder", "3/7", "building");
        let has_both =
            |build: &Build| build.phase.as_deref() == Some("Builder") && build.tasks.is_some();
        let build = builds_here(&has_both, "one build of both").await;
        assert_eq!(build.id, project.build_id(HOST, 1), "the project's");
        assert_eq!(
            (build.session_id.as_deref(), build.origin),
            (Some("shop_1"), Origin::Live)
        );
        put(project.dir(), "checkpoints/ralph/shop_1/COMPLETE", "");
        let ended = builds_here(&Build::has_ended, "its end").await;
        assert_eq!((ended.state, ended.run), (BuildState::Completed, 1));
    }
    let before = system.database.builds().await.unwrap();
    assert_eq!(before.len(), 3, "two, and the one that goes on as another");
    for aggregator in &mut system.aggregators {
        aggregator.process.stop().await;
    }
    let (done, told) = rebuild(&system);
    let nothing = "3 builds unchanged, 0 changed, 0 removed, 0 skipped";
    assert!(done && told.contains(nothing), "{told}");
}

#[tokio::test]
async fn what_is_found_of_a_session_and_its_project_at_the_start_is_one_build() {
    let mut system = System::bare().await;
    let dir = system.watch.join("foundry");
    checkpoint(&dir, "builder", 2);
    let live = fixtures::phase("shop_1", "Builder", "3/7", "building");
    put(
        &dir,
        ".context-foundry/current-phase.json",
        &live.to_string(),
    );
    system.start_parts().await;
    let both = |build: &Build| {
        build.origin == Origin::Live
            && build.found
            && build.facts.iter().any(|fact| fact.key == "iterations")
    };
    let build = only(&system, "one build of both", both).await;
    assert_eq!(build.phase.as_deref(), Some("Builder"));
}
