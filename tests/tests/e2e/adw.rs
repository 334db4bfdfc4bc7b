//! ADW: from a workflow's files to its page, with the orchestrator's oddities.

use harness::adw::{PHASES, Tree, Workflow, planned};
use harness::browser::{available, with_browser};
use harness::stream::agree;
use harness::system::{HOST, System};
use protocol::{BuildState, FrameType, PhaseState};
use serde_json::json;

use crate::pages::{open, until_state};

/// Characters of `error.log` that must not leave the host.
const SECRET: &str = "postgres://app:hunter2@db/shop";

#[tokio::test]
async fn a_workflow_goes_from_its_files_to_its_page() {
    let system = System::start().await;
    let client = system.client().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    let id = workflow.build_id(HOST, 1);
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let build = system.build_by_id(&id, |_| true).await;
    assert_eq!(
        (build.producer.as_str(), build.project.as_str()),
        ("adw", "shop")
    );
    assert_eq!(build.session_id.as_deref(), Some("3af4a34d"));
    assert_eq!(build.issue.as_deref(), Some("83"));
    assert_eq!(build.branch.as_deref(), Some("feature-issue-83"));
    assert_eq!(
        (build.cost_usd, build.cost_estimated),
        ("0.45".parse().ok(), Some(true))
    );
    assert_eq!(build.state, BuildState::Running);
    assert!(build.state_reason.unwrap().starts_with("inferred: "));
    let fact = build
        .facts
        .iter()
        .find(|fact| fact.key == "plan_file")
        .unwrap();
    assert_eq!(
        (fact.label.as_str(), fact.text.as_str()),
        ("Plan", "specs/issue-83.md")
    );

    if !available() {
        return;
    }
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, &format!("/builds/{id}")).await;
        until_state(page, &id, "running").await;
        page.until_text("[data-f=details]", |text| text.contains("specs/issue-83.md"))
            .await;
        workflow.phases(Tree::Main, &["Plan", "Validate"], Some("Build"));
        page.until_text("[data-f=phase]", |text| text.contains("Build"))
            .await;
        workflow.state(
            Tree::Main,
            &json!({"review_results": {"blockers": 2}, "external_test_results": {"passed": 12, "failed": 1}}),
        );
        page.until_text("[data-f=details]", |text| text.contains("blockers 2"))
            .await;
        page.until_text("[data-f=tests]", |text| text.contains("12"))
            .await;
    })
    .await;
    let build = system.build_by_id(&id, |build| build.tests.is_some()).await;
    assert_eq!(build.progress, Some(0.2));
    let raw = system.api().raw_build(&id).await.unwrap();
    client
        .until_build("shop", |told| told["seq"] == raw["seq"])
        .await;
    agree(&client.seen().builds[&id], &raw).unwrap();
    client.assert_clean();
}

