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

use crate::history::rebuild;
use crate::pages::open;

/// What must not leave the host.
const SECRET: &str = "hunter2";

pub(crate) fn put(project: &Path, file: &str, text: &str) {
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
async fn a_project_written_file_by_file_gives_the_right_build() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("shop");
    let dir = project.dir().to_owned();
    project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
    let bare = system.build(&project, 1, |_| true).await;
    assert_eq!((bare.tasks, bare.tests, bare.decisions), (None, None, None));
    let id = bare.id;
    project.phase(&fixtures::phase("shop", "Builder", "3/7", "building"));
    put(&dir, ".context-foundry/build-tasks.json", &plan());
    put(&dir, ".context-foundry/builder-logs/task-1.error", SECRET);
    system
        .build_by_id(&id, |build| task(build, 0) == Some("failed"))
        .await;
    put(&dir, ".context-foundry/builder-logs/task-1.done", "");
    put(&dir, ".context-foundry/builder-logs/task-2.done", "");
    let report = format!("# Results\n- Passed: 9\n- Failed: 0\n{SECRET}\n");
    put(
        &dir,
        ".context-foundry/test-results-iteration-1.md",
        &report,
    );
    put(&dir, ".context-foundry/build-output-7f3a.txt", SECRET);
    project.summary(&json!({"status":"completed","phases_completed":["Scout"],"test_iterations":2,"tests_passed":true,
        "files_created":4,"duration_minutes":12,"github_pr_url":"https://example.org/a/pull/9"}));
    let has_output = |build: &Build| build.facts.iter().any(|fact| fact.key == "build_output");
    let all = |build: &Build| build.has_ended() && has_output(build) && build.pr_url.is_some();
    let ended = system.build_by_id(&id, all).await;
    assert_eq!((ended.state, ended.run), (BuildState::Completed, 1));
    assert_eq!(
        (task(&ended, 0), task(&ended, 1)),
        (Some("completed"), Some("completed"))
    );
    let tests = ended.tests.unwrap();
    assert_eq!(
        (
            &tests["passed"],
            &tests["iterations"],
            &tests["runs"][0]["passed"]
        ),
        (&json!(true), &json!(2), &json!(9))
    );
    let facts: Vec<_> = ended.facts.iter().map(|fact| fact.label.as_str()).collect();
    assert!(facts.contains(&"Files created"), "{facts:?}");
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
async fn enhanced_metrics_appear_on_the_page_file_by_file() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let project = system.project("shop");
    let write =
        |file: &str, text: &str| put(project.dir(), &format!(".context-foundry/{file}"), text);
    project.phase(&fixtures::phase("shop", "Builder", "3/7", "building"));
    let id = system.build(&project, 1, |_| true).await.id;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, &format!("/builds/{id}")).await;
        let seen = "document.querySelector('[data-panel] [data-f=no-metrics]').checkVisibility()";
        page.until("it says that there are none", seen).await;
        page.until_text("[data-panel] [data-f=origin]", |text| text == "a live file").await;
        write("build-tasks.json", &plan());
        page.until_text("[data-f=tasks]", |text| text.contains("Write the server") && text.contains("level 1 · after task-1")).await;
        page.until("it does not say so any more", &format!("!{seen}")).await;
        write("builder-logs/task-1.done", "");
        page.until_text("[data-f=tasks-note]", |text| text == "1 of 2 done · in parallel").await;
        write("builder-logs/task-2.error", SECRET);
        page.until_text("[data-f=tasks]", |text| text.contains("error log of 7 B")).await;
        write("test-results-iteration-1.md", "# Results\n- Passed: 9\n- Failed: 3\n");
        page.until_text("[data-f=test-runs]", |text| text.contains("Iteration 1") && text.contains("9 passed · 3 failed")).await;
        write("feedback/build-feedback-1.json", r#"{"decisions":[{"decision_type":"storage","decision_description":"Use SQLite","quality_rating":4}]}"#);
        page.until_text("[data-f=decisions]", |text| text.contains("Use SQLite") && text.contains("quality 4 of 5")).await;
        // The same, drawn by the server.
        let html = system.api().get(&format!("/builds/{id}")).await.unwrap().body;
        for text in ["1 of 2 done · in parallel", "9 passed · 3 failed", "storage · quality 4 of 5", "error log of 7 B"] {
            assert!(html.contains(text), "{text} in {html}");
        }
        // On a desk the panel scrolls, and not the page around it too.
        let desk = json!({"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        page.cdp("Emulation.setDeviceMetricsOverride", desk).await;
        page.until("one thing to scroll", "document.documentElement.scrollHeight <= innerHeight && document.querySelector('.drawer').scrollHeight > innerHeight").await;
        assert!(page.complaints().await.is_empty());
    })
    .await;
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
async fn one_session_name_in_two_directories_is_two_builds() {
    let system = System::start().await;
    // A session is called after its directory, so that the name is no identity.
    let (here, there) = (system.project("a/web"), system.project("b/web"));
    for (project, number) in [(&here, "1/7"), (&there, "2/7")] {
        project.phase(&fixtures::phase("web", "Scout", number, "researching"));
        put(project.dir(), ".context-foundry/build-tasks.json", &plan());
    }
    for (project, number) in [(&here, "1/7"), (&there, "2/7")] {
        let build = system
            .build(project, 1, |build| build.tasks.is_some())
            .await;
        assert_eq!(build.session_id.as_deref(), Some("web"));
        assert_eq!(build.phase_number.as_deref(), Some(number));
    }
}

#[tokio::test]
async fn a_rebuild_finds_the_same_parts_for_the_same_builds() {
    let mut system = System::start().await;
    let project = system.project("shop");
    let write =
        |file: &str, text: &str| put(project.dir(), &format!(".context-foundry/{file}"), text);
    // Committed alone, before there is a build: the first event of the first run.
    write("build-tasks.json", &plan());
    eventually("the plan is stored", async || {
        let events = system.database.events().await?;
        check(events.len() == 1, || format!("{events:#?}"))
    })
    .await;
    for run in 1..=2 {
        project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
        system.build(&project, run, |_| true).await;
        project.phase(&fixtures::phase("shop", "Builder", "3/7", "building"));
        system
            .build(&project, run, |build| {
                build.phase.as_deref() == Some("Builder")
            })
            .await;
        // Equal bytes in both runs.
        write("build-tasks.json", &plan());
        write("builder-logs/task-1.done", "");
        system
            .build(&project, run, |build| task(build, 0) == Some("completed"))
            .await;
        project.summary(&json!({"status":"completed","tests_passed":true}));
        system.build(&project, run, Build::has_ended).await;
    }
    checkpoint(&system.watch.join("foundry"), "scout", 1);
    eventually("three builds", async || {
        let builds = system.api().builds().await?;
        check(builds.len() == 3, || format!("{builds:#?}"))
    })
    .await;
    for aggregator in &mut system.aggregators {
        aggregator.process.stop().await;
    }
    let (done, told) = rebuild(&system);
    let nothing = "3 builds unchanged, 0 changed, 0 removed, 0 skipped";
    assert!(done && told.contains(nothing), "{told}");
}

/// The only build, once it is as it should be.
pub(crate) async fn only(system: &System, what: &str, probe: impl Fn(&Build) -> bool) -> Build {
    let api = system.api();
    eventually(what, async || {
        let builds = api.builds().await?;
        check(builds.len() == 1 && probe(&builds[0]), || {
            format!("{builds:#?}")
        })
    })
    .await;
    api.builds().await.unwrap().remove(0)
}

pub(crate) fn checkpoint(dir: &Path, phase: &str, loops: u64) {
    let state = json!({"project_name":"shop","task_description":"Build a shop","session_id":"shop_1","start_time":"2025-10-01T22:00:00.5",
        "iterations":loops,"completed_tasks":[],"failed_attempts":[],"current_phase":phase,"artifacts":{"scout":"a text"}});
    let text = state.to_string();
    put(dir, "checkpoints/ralph/shop_1/state.json", &text);
}

#[tokio::test]
async fn the_older_loop_goes_from_its_checkpoint_to_the_page() {
    let system = System::start().await;
    let dir = system.watch.join("foundry");
    checkpoint(&dir, "scout", 1);
    let progress = r#"{"completed":["Plan"],"remaining":["Write"],"notes":[]}"#;
    put(&dir, "checkpoints/ralph/shop_1/progress.json", progress);
    let call = json!({"timestamp":"t","prompt":SECRET,"response":SECRET,
        "metadata":{"input_tokens":700,"output_tokens":30,"context_percentage":82.5,"model":"claude-x","compaction_count":1}});
    append(&dir, "logs/ralph_shop_1/session.jsonl", &call);
    let both = |build: &Build| build.tasks.is_some() && build.context.is_some();
    let build = only(&system, "one build with all of it", both).await;
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
    no_secret_was_kept(&system).await;
    if !available() {
        return;
    }
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

#[tokio::test]
async fn the_older_loops_broadcasts_are_read_from_its_log_and_its_flag_ends_it() {
    let system = System::start().await;
    let dir = system.watch.join("foundry");
    let log = "logs/events/shop_1/events.jsonl";
    let event = |kind: &str, sequence: u64, data: Value| {
        let line = json!({"type":kind,"session_id":"shop_1","timestamp":"t","sequence":sequence,"data":data});
        append(&dir, log, &line);
    };
    checkpoint(&dir, "scout", 1);
    only(&system, "the checkpoint", |_| true).await;
    event(
        "phase_change",
        1,
        json!({"phase":"builder","context_percent":30}),
    );
    event("log_line", 2, json!({"line":SECRET,"level":"info"}));
    event("task_complete", 3, json!({"task":"Write"}));
    let written = |build: &Build| task(build, 0) == Some("completed");
    let build = only(&system, "the log's events", written).await;
    assert_eq!(build.phase.as_deref(), Some("builder"));
    assert_eq!(build.context.unwrap().used, Some(60_000));
    checkpoint(&dir, "builder", 2);
    put(&dir, "checkpoints/ralph/shop_1/COMPLETE", "");
    let ended = only(&system, "the end", Build::has_ended).await;
    assert_eq!((ended.state, ended.run), (BuildState::Completed, 1));
    no_secret_was_kept(&system).await;
}
