//! ADW's structured logs: from their lines to what each phase cost on the page.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use harness::adw::{Tree, Workflow, planned};
use harness::browser::{available, with_browser};
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use protocol::{Build, BuildState};
use serde_json::{Value, json};

use crate::log_lines::execution_log;
use crate::pages::open;

/// Appends a line to the workflow's log.
fn append(project: &Path, line: &Value) {
    let dir = project.join("logs/structured");
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("workflow_3af4a34d.jsonl");
    let opened = fs::OpenOptions::new().create(true).append(true).open(file);
    writeln!(opened.unwrap(), "{line}").unwrap();
}

#[tokio::test]
async fn structured_logs_tell_phases_costs_and_failures_of_the_same_build() {
    let system = System::start().await;
    let project = system.watch.join("shop");
    let workflow = Workflow::begin(&project, "3af4a34d");
    let id = workflow.build_id(HOST, 1);
    let mut events = 0;
    let mut log = |phase: &str, number: u32, status: &str, more: Value| {
        events += 1;
        let mut line = json!({"event_id": format!("evt_{events}"), "timestamp": "2025-12-10T10:33:03Z",
            "level": "info", "source": "adw_workflow", "event_type": "phase", "message": "secret words",
            "adw_id": "3af4a34d", "issue_number": 83, "phase_name": phase, "phase_number": number,
            "phase_status": status});
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more);
        }
        append(&project, &line);
    };
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    system.build_by_id(&id, |_| true).await;
    log("Plan", 1, "started", json!({}));
    system
        .build_by_id(&id, |build| build.phase.as_deref() == Some("Plan"))
        .await;
    log(
        "Plan",
        1,
        "completed",
        json!({"cost_usd": 0.12, "duration_seconds": 362, "tokens_used": 9000}),
    );
    log("Build", 3, "started", json!({}));
    let cost = |build: &protocol::Build| {
        let fact = build
            .facts
            .iter()
            .find(|fact| fact.key == "phase_cost.Plan");
        fact.map(|fact| fact.text.clone())
    };
    let build = system.build_by_id(&id, |build| cost(build).is_some()).await;
    assert_eq!(
        cost(&build).as_deref(),
        Some("$0.12, estimated $0.15, 6 min")
    );
    if available() {
        with_browser(&system.aggregators[0].base(), async |page| {
            open(page, &format!("/builds/{id}")).await;
            page.until_text("[data-f=details]", |text| {
                text.contains("Cost of Plan") && text.contains("estimated $0.15")
            })
            .await;
        })
        .await;
    }
    log(
        "Build",
        3,
        "failed",
        json!({"error_message": "it does not compile"}),
    );
    let failed = system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    assert_eq!(
        (failed.state, failed.error.as_deref()),
        (BuildState::Failed, Some("it does not compile"))
    );
    assert_eq!(failed.run, 1);
    for event in system.database.events().await.unwrap() {
        assert!(!format!("{event:?}").contains("secret words"), "{event:?}");
    }
}

#[tokio::test]
async fn a_workflow_whose_process_is_killed_is_stalled_and_says_that_it_is_gone() {
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    workflow.phases(Tree::Main, &["Plan"], Some("Build"));
    let log = execution_log(&workflow);
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    let mut script = tokio::process::Command::new("sh")
        .args([
            "-c",
            "exec 3>>\"$1\"; while sleep 0.2; do echo works >&3; done",
            "sh",
        ])
        .arg(&log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let held = "SELECT count(*) FROM event WHERE document->>'held' = 'true'";
    eventually("it is held open", async || {
        let number = system.database.number(held).await?;
        check(number == 1, || number.to_string())
    })
    .await;
    script.kill().await.unwrap();
    let id = workflow.build_id(HOST, 1);
    let stalled = |build: &Build| build.state == BuildState::Stalled;
    let build = system.build_by_id(&id, stalled).await;
    let reason = build.state_reason.unwrap();
    assert!(reason.contains("its process is gone"), "{reason}");
    assert_eq!(build.ended_at, None, "nobody said that it failed");
}
