//! Context Foundry, file by file: the build that its files make, and its page.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use harness::browser::{available, with_browser};
use harness::fixtures;
use harness::stream::agree;
use harness::system::System;
use harness::wait::{check, eventually};
use protocol::build::Origin;
use protocol::{Build, BuildState};
use serde_json::{Value, json};

use crate::pages::open;

/// What must not leave the host.
const SECRET: &str = "hunter2";

fn put(project: &Path, file: &str, text: &str) {
    let path = project.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn append(project: &Path, file: &str, line: &Value) {
    let path = project.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = OpenOptions::new().create(true).append(true).open(path);
    writeln!(file.unwrap(), "{line}").unwrap();
}

fn plan() -> String {
    json!({"parallel_mode": true, "total_tasks": 2, "tasks": [
        {"id":"task-1","description":"Write the engine","files":["a.rs"],"dependencies":[],"estimated_time":"2 minutes"},
        {"id":"task-2","description":"Write the server","files":["b.rs"],"dependencies":["task-1"]}]})
    .to_string()
}

fn task(build: &Build, place: usize) -> Option<&str> {
    build.tasks.as_ref()?["list"][place]["state"].as_str()
}

async fn no_secret_was_kept(system: &System) {
    for event in system.database.events().await.unwrap() {
        assert!(!format!("{event:?}").contains(SECRET), "{event:?}");
    }
}

#[tokio::test]
async fn a_project_written_file_by_file_gives_the_right_build_and_page() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("shop");
    let dir = project.dir().to_owned();
    let phase = |phase: &str, number: &str, word: &str| {
        project.phase(&fixtures::phase("shop", phase, number, word));
    };
    phase("Scout", "1/7", "researching");
    let bare = system.build(&project, 1, |_| true).await;
    assert_eq!((bare.tasks, bare.tests, bare.decisions), (None, None, None));
    let id = bare.id;
    if available() {
        with_browser(&system.aggregators[0].base(), async |page| {
            open(page, &format!("/builds/{id}")).await;
            let none = "[data-f=no-metrics]";
            page.until("it says that there are none", &format!("document.querySelector('[data-panel] {none}').checkVisibility()")).await;
            page.until_text("[data-panel] [data-f=origin]", |text| text == "a live file").await;
            phase("Builder", "3/7", "building");
            put(&dir, ".context-foundry/build-tasks.json", &plan());
            page.until_text("[data-f=tasks]", |text| text.contains("Write the server") && text.contains("level 1 · after task-1")).await;
            page.until("no such line any more", &format!("!document.querySelector('[data-panel] {none}').checkVisibility()")).await;
            put(&dir, ".context-foundry/builder-logs/task-1.done", "");
            page.until_text("[data-f=tasks-note]", |text| text == "1 of 2 done · in parallel").await;
            put(&dir, ".context-foundry/builder-logs/task-2.error", SECRET);
            page.until_text("[data-f=tasks]", |text| text.contains("error log of 7 B")).await;
            put(&dir, ".context-foundry/builder-logs/task-2.done", "");
            phase("Test", "4/7", "testing");
            put(&dir, ".context-foundry/test-iteration-count.txt", "1\n");
            put(&dir, ".context-foundry/test-results-iteration-1.md", &format!("# Results\n- Passed: 9\n- Failed: 3\n{SECRET}\n"));
            page.until_text("[data-f=test-runs]", |text| text.contains("Iteration 1") && text.contains("9 passed · 3 failed")).await;
            put(&dir, ".context-foundry/feedback/build-feedback-1.json", r#"{"decisions":[{"decision_type":"storage","decision_description":"Use SQLite","quality_rating":4}]}"#);
            page.until_text("[data-f=decisions]", |text| text.contains("Use SQLite") && text.contains("quality 4 of 5")).await;
            // The same, drawn by the server.
            let html = system.api().get(&format!("/builds/{id}")).await.unwrap().body;
            for text in ["2 of 2 done · in parallel", "9 passed · 3 failed", "storage · quality 4 of 5", "error log of 7 B"] {
                assert!(html.contains(text), "{text} in {html}");
            }
            assert!(page.complaints().await.is_empty());
        })
        .await;
    } else {
        phase("Builder", "3/7", "building");
        put(&dir, ".context-foundry/build-tasks.json", &plan());
        put(&dir, ".context-foundry/builder-logs/task-2.done", "");
    }
    put(&dir, ".context-foundry/build-output-7f3a.txt", SECRET);
    project.summary(&json!({"status":"completed","phases_completed":["Scout"],"test_iterations":2,"tests_passed":true,
        "files_created":4,"duration_minutes":12,"github_pr_url":"https://example.org/a/pull/9"}));
    let ended = system
        .build_by_id(&id, |build| {
            build.has_ended()
                && build.tests.is_some()
                && build.facts.iter().any(|fact| fact.key == "build_output")
        })
        .await;
    assert_eq!((ended.state, ended.run), (BuildState::Completed, 1));
    assert_eq!(task(&ended, 1), Some("completed"));
    let tests = ended.tests.unwrap();
    assert_eq!(
        (&tests["passed"], &tests["iterations"]),
        (&json!(true), &json!(2))
    );
    let facts: Vec<_> = ended.facts.iter().map(|fact| fact.label.as_str()).collect();
    assert!(
        facts.contains(&"Files created") && facts.contains(&"Output"),
        "{facts:?}"
    );
    assert_eq!(system.database.builds().await.unwrap().len(), 1);
    no_secret_was_kept(&system).await;
    let raw = system.api().raw_build(&id).await.unwrap();
    client
        .until_build("shop", |told| told["seq"] == raw["seq"])
        .await;
    agree(&client.seen().builds[&id], &raw).unwrap();
    client.assert_clean();
}

#[tokio::test]
async fn parts_alone_are_no_build_and_are_of_the_one_that_comes() {
    let system = System::start().await;
    let project = system.project("shop");
    put(project.dir(), ".context-foundry/build-tasks.json", &plan());
    put(
        project.dir(),
        ".context-foundry/builder-logs/task-1.done",
        "",
    );
    eventually("both are stored", async || {
        let events = system.database.events().await?;
        check(events.len() == 2, || format!("{events:#?}"))
    })
    .await;
    assert!(system.api().builds().await.unwrap().is_empty());
    project.phase(&fixtures::phase("shop", "Builder", "3/7", "building"));
    let build = system.build(&project, 1, |_| true).await;
    assert_eq!(
        (task(&build, 0), task(&build, 1)),
        (Some("completed"), Some("pending"))
    );
}

#[tokio::test]
async fn the_older_loop_goes_from_its_checkpoint_and_logs_to_the_build() {
    let system = System::start().await;
    let dir = system.watch.join("foundry");
    let (checkpoint, logs) = (
        "checkpoints/ralph/shop_1",
        "logs/events/shop_1/events.jsonl",
    );
    let state = |phase: &str, loops: u64| {
        json!({"project_name":"shop","task_description":"Build a shop","session_id":"shop_1","start_time":"2025-10-01T22:00:00.5",
            "iterations":loops,"completed_tasks":[],"failed_attempts":[],"current_phase":phase,"artifacts":{"scout":"a text"}})
        .to_string()
    };
    put(
        &dir,
        &format!("{checkpoint}/state.json"),
        &state("scout", 1),
    );
    put(
        &dir,
        &format!("{checkpoint}/progress.json"),
        r#"{"completed":["Plan"],"remaining":["Write"],"notes":[]}"#,
    );
    append(
        &dir,
        "logs/ralph_shop_1/session.jsonl",
        &json!({"timestamp":"t","prompt":SECRET,"response":SECRET,
        "metadata":{"input_tokens":700,"output_tokens":30,"context_percentage":82.5,"model":"claude-x","compaction_count":1}}),
    );
    let only = async |what: &str, probe: &dyn Fn(&Build) -> bool| {
        eventually(what, async || {
            let builds = system.api().builds().await?;
            check(builds.len() == 1 && probe(&builds[0]), || {
                format!("{builds:#?}")
            })
        })
        .await;
        system.api().builds().await.unwrap().remove(0)
    };
    let build = only("one build with all of it", &|build| {
        build.tasks.is_some() && build.context.is_some()
    })
    .await;
    assert_eq!(
        (build.origin, build.state),
        (Origin::Checkpoint, BuildState::Running)
    );
    assert_eq!(
        (build.project.as_str(), build.session_id.as_deref()),
        ("shop", Some("shop_1"))
    );
    assert_eq!(
        (build.context.unwrap().used, build.tokens.unwrap().input),
        (Some(165_000), Some(700))
    );
    assert_eq!(
        (build.progress, build.model.as_deref()),
        (Some(0.5), Some("claude-x"))
    );
    if available() {
        with_browser(&system.aggregators[0].base(), async |page| {
            open(page, &format!("/builds/{}", build.id)).await;
            page.until_text("[data-panel] [data-f=origin]", |text| {
                text == "a checkpoint"
            })
            .await;
            page.until_text("[data-f=window-note]", |text| text == "82 % · critical")
                .await;
        })
        .await;
    }
    append(
        &dir,
        logs,
        &json!({"type":"phase_change","session_id":"shop_1","sequence":1,"data":{"phase":"builder","context_percent":30}}),
    );
    append(
        &dir,
        logs,
        &json!({"type":"log_line","sequence":2,"data":{"line":SECRET,"level":"info"}}),
    );
    append(
        &dir,
        logs,
        &json!({"type":"task_complete","sequence":3,"data":{"task":"Write"}}),
    );
    let build = only("the log's events", &|build| {
        build
            .tasks
            .as_ref()
            .is_some_and(|tasks| tasks["completed"] == 2)
    })
    .await;
    assert_eq!(build.phase.as_deref(), Some("builder"));
    put(
        &dir,
        &format!("{checkpoint}/state.json"),
        &state("builder", 2),
    );
    put(&dir, &format!("{checkpoint}/COMPLETE"), "");
    let ended = only("the end", &Build::has_ended).await;
    assert_eq!(ended.state, BuildState::Completed);
    no_secret_was_kept(&system).await;
}
