//! When a build goes on, ends, and is followed by the next run. Each oddity was
//! seen in real Context Foundry data or in its prompts.

use protocol::{BuildState, PhaseState, Timestamp};
use serde_json::json;

use super::play::Play;
use crate::fold::Effect;

#[test]
fn a_completed_phase_is_not_a_completed_build() {
    for (phase, number) in [
        ("Scout", "1/7"),
        ("Test", "4/7"),
        ("Builder", "4.5/8"),
        ("Test", "?/7"),
        ("Deploy", ""),
    ] {
        let mut play = Play::new();
        play.phase(phase, number, "completed");
        assert_eq!(play.build().state, BuildState::Running, "{phase} {number}");
        assert!(
            play.build()
                .state_reason
                .as_ref()
                .unwrap()
                .contains("is completed; the build ends")
        );
    }
}

#[test]
fn a_build_ends_by_its_last_phase_a_failure_or_its_summary() {
    let cases = [
        ("Feedback", "7/7", "completed", BuildState::Completed),
        ("Feedback", "7/8", "Completed", BuildState::Completed),
        (
            "GitHub Integration",
            "7.5/8",
            "completed",
            BuildState::Completed,
        ),
        ("Complete", "", "completed", BuildState::Completed),
        ("Deploy", "7/7", "completed", BuildState::Completed),
        ("Test", "4/7", "failed", BuildState::Failed),
        (
            "Test",
            "4/7",
            "tests_failed_max_iterations",
            BuildState::Failed,
        ),
        ("Builder", "3/7", "cancelled", BuildState::Cancelled),
    ];
    for (phase, number, status, state) in cases {
        let mut play = Play::new();
        let outcome = play.phase(phase, number, status);
        assert_eq!(play.build().state, state, "{phase} {number} {status}");
        assert_eq!(outcome.ended, [play.build().id.clone()]);
        assert!(play.build().ended_at.is_some() && play.build().state_reason.is_some());
    }
    let verdicts = [
        (
            json!({"status":"completed","tests_passed":true}),
            BuildState::Completed,
        ),
        (
            json!({"status":"tests_failed_max_iterations"}),
            BuildState::Failed,
        ),
        (json!({"status":"success"}), BuildState::Completed),
        (json!({"tests_passed":false}), BuildState::Failed),
        (
            json!({"phases_completed":["Scout"],"test_iterations":1,"tests_passed":true}),
            BuildState::Completed,
        ),
    ];
    for (document, state) in verdicts {
        let mut play = Play::new();
        play.phase("Test", "4/7", "testing");
        let outcome = play.summary(document.clone());
        assert_eq!(play.build().state, state, "{document}");
        assert_eq!(outcome.ended.len(), 1);
    }
}

#[test]
fn every_word_of_the_open_vocabulary_keeps_a_build_running() {
    for word in [
        "starting",
        "in_progress",
        "analyzing",
        "researching",
        "designing",
        "planning",
        "implementing",
        "building",
        "testing",
        "self-healing",
        "SelfHealing",
        "capturing",
        "documenting",
        "deploying",
        "configuring",
        "running",
        "never seen before",
        "7",
    ] {
        let mut play = Play::new();
        play.phase("Test", "4/7", word);
        assert_eq!(play.build().state, BuildState::Running, "{word}");
        assert_eq!(play.build().status.as_deref(), Some(word));
    }
}

#[test]
fn a_new_run_begins_at_the_start_by_fewer_phases_or_a_recreated_file() {
    let mut play = Play::new();
    play.state(json!({"current_phase":"Test","phase_number":"4/7","status":"testing","phases_completed":["Scout","Architect"]}));
    play.state(json!({"current_phase":"Test","phase_number":"4/7","status":"testing","phases_completed":["Scout"]}));
    assert_eq!(play.build().run, 2, "fewer phases completed");
    let outcome = play.phase("Scout", "1/7", "starting");
    assert_eq!(play.build().run, 3, "back at the start");
    assert_eq!(
        outcome.changed.len(),
        2,
        "the open run before is closed in the same fold"
    );
    assert_eq!(outcome.changed[0].state, BuildState::Unknown);
    assert!(
        outcome.changed[0]
            .state_reason
            .as_ref()
            .unwrap()
            .contains("run 3 began")
    );
    let mut event = play.content(
        "current-phase.json",
        &json!({"current_phase":"Scout","phase_number":"1/7","status":"x"}),
    );
    event.recreated = true;
    play.fold(event);
    assert_eq!(play.build().run, 4, "re-created");
    assert!(play.build().id.ends_with("-4"));
}

