//! What a workflow's files say of it, wherever they lie.

use protocol::{BuildState, EventKind, Git, PhaseState};
use serde_json::json;

use super::{PHASES, STATE, fact, fresh, phases, play, write};
use crate::fold::Effect;

#[test]
fn the_declared_fields_reach_the_build_and_unknown_ones_are_kept() {
    let mut play = play();
    let mut file = fresh();
    let more = json!({
        "workflow_template": "adw_sdlc_complete_iso", "model_used": "sonnet",
        "estimated_cost_total": "0.45", "estimated_cost_breakdown": {"plan": 0.15, "build": 0.3},
        "external_test_results": {"passed": 12, "failed": 1, "coverage": 81.5},
        "external_build_results": {"success": true, "errors": []},
        "review_results": {"summary": "fine", "blockers": 0},
        "pr_url": "https://example.org/acme/shop/pull/9", "never_heard_of": {"kept": [1]}
    });
    file.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    write(&mut play, STATE, file);
    let build = play.build();
    assert_eq!(build.session_id.as_deref(), Some("3af4a34d"));
    assert_eq!(build.issue.as_deref(), Some("83"));
    assert_eq!(build.branch.as_deref(), Some("feature-issue-83"));
    assert_eq!(build.model.as_deref(), Some("sonnet"));
    assert_eq!(
        (build.cost_usd, build.cost_estimated),
        ("0.45".parse().ok(), Some(true))
    );
    assert_eq!(
        build.pr_url.as_deref(),
        Some("https://example.org/acme/shop/pull/9")
    );
    assert_eq!(build.tests.as_ref().unwrap()["passed"], json!(12));
    assert_eq!(build.fields["never_heard_of"], json!({"kept": [1]}));
    for (key, text) in [
        ("issue_class", "/feature"),
        ("plan_file", "specs/issue-83.md"),
        ("worktree_path", "/srv/shop/trees/3af4a34d"),
        ("backend_port", "9108"),
        ("model_set", "base"),
        ("all_adws", "adw_plan_iso"),
        ("estimated_cost_total", "$0.45"),
        ("estimated_cost_breakdown", "build $0.30, plan $0.15"),
        ("external_build_results", "errors none, success yes"),
        ("review_results", "blockers 0, summary fine"),
    ] {
        assert_eq!(fact(&play, key), Some(text), "{key}");
    }
}

#[test]
fn keys_of_older_files_mean_the_same() {
    let mut play = play();
    write(
        &mut play,
        STATE,
        json!({"adw_id":"adw-3af4a34d","issue_number":83,"workflow":"adw_plan_iso",
               "model":"opus","classification":"/bug","estimated_cost":"1.5"}),
    );
    let build = play.build();
    assert_eq!(build.issue.as_deref(), Some("83"), "a number");
    assert_eq!(build.model.as_deref(), Some("opus"));
    assert_eq!(build.cost_usd, "1.5".parse().ok());
    assert_eq!(fact(&play, "issue_class"), Some("/bug"));
    assert_eq!(fact(&play, "workflow_template"), Some("adw_plan_iso"));
}

#[test]
fn a_missing_key_and_a_null_do_not_erase_and_wrong_types_do_no_harm() {
    let mut play = play();
    write(&mut play, STATE, fresh());
    // The known bug: a restart with the same id writes nulls over everything.
    write(
        &mut play,
        STATE,
        json!({"adw_id":"3af4a34d","issue_number":null,"branch_name":null,"plan_file":null}),
    );
    let build = play.build();
    assert_eq!((build.run, build.issue.as_deref()), (1, Some("83")));
    assert_eq!(build.branch.as_deref(), Some("feature-issue-83"));
    assert_eq!(build.fields["branch_name"], json!("feature-issue-83"));
    assert_eq!(fact(&play, "plan_file"), Some("specs/issue-83.md"));
    write(
        &mut play,
        STATE,
        json!({"issue_number":["x"],"all_adws":"adw_plan_iso","estimated_cost_total":{"a":1},
               "current_phase":[1],"status":7,"end_time":null,"external_test_results":"none"}),
    );
    assert!(!play.build().has_ended());
    assert_eq!(play.build().cost_usd, None);
}

#[test]
fn two_copies_of_one_workflow_are_one_build_and_the_newer_one_wins() {
    let mut play = play();
    let tree = format!("trees/3af4a34d/{STATE}");
    let mut older = play.content(STATE, &json!({"branch_name":"old","only_here":1}));
    write(&mut play, &tree, json!({"branch_name":"new"}));
    older.seq = play.event("x", EventKind::Removed).seq;
    assert_eq!(play.fold(older).effect, Effect::Folded);
    let build = play.build();
    assert_eq!((build.run, build.branch.as_deref()), (1, Some("new")));
    assert_eq!(
        build.fields["only_here"],
        json!(1),
        "it adds what is unknown"
    );
}

#[test]
fn a_worktree_that_is_cleaned_up_changes_nothing() {
    let mut play = play();
    let tree = format!("trees/3af4a34d/{STATE}");
    write(&mut play, STATE, fresh());
    write(&mut play, &tree, fresh());
    let gone = play.event(&tree, EventKind::Removed);
    play.fold(gone);
    assert_eq!(play.build().state, BuildState::Running);
    let gone = play.event(STATE, EventKind::Removed);
    play.fold(gone);
    assert_eq!(play.build().state, BuildState::Unknown);
    let reason = play.build().state_reason.clone().unwrap();
    assert!(reason.contains("adw_state.json was removed"), "{reason}");
}

#[test]
fn the_branch_is_the_worktrees_until_the_file_names_one() {
    let mut play = play();
    let git = |branch: &str| {
        Some(Git {
            branch: Some(branch.to_owned()),
            commit: None,
        })
    };
    let mut event = play.content(STATE, &json!({"adw_id":"3af4a34d"}));
    event.git = git("main");
    play.fold(event);
    assert_eq!(play.build().branch, None, "people work in the main tree");
    let mut event = play.content(
        &format!("trees/3af4a34d/{PHASES}"),
        &json!({"current":"Plan"}),
    );
    event.git = git("feature");
    play.fold(event);
    assert_eq!(play.build().branch.as_deref(), Some("feature"));
}

#[test]
fn document_and_doc_are_one_phase() {
    let mut play = play();
    phases(&mut play, &["Plan"], Some("doc"));
    phases(&mut play, &["Plan", "Document"], Some("Ship"));
    let phases: Vec<_> = play
        .build()
        .phases
        .iter()
        .map(|phase| (phase.name.as_str(), phase.state))
        .collect();
    assert_eq!(
        phases,
        [
            ("Plan", PhaseState::Completed),
            ("doc", PhaseState::Completed),
            ("Ship", PhaseState::Running)
        ],
        "what began as doc is completed as Document"
    );
}

#[test]
fn a_project_that_is_moved_is_the_same_workflow() {
    let mut play = play();
    write(&mut play, STATE, fresh());
    let mut moved = play.content(STATE, &fresh());
    moved.path = "elsewhere".into();
    play.fold(moved);
    let gone = play.event(STATE, EventKind::Removed);
    play.fold(gone);
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Running)
    );
}
