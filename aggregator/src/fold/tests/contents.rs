//! What is taken over, what repeats, what stands in the way.

use protocol::{
    AgentId, BuildState, EventKind, PhaseState, Timestamp, Unreadable, UnreadableReason,
};
use serde_json::json;
use uuid::Uuid;

use super::play::Play;
use crate::fold::{Effect, TimerKind, Track};

#[test]
fn a_missing_or_null_key_does_not_erase_and_wrong_types_do_no_harm() {
    let mut play = Play::new();
    play.state(json!({"session_id":"s","current_phase":"Test","phase_number":"4/7","status":"testing","progress_detail":"d","test_iteration":2,"extra":{"deep":[1]}}));
    play.state(json!({"current_phase":null,"phases_completed":null,"new":true}));
    let build = play.build();
    assert_eq!(build.session_id.as_deref(), Some("s"));
    assert_eq!(
        (build.phase.as_deref(), build.test_iteration),
        (Some("Test"), Some(2))
    );
    assert_eq!(build.fields["extra"], json!({"deep":[1]}));
    assert_eq!(build.fields["new"], json!(true));
    play.state(json!({"session_id":7,"current_phase":["x"],"phase_number":3,"status":{"a":1},"test_iteration":"5","phases_completed":"Scout","progress_detail":[1]}));
    let build = play.build();
    assert_eq!(build.session_id.as_deref(), Some("7"));
    assert_eq!(build.phase_number.as_deref(), Some("3"));
    assert_eq!(build.test_iteration, Some(5));
    assert_eq!(build.status.as_deref(), Some("{\"a\":1}"));
    for document in [json!([1, 2]), json!("text"), json!(null), json!(7)] {
        play.state(document.clone());
        assert_eq!(
            play.build().phase_number.as_deref(),
            Some("3"),
            "{document}"
        );
        assert!(
            play.build()
                .state_reason
                .as_ref()
                .unwrap()
                .contains("no object"),
            "{document}"
        );
    }
}

#[test]
fn a_state_of_which_nothing_is_known_says_so() {
    let mut play = Play::new();
    play.state(json!({"session_id":"hello","phase":"Builder","number":"3/7","state":"building"}));
    let reason = |play: &Play| play.build().state_reason.clone();
    assert_eq!(
        reason(&play).as_deref(),
        Some("it tells neither its phase nor a status")
    );
    play.state(json!({"session_id":"hello","current_phase":"Builder"}));
    assert_eq!(reason(&play), None);
}

#[test]
fn phases_are_drawn_from_what_was_seen() {
    let mut play = Play::new();
    play.state(json!({"current_phase":"Builder","phase_number":"3/7","status":"building","phases_completed":["Scout","Architect"]}));
    play.phase("Test", "4/7", "testing");
    play.phase("Builder", "3/7", "building");
    play.phase("Test", "4/7", "testing");
    play.state(json!({"current_phase":"Deploy","phase_number":"6/7","status":"deploying","phases_completed":["Scout","Architect","Builder","Test","Deployer"]}));
    let phases: Vec<_> = play
        .build()
        .phases
        .iter()
        .map(|p| (p.name.as_str(), p.state, p.iterations))
        .collect();
    assert_eq!(
        phases,
        [
            ("Scout", PhaseState::Completed, None),
            ("Architect", PhaseState::Completed, None),
            ("Builder", PhaseState::Completed, Some(2)),
            ("Test", PhaseState::Completed, Some(2)),
            ("Deploy", PhaseState::Running, Some(1)),
        ]
    );
    assert!(
        play.build().phases[0].started_at.is_none() && play.build().phases[2].started_at.is_some()
    );
}

#[test]
fn test_runs_are_counted_as_the_producer_counts_them() {
    let mut play = Play::new();
    for iteration in [0, 1, 2, 3] {
        play.state(json!({"current_phase":"Test","phase_number":"4/7","status":"testing","test_iteration":iteration}));
    }
    assert_eq!(play.build().phases[0].iterations, Some(3));
}

#[test]
fn only_the_volatile_key_or_nothing_changed_is_repeated() {
    let mut play = Play::new();
    play.state(json!({"status":"testing","last_updated":1}));
    let alive = play.build().alive_at;
    let outcome = play.state(json!({"status":"testing","last_updated":2}));
    assert_eq!(outcome.effect, Effect::Repeated);
    assert!(outcome.changed.is_empty());
    assert!(play.build().alive_at > alive, "but it is a sign of life");
}