#[test]
fn a_changed_denominator_and_half_numbers_stay_in_one_run() {
    let mut play = Play::new();
    for (phase, number) in [
        ("Scout", "1/7"),
        ("Builder", "3/7"),
        ("Screenshot", "4.5/8"),
        ("Deploy", "6/8"),
        ("GitHub Integration", "7.5/8"),
    ] {
        play.phase(phase, number, "in_progress");
    }
    assert_eq!(play.build().run, 1);
    assert_eq!(play.build().phase_number.as_deref(), Some("7.5/8"));
    assert_eq!(play.build().progress, Some(7.0 / 8.0));
}

#[test]
fn what_follows_an_end_is_its_tail_or_the_next_run() {
    let mut play = Play::new();
    play.phase("Deploy", "6/7", "deploying");
    play.summary(json!({"status":"completed"}));
    play.phase("Feedback", "7/7", "in_progress");
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Completed),
        "a tail"
    );
    assert!(
        play.build()
            .phases
            .iter()
            .all(|phase| phase.state == PhaseState::Completed)
    );
    play.phase("Scout", "1/7", "starting");
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );

    let mut play = Play::new();
    play.phase("Test", "4/7", "failed");
    play.phase("Test", "4/7", "self-healing");
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running),
        "it works again"
    );
}

#[test]
fn a_summary_that_is_older_than_the_run_belongs_to_the_run_before() {
    let mut play = Play::new();
    let stale = play.content("session-summary.json", &json!({"status":"completed"}));
    play.phase("Scout", "1/7", "starting");
    let mut late_read = stale;
    play.seq += 1;
    late_read.seq = play.seq;
    late_read.observed_at = Timestamp::from_millis(play.now_ms);
    let outcome = play.fold(late_read);
    assert_eq!(play.build().state, BuildState::Running);
    assert!(outcome.changed.is_empty());
}

#[test]
fn an_equal_summary_ends_the_next_run_too() {
    let mut play = Play::new();
    for run in 1..=3 {
        play.phase("Scout", "1/7", "starting");
        play.phase("Test", "4/7", "testing");
        let outcome = play.summary(json!({"status":"completed"}));
        assert_eq!(outcome.effect, Effect::Folded);
        assert_eq!(
            (play.build().run, play.build().state),
            (run, BuildState::Completed)
        );
    }
    assert_eq!(
        play.summary(json!({"status":"completed"})).effect,
        Effect::Repeated
    );
}

#[test]
fn a_found_summary_and_a_found_phase_file_are_one_build_when_their_times_agree() {
    let mut play = Play::new();
    let phase = play.content(
        "current-phase.json",
        &json!({"current_phase":"Test","phase_number":"4/7","status":"testing"}),
    );
    play.summary(json!({"status":"completed"}));
    let mut older = phase;
    play.seq += 1;
    older.seq = play.seq;
    older.observed_at = Timestamp::from_millis(play.now_ms);
    play.fold(older);
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Completed)
    );
    assert_eq!(play.build().phase.as_deref(), Some("Test"));
}

#[test]
fn a_corrected_summary_corrects_the_verdict_and_the_progress_but_not_the_end() {
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    play.summary(json!({"status":"completed"}));
    let ended = play.build().ended_at;
    assert_eq!(play.build().progress, Some(1.0));
    let outcome = play.summary(json!({"status":"tests_failed_max_iterations"}));
    assert_eq!(
        (play.build().state, play.build().ended_at),
        (BuildState::Failed, ended)
    );
    assert_eq!(play.build().progress, Some(3.0 / 7.0));
    assert!(outcome.ended.is_empty(), "it ended once");
}

#[test]
fn a_build_that_starts_again_after_an_end_is_the_next_run() {
    // An early failure and a retry: the number never fell.
    let mut play = Play::new();
    play.phase("Scout", "1/7", "researching");
    play.summary(json!({"status":"failed"}));
    play.state(json!({"current_phase":"Scout","phase_number":"1/7","status":"analyzing"}));
    play.phase("Architect", "2/7", "designing");
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );

    // No numbers at all.
    let mut play = Play::new();
    play.state(json!({"current_phase":"Feedback","status":"completed"}));
    play.state(json!({"current_phase":"Scout","status":"researching"}));
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );

    // A later number may be a tail for some minutes, and no longer.
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    play.summary(json!({"status":"completed"}));
    play.phase("Deploy", "6/7", "deploying");
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Completed)
    );
    play.now_ms += 11 * 60_000;
    play.phase("Builder", "6.5/7", "building");
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );
}
