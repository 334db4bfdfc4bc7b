//! ADW's structured logs: from their lines to what each phase cost on the page.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use harness::adw::{Tree, Workflow, planned};
use harness::browser::{available, with_browser};
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use protocol::{Build, BuildState, ProjectToken, subject};
use serde_json::{Value, json};

use crate::ingest::post;
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
    let (id, mut events) = (workflow.build_id(HOST, 1), 0);
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
    assert_eq!(build.tokens.unwrap().unknown_kind, Some(9_000));
    if available() {
        with_browser(&system.aggregators[0].base(), async |page| {
            open(page, &format!("/builds/{id}")).await;
            page.until_text("[data-f=tokens]", |text| text == "9.0 k of unknown kind")
                .await;
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
async fn what_only_task_logs_and_structured_logs_tell_is_in_the_costs_by_build_and_phase() {
    let system = System::start().await;
    let project = system.watch.join("shop");
    let workflow = Workflow::begin(&project, "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |_| true).await;
    append(
        &project,
        &json!({"event_id": "evt_1", "event_type": "phase", "adw_id": "3af4a34d", "phase_name": "Plan",
            "phase_number": 1, "phase_status": "completed", "cost_usd": 0.1}),
    );
    let told = |usd: &str| {
        let usd = usd.parse().ok();
        move |build: &Build| build.cost_usd == usd && build.cost_estimated == Some(false)
    };
    system.build_by_id(&id, told("0.1")).await;
    let log = json!({"adw_id": "alone", "issue_number": 84, "phase_name": "Test", "phase_number": 5,
        "phase_status": "completed", "log_message": "secret words", "cost_usd": 0.2});
    for _ in 0..2 {
        let (status, answer) = post(&system, "/api/v1/observability/task-logs", &log).await;
        assert!((200..300).contains(&status), "{answer}");
    }
    let alone = subject::build_id(HOST, ProjectToken::of_id("adw", "alone"), 1);
    system.build_by_id(&alone, told("0.2")).await;
    for (by, keys) in [
        ("build", [id.as_str(), &alone]),
        ("phase", ["Plan", "Test"]),
    ] {
        eventually(by, async || {
            let costs = system.api().get(&format!("/api/v1/costs?by={by}")).await?;
            let text = costs.body;
            let row = |(key, usd): (&str, &str)| {
                text.contains(&format!(
                    "\"key\":\"{key}\",\"cost_usd\":{usd},\"estimated_usd\":0,"
                ))
            };
            let [first, second] = keys;
            let total = text.contains("\"key\":null,\"cost_usd\":0.3,\"estimated_usd\":0,");
            let is_there = row((first, "0.1")) && row((second, "0.2")) && total;
            check(is_there, || text.clone())
        })
        .await;
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