#[test]
fn going_back_to_an_earlier_content_is_a_change() {
    let mut play = Play::new();
    play.state(json!({"status":"testing"}));
    play.state(json!({"status":"building"}));
    assert_eq!(
        play.state(json!({"status":"testing"})).effect,
        Effect::Folded
    );
    assert_eq!(play.build().status.as_deref(), Some("testing"));
}

#[test]
fn duplicates_and_old_events_change_nothing() {
    let mut play = Play::new();
    let first = play.content("current-phase.json", &json!({"status":"building"}));
    play.fold(first.clone());
    play.state(json!({"status":"testing"}));
    let before = play.track.clone();
    let outcome = play.fold(first.clone());
    assert_eq!(outcome.effect, Effect::Late);
    assert_eq!(play.track, before);
    let mut older_boot = play.content("current-phase.json", &json!({"status":"old"}));
    older_boot.boot = Uuid::from_u128(0);
    assert_eq!(play.fold(older_boot).effect, Effect::Late);
    let mut other_agent = first;
    other_agent.agent = AgentId(8);
    assert_eq!(
        play.fold(other_agent).effect,
        Effect::Late,
        "read earlier by another agent"
    );
}

#[test]
fn an_unreadable_file_keeps_the_last_good_state_and_says_so() {
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    let mut event = play.event("current-phase.json", EventKind::Unreadable);
    event.unreadable = Some(Unreadable {
        reason: UnreadableReason::Unparsable,
        message: "the text ends at byte 9".into(),
    });
    play.fold(event);
    assert_eq!(
        (play.build().state, play.build().phase.as_deref()),
        (BuildState::Running, Some("Test"))
    );
    assert!(
        play.build()
            .state_reason
            .as_ref()
            .unwrap()
            .contains("cannot be read: the text ends at byte 9")
    );
    let outcome = play.phase("Test", "4/7", "testing");
    assert_eq!(
        outcome.effect,
        Effect::Folded,
        "readable again, with the content from before"
    );
    assert_eq!(play.build().state_reason, None);
}

#[test]
fn a_removed_file_makes_the_build_unknown_until_it_is_written_again() {
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    let event = play.event("current-phase.json", EventKind::Removed);
    play.fold(event);
    assert_eq!(play.build().state, BuildState::Unknown);
    let mut event = play.content(
        "current-phase.json",
        &json!({"current_phase":"Scout","status":"starting"}),
    );
    event.recreated = true;
    play.fold(event);
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );
}

#[test]
fn silence_and_a_gone_host_are_facts_that_pass() {
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    let silence = play.track.silence().unwrap();
    assert_eq!(silence.limit_ms, 15 * 60_000);
    let silent = TimerKind::Silent {
        since: Timestamp::from_millis(0),
        limit_ms: silence.limit_ms,
        evidence: silence.evidence,
    };
    play.timer(silent.clone());
    assert_eq!(play.build().state, BuildState::Stalled);
    assert!(play.track.silence().is_none(), "not stalled twice");
    play.timer(TimerKind::HostGone {
        reason: "host build-01 is gone".into(),
    });
    assert_eq!(play.build().state, BuildState::Unknown);
    play.timer(TimerKind::HostBack);
    assert_eq!(play.build().state, BuildState::Stalled);
    play.timer(TimerKind::Alive {
        at: Timestamp::from_millis(play.now_ms),
    });
    assert_eq!(play.build().state, BuildState::Running);
    play.timer(silent);
    play.phase("Test", "4/7", "self-healing");
    assert_eq!(play.build().state, BuildState::Running);
    play.summary(json!({"status":"completed"}));
    let outcome = play.timer(TimerKind::HostGone {
        reason: "gone".into(),
    });
    assert!(outcome.changed.is_empty(), "a finished build is final");
}

#[test]
fn beneath_a_missing_root_nothing_is_known_until_it_is_back() {
    let mut play = Play::new();
    play.phase("Builder", "3/7", "building");
    let (root, reason) = ("src".to_owned(), "root missing: /src".to_owned());
    let missing = TimerKind::RootMissing {
        root: root.clone(),
        reason,
    };
    play.timer(missing.clone());
    assert_eq!(play.build().state, BuildState::Unknown);
    assert_eq!(
        play.build().state_reason.as_deref(),
        Some("root missing: /src")
    );
    assert_eq!(play.build().ended_at, None);
    play.timer(TimerKind::RootBack { root: root.clone() });
    assert_eq!(play.build().state, BuildState::Running);
    assert_eq!(play.build().state_reason, None);
    // Deleted with all that is in it: that is what remains when an empty one is back.
    play.timer(missing.clone());
    let removed = play.event("current-phase.json", EventKind::Removed);
    play.fold(removed);
    play.timer(TimerKind::RootBack { root });
    assert_eq!(play.build().state, BuildState::Unknown);
    assert!(
        play.build()
            .state_reason
            .as_deref()
            .is_some_and(|reason| reason.contains("removed"))
    );
    // What is read shows that it is there.
    play.timer(missing);
    play.phase("Test", "4/7", "testing");
    assert_eq!(play.build().state, BuildState::Running);
}