#[tokio::test]
async fn main_tree_and_worktree_are_one_build_also_when_the_worktree_goes() {
    let system = System::start().await;
    let project = system.watch.join("shop");
    let workflow = Workflow::begin(&project, "adw-3af4a34d");
    let id = workflow.build_id(HOST, 1);
    workflow.state(Tree::Main, &json!({"issue_number": 83}));
    system.build_by_id(&id, |_| true).await;
    workflow.add_tree("feature-83");
    workflow.state(
        Tree::Work,
        &json!({"issue_number": 83, "backend_port": 9108}),
    );
    for (index, phase) in PHASES.into_iter().enumerate() {
        let done = &PHASES[..index];
        workflow.phases(Tree::Work, done, Some(phase));
        let build = system
            .build_by_id(&id, |build| build.phase.as_deref() == Some(phase))
            .await;
        assert_eq!(
            build.branch.as_deref(),
            Some("feature-83"),
            "the worktree's own"
        );
        assert_eq!(build.state, BuildState::Running, "{phase}");
        if phase == "Cleanup" {
            workflow.phases(Tree::Main, done, Some(phase));
            workflow.remove_tree();
            break;
        }
    }
    workflow.phases(Tree::Main, &PHASES[..9], None);
    let cleaned = system
        .build_by_id(&id, |build| {
            build
                .phases
                .iter()
                .all(|p| p.state == PhaseState::Completed)
        })
        .await;
    assert_eq!(cleaned.state, BuildState::Running, "Verify may come");
    workflow.phases(Tree::Main, &PHASES, None);
    let ended = system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    assert_eq!(ended.state, BuildState::Completed);
    assert_eq!(ended.phases.len(), 10);
    assert_eq!(system.database.builds().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_workflow_stays_visible_and_its_log_stays_on_the_host() {
    let system = System::start().await;
    let client = system.client().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    let id = workflow.build_id(HOST, 1);
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    workflow.phases(Tree::Main, &["Plan"], Some("Build"));
    system
        .build_by_id(&id, |build| build.phase.as_deref() == Some("Build"))
        .await;
    let log = format!("Traceback\nconnect {SECRET}\n");
    workflow.error_log(Tree::Main, &log);
    let failed = system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    assert_eq!(failed.state, BuildState::Failed);
    let reason = failed.state_reason.clone().unwrap();
    assert!(
        reason.contains(&format!("error.log was written ({} bytes)", log.len())),
        "{reason}"
    );
    assert_eq!(failed.phases[1].state, PhaseState::Failed);
    // The orchestrator's last words change nothing, and the next client is told of it.
    workflow.state(Tree::Main, &json!({"end_time": "2025-12-10T10:40:00"}));
    let after = system
        .build_by_id(&id, |build| build.fields.contains_key("end_time"))
        .await;
    assert_eq!((after.run, after.state), (1, BuildState::Failed));
    let late = system.client().await;
    assert_eq!(late.seen().builds[&id]["state"], "failed");
    let seen = client.seen();
    let completions = seen.of(FrameType::BuildComplete);
    assert_eq!(
        completions
            .filter(|frame| frame.data["id"] == id.as_str())
            .count(),
        1
    );
    for event in system.database.events().await.unwrap() {
        assert!(!format!("{event:?}").contains("hunter2"), "{event:?}");
    }
}

#[tokio::test]
async fn a_restart_with_the_same_id_is_the_next_run_and_keeps_what_it_works_on() {
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    workflow.error_log(Tree::Main, "no space left\n");
    let first = workflow.build_id(HOST, 1);
    system
        .build_by_id(&first, |build| build.ended_at.is_some())
        .await;
    // The known bug: what was known is written over with nulls.
    workflow.state(
        Tree::Main,
        &json!({"branch_name": null, "plan_file": null, "issue_class": null}),
    );
    let second = workflow.build_id(HOST, 2);
    let build = system.build_by_id(&second, |_| true).await;
    assert_eq!(build.state, BuildState::Running);
    assert_eq!(build.branch.as_deref(), Some("feature-issue-83"));
    assert_eq!(build.issue.as_deref(), Some("83"));
    let before = system.build_by_id(&first, |_| true).await;
    assert_eq!(before.state, BuildState::Failed);
}

#[tokio::test]
async fn workflows_of_one_project_are_builds_of_their_own_also_beside_another_producer() {
    let system = System::start().await;
    let project = system.project("shop");
    project.phase(&harness::fixtures::phase(
        "shop",
        "Scout",
        "1/7",
        "researching",
    ));
    let workflows: Vec<Workflow> = (0..5)
        .map(|n| Workflow::begin(project.dir(), &format!("0000000{n}")))
        .collect();
    for (n, workflow) in workflows.iter().enumerate() {
        workflow.state(Tree::Main, &planned(&n.to_string(), &format!("issue-{n}")));
    }
    for (n, workflow) in workflows.iter().enumerate() {
        let id = workflow.build_id(HOST, 1);
        let build = system.build_by_id(&id, |_| true).await;
        assert_eq!(build.issue, Some(n.to_string()));
    }
    system.build(&project, 1, |_| true).await;
    assert_eq!(system.database.builds().await.unwrap().len(), 6);
}
