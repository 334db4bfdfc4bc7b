//! ADW's workflows: each oddity was seen in its committed files, its documents
//! or its programs.

mod calls;
mod contents;
mod ends;
mod hooks;
mod oddities;
mod phase_log;
mod scripts;
mod tokens;
mod told_costs;

use protocol::{BuildState, EventKind, PhaseState, Timestamp};
use serde_json::{Value, json};

use super::play::Play;
use crate::fold::{Outcome, TimerKind};

const STATE: &str = "agents/3af4a34d/adw_state.json";
const PHASES: &str = "agents/3af4a34d/completed_phases.json";
const ERROR: &str = "agents/3af4a34d/error.log";

fn play() -> Play {
    Play::of("adw", "")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "rows of writes read better without &"
)]
fn write(play: &mut Play, file: &str, document: Value) -> Outcome {
    let event = play.content(file, &document);
    play.fold(event)
}

/// Runs through phases: each is current, then completed.
fn phases(play: &mut Play, completed: &[&str], current: Option<&str>) -> Outcome {
    write(
        play,
        PHASES,
        json!({"completed": completed, "current": current}),
    )
}

/// As a live run's file looks: the issue is text, the id has a prefix, most is null.
fn fresh() -> Value {
    json!({
        "adw_id": "3af4a34d", "issue_number": "83", "issue_class": "/feature",
        "branch_name": "feature-issue-83", "plan_file": "specs/issue-83.md",
        "worktree_path": "/srv/shop/trees/3af4a34d", "backend_port": 9108, "frontend_port": 9208,
        "model_set": "base", "all_adws": ["adw_plan_iso"], "estimated_cost_total": null,
        "status": null, "workflow_template": null
    })
}

fn fact<'a>(play: &'a Play, key: &str) -> Option<&'a str> {
    let facts = &play.build().facts;
    let found = facts.iter().find(|fact| fact.key == key)?;
    Some(&found.text)
}

#[test]
fn a_state_is_inferred_and_the_reason_says_from_what() {
    let says = |play: &Play| play.build().state_reason.clone().unwrap_or_default();
    let mut play = play();
    write(&mut play, STATE, json!({"adw_id":"3af4a34d"}));
    assert_eq!(play.build().state, BuildState::Running);
    assert!(says(&play).contains("says nothing of its state"));
    write(&mut play, STATE, fresh());
    assert_eq!(play.build().phase.as_deref(), Some("Plan"));
    assert!(says(&play).contains("adw_plan_iso was started last"));
    phases(&mut play, &["Plan"], Some("Validate"));
    assert_eq!(play.build().phase.as_deref(), Some("Validate"));
    assert!(says(&play).contains("names Validate as the current phase"));
    phases(&mut play, &["Plan", "Validate"], None);
    assert_eq!(play.build().state, BuildState::Running);
    assert!(says(&play).contains("Validate is completed and no later phase has begun"));
    play.timer(TimerKind::Silent {
        since: Timestamp::from_millis(0),
        limit_ms: 900_000,
        evidence: "as ever".into(),
    });
    assert_eq!(play.build().state, BuildState::Stalled);
    assert!(says(&play).contains("no sign of life since"));
}

#[test]
fn where_nothing_says_the_phase_the_agent_that_wrote_last_does() {
    let mut play = play();
    let wrote = |play: &mut Play, agent: &str, n: u32| {
        let file = format!("agents/3af4a34d/{agent}/raw_output.jsonl");
        write(play, &file, json!({"lines": n}));
    };
    write(
        &mut play,
        STATE,
        json!({"all_adws":["adw_sdlc_complete_iso"]}),
    );
    wrote(&mut play, "sdlc_planner", 1);
    assert_eq!(play.build().phase.as_deref(), Some("Plan"));
    wrote(&mut play, "sdlc_implementor", 1);
    let build = play.build();
    assert_eq!(build.phase.as_deref(), Some("Build"));
    assert_eq!(build.phases[0].state, PhaseState::Completed);
    let reason = build.state_reason.as_deref().unwrap();
    assert!(
        reason.contains("the agent sdlc_implementor wrote last"),
        "{reason}"
    );
    // Its own word counts more.
    phases(&mut play, &["Plan", "Build"], Some("Lint"));
    wrote(&mut play, "sdlc_implementor", 2);
    assert_eq!(play.build().phase.as_deref(), Some("Lint"));
}

#[test]
fn the_words_of_older_files_are_believed() {
    for (word, state) in [
        ("running", BuildState::Running),
        ("paused", BuildState::Waiting),
        ("queued", BuildState::Queued),
        ("completed", BuildState::Completed),
        ("failed", BuildState::Failed),
    ] {
        let mut play = play();
        write(
            &mut play,
            STATE,
            json!({"status": word, "current_phase": "build"}),
        );
        assert_eq!(play.build().state, state, "{word}");
        assert_eq!(play.build().phase.as_deref(), Some("build"));
        let reason = play.build().state_reason.clone().unwrap();
        assert_eq!(reason, format!("adw_state.json says {word}"));
    }
}

#[test]
fn a_phase_that_is_an_object_is_read_too() {
    let mut play = play();
    let phase = |status, error: Value| json!({"current_phase":{"name":"build","status":status,"error":error}});
    write(&mut play, STATE, phase("completed", Value::Null));
    let build = play.build();
    assert_eq!(
        (build.phase.as_deref(), build.state),
        (Some("build"), BuildState::Running)
    );
    assert_eq!(build.phases[0].state, PhaseState::Completed);
    write(&mut play, STATE, phase("failed", json!("no space left")));
    assert_eq!(play.build().state, BuildState::Failed);
    assert_eq!(play.build().error.as_deref(), Some("no space left"));
}