#[test]
fn states_that_nobody_saw_are_marked_on_the_build() {
    let mut play = Play::new();
    play.phase("Scout", "1/7", "researching");
    assert_eq!(play.build().gap_at, None);
    let mut event = play.content("current-phase.json", &json!({"status":"building"}));
    event.gap = true;
    let at = event.observed_at;
    play.fold(event);
    play.phase("Test", "4/7", "testing");
    assert_eq!(play.build().gap_at, Some(at), "it stays");
}

#[test]
fn states_that_nobody_saw_before_an_end_or_a_return_are_marked_too() {
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    let mut again = play.content(
        "current-phase.json",
        &json!({"session_id":"weather","current_phase":"Test","phase_number":"4/7","status":"testing","test_iteration":0}),
    );
    again.gap = true;
    let outcome = play.fold(again);
    assert_eq!(outcome.effect, Effect::Folded, "others were in between");
    assert!(play.build().gap_at.is_some());

    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    let mut end = play.content("current-phase.json", &json!({"status":"failed"}));
    end.gap = true;
    play.fold(end);
    assert!(play.build().has_ended());
    let told = play.build().gap_at;
    assert!(told.is_some(), "the end came after others");
    let mut after = play.content("feedback/build-feedback-1.json", &json!({"a": 1}));
    after.gap = true;
    play.fold(after);
    assert_eq!(play.build().gap_at, told, "an end is an end");
}

#[test]
fn links_are_web_addresses_only() {
    for (document, url) in [
        (
            json!({"pr_url":"https://github.com/a/b/pull/4"}),
            Some("https://github.com/a/b/pull/4"),
        ),
        (
            json!({"github_pr_url":"https://x/pull/1","pr_url":null}),
            Some("https://x/pull/1"),
        ),
        (json!({"pr_url":"javascript:alert(1)"}), None),
        (json!({"github_url":"https://github.com/a/b"}), None),
        (json!({"pr_url":"https://x/ \u{202e}"}), None),
        (json!({"pr_url":["https://x"]}), None),
    ] {
        let mut play = Play::new();
        play.summary(document.clone());
        assert_eq!(play.build().pr_url.as_deref(), url, "{document}");
    }
}

#[test]
fn a_file_time_in_the_future_is_not_believed() {
    let mut play = Play::new();
    let mut event = play.content("current-phase.json", &json!({"status":"testing"}));
    event.changed_at = event.observed_at.plus_millis(3_600_000);
    play.fold(event);
    assert_eq!(play.build().alive_at, play.build().observed_at);
}

#[test]
fn the_memory_survives_storage_and_folds_on_the_same() {
    let mut play = Play::new();
    play.phase("Scout", "1/7", "starting");
    play.phase("Test", "4.5/8", "testing");
    let stored = serde_json::to_string(&play.track).unwrap();
    let restored: Track = serde_json::from_str(&stored).unwrap();
    assert_eq!(restored, play.track);
}

#[test]
fn a_file_that_cannot_be_read_is_not_forgotten_when_another_is_good() {
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    let mut event = play.event("session-summary.json", EventKind::Unreadable);
    event.unreadable = Some(Unreadable {
        reason: UnreadableReason::Unparsable,
        message: "unexpected character at byte 0".into(),
    });
    play.fold(event);
    play.phase("Documentation", "5/7", "documenting");
    let reason = play.build().state_reason.clone().unwrap();
    assert!(
        reason.contains("session-summary.json cannot be read"),
        "{reason}"
    );
    play.phase("Scout", "1/7", "starting");
    assert!(play.build().state_reason.is_some(), "nor by the next run");
    let event = play.event("session-summary.json", EventKind::Removed);
    play.fold(event);
    assert_eq!(play.build().state_reason, None);
}

#[test]
fn the_running_phase_has_a_place_however_many_are_told() {
    let told: Vec<_> = (0..5000).map(|n| format!("c{n}")).collect();
    let mut play = Play::new();
    play.state(json!({"current_phase":"Builder","phase_number":"3/7","status":"building","phases_completed":told}));
    let last = play.build().phases.last().unwrap();
    assert_eq!(
        (last.name.as_str(), last.state),
        ("Builder", PhaseState::Running)
    );
}