#[test]
fn a_workflow_is_completed_by_its_last_phase_and_not_by_the_fourth() {
    let all = [
        "Plan", "Validate", "Build", "Lint", "Test", "Review", "Document", "Ship", "Cleanup",
        "Verify",
    ];
    let mut play = play();
    write(
        &mut play,
        STATE,
        json!({"workflow_template":"adw_sdlc_complete_iso"}),
    );
    for done in 0..all.len() {
        phases(&mut play, &all[..done], Some(all[done]));
        let outcome = phases(&mut play, &all[..=done], None);
        let last = done + 1 == all.len();
        assert_eq!(play.build().has_ended(), last, "{}", all[done]);
        assert_eq!(outcome.ended.len(), usize::from(last));
        #[expect(clippy::cast_precision_loss, reason = "at most ten")]
        let share = (done + 1) as f64 / 10.0;
        assert_eq!(play.build().progress, Some(share));
    }
    assert_eq!(play.build().state, BuildState::Completed);
    assert_eq!(play.build().phases.len(), all.len());
    assert!(
        play.build()
            .phases
            .iter()
            .all(|phase| phase.state == PhaseState::Completed
                && phase.started_at.is_some()
                && phase.ended_at.is_some())
    );
}

#[test]
fn an_error_log_means_that_it_failed_and_the_last_words_after_it_change_nothing() {
    let mut play = play();
    write(
        &mut play,
        STATE,
        json!({"status":"running","branch_name":"b"}),
    );
    phases(&mut play, &["Plan"], Some("Build"));
    let outcome = write(&mut play, ERROR, json!({"bytes": 1234}));
    assert_eq!(outcome.ended.len(), 1);
    let build = play.build();
    assert_eq!(build.state, BuildState::Failed);
    assert!(
        build
            .state_reason
            .as_ref()
            .unwrap()
            .contains("error.log was written (1234 bytes)")
    );
    assert!(build.error.as_ref().unwrap().contains("stays on the host"));
    assert_eq!(build.phases[1].state, PhaseState::Failed);
    // The orchestrator saves its state once more; `running` still stands in it.
    write(
        &mut play,
        STATE,
        json!({"status":"running","branch_name":"b","saved":1}),
    );
    phases(&mut play, &["Plan"], None);
    write(&mut play, ERROR, json!({"bytes": 2345}));
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Failed)
    );
    assert_eq!(play.build().fields["saved"], json!(1));
}

#[test]
fn an_error_log_that_comes_before_the_state_is_a_failure_as_well() {
    let mut play = play();
    write(&mut play, ERROR, json!({"bytes": 1}));
    write(&mut play, STATE, fresh());
    assert_eq!(play.build().state, BuildState::Failed);
    assert_eq!(play.build().issue.as_deref(), Some("83"));
}

#[test]
fn an_error_log_older_than_the_phase_that_runs_is_not_its_failure() {
    let mut play = play();
    let mut log = play.content(ERROR, &json!({"bytes": 9}));
    write(&mut play, STATE, fresh());
    phases(&mut play, &["Plan"], Some("Build"));
    log.seq = play.event("x", EventKind::Removed).seq;
    play.fold(log);
    assert_eq!(play.build().state, BuildState::Running);
}

#[test]
fn work_after_an_end_is_the_next_run_of_the_same_workflow() {
    let mut play = play();
    write(&mut play, STATE, fresh());
    phases(&mut play, &["Plan"], Some("Build"));
    write(&mut play, ERROR, json!({"bytes": 5}));
    phases(&mut play, &["Plan"], Some("Validate"));
    let build = play.build();
    assert_eq!((build.run, build.state), (2, BuildState::Running));
    // The workflow is the same, what went wrong is not.
    assert_eq!(build.issue.as_deref(), Some("83"));
    assert_eq!(build.branch.as_deref(), Some("feature-issue-83"));
    assert_eq!(
        (build.error.as_deref(), fact(&play, "all_adws")),
        (None, None)
    );
}

#[test]
fn a_reset_to_nulls_after_an_end_is_the_next_run() {
    let mut play = play();
    write(&mut play, STATE, fresh());
    write(&mut play, ERROR, json!({"bytes": 5}));
    let outcome = write(
        &mut play,
        STATE,
        json!({"adw_id":"3af4a34d","issue_number":"83","branch_name":null,"plan_file":null}),
    );
    assert_eq!(outcome.changed.len(), 1, "the one before had ended already");
    let build = play.build();
    assert_eq!((build.run, build.state), (2, BuildState::Running));
    assert_eq!(build.branch.as_deref(), Some("feature-issue-83"));
    assert_eq!(build.session_id.as_deref(), Some("3af4a34d"));
}

#[test]
fn completed_phases_that_are_forgotten_begin_the_next_run() {
    let mut play = play();
    phases(&mut play, &["Plan", "Build"], Some("Test"));
    phases(&mut play, &["Plan"], Some("Build"));
    assert_eq!(play.build().run, 1, "a phase is done again");
    let outcome = phases(&mut play, &[], Some("Plan"));
    assert_eq!((play.build().run, outcome.ended.len()), (2, 1));
}
