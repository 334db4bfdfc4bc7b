//! Producers that send: when a run of each begins and ends, by table. Files have
//! their tables in `runs` (Context Foundry), `adw` and `spent` (stream-JSON).

use protocol::BuildState::{self, *};
use serde_json::{Value, json};

use super::play::Play;

/// What was sent, the run that it is of, how that stands, and in which phase.
type Row = (&'static str, Value, u32, BuildState, Option<&'static str>);

fn plays(producer: &'static str, what: &str, rows: Vec<Row>) -> Play {
    let mut play = Play::of(producer, "http/");
    for (step, (file, document, run, state, phase)) in rows.into_iter().enumerate() {
        let event = play.content(file, &document);
        play.fold(event);
        let build = play.build();
        let is = (build.run, build.state, build.phase.as_deref());
        assert_eq!(is, (run, state, phase), "{what}, step {step}: {document}");
    }
    play
}

fn phases(play: &Play) -> Vec<(String, String)> {
    let phases = play.build().phases.iter();
    phases
        .map(|phase| (phase.name.clone(), format!("{:?}", phase.state)))
        .collect()
}

#[test]
fn runs_phases_and_ends_of_reported_builds() {
    let row = |value: Value, run, state, phase| ("events", value, run, state, phase);
    let play = plays(
        "http",
        "a whole build",
        vec![
            row(json!({"state": "queued"}), 1, Queued, None),
            row(
                json!({"state": "running", "phase": "Plan"}),
                1,
                Running,
                Some("Plan"),
            ),
            row(
                json!({"status": "In Progress", "phase": "Build"}),
                1,
                Running,
                Some("Build"),
            ),
            row(json!({"state": "waiting"}), 1, Waiting, Some("Build")),
            row(
                json!({"status": "paused", "phase": "Plan"}),
                1,
                Waiting,
                Some("Plan"),
            ),
            row(
                json!({"state": "completed", "phase": "Plan"}),
                1,
                Completed,
                Some("Plan"),
            ),
        ],
    );
    assert_eq!(
        phases(&play),
        [
            ("Plan".into(), "Completed".into()),
            ("Build".into(), "Completed".into())
        ]
    );
    assert_eq!(play.build().phases[0].iterations, Some(2));
}

#[test]
fn the_words_that_end_a_reported_build() {
    let row = |value: Value, run, state, phase| ("events", value, run, state, phase);
    for (word, state) in [
        ("completed", Completed),
        ("SUCCESS", Completed),
        ("passed", Completed),
        ("finished", Completed),
        ("failed", Failed),
        ("error", Failed),
        ("cancelled", Cancelled),
        ("aborted", Cancelled),
    ] {
        let play = plays(
            "http",
            word,
            vec![
                row(json!({"phase": "Plan"}), 1, Running, Some("Plan")),
                row(json!({"status": word}), 1, state, Some("Plan")),
                // Its last words again, and a correction, are of the same run.
                row(
                    json!({"status": word, "detail": "again"}),
                    1,
                    state,
                    Some("Plan"),
                ),
                // Work after the end is the next.
                row(
                    json!({"phase": "Plan", "status": "running"}),
                    2,
                    Running,
                    Some("Plan"),
                ),
            ],
        );
        assert_eq!(play.build().phases.len(), 1);
    }
    plays(
        "http",
        "wrong types",
        vec![
            row(
                json!({"state": 7, "phase": null, "progress": "half"}),
                1,
                Unknown,
                None,
            ),
            row(json!({}), 1, Running, None),
        ],
    );
}

#[test]
fn runs_and_ends_of_openbuilder() {
    let event = |build: &str, kind: &str| {
        (
            "build-events",
            json!({"buildId": build, "sessionId": "s", "event": {"type": kind, "toolCallId": kind, "toolName": "Edit"}}),
        )
    };
    let life = |kind: &str| ("runner-events", json!({"type": kind, "sessionId": "s"}));
    let row = |(file, value): (&'static str, Value), run, state| (file, value, run, state, None);
    for (end, state) in [
        ("build-completed", Completed),
        ("build-failed", Failed),
        ("error", Failed),
    ] {
        plays(
            "openbuilder",
            end,
            vec![
                row(event("1", "start"), 1, Running),
                row(event("1", "tool-input-available"), 1, Running),
                row(life("autofix-started"), 1, Running),
                row(life(end), 1, state),
                // A log line of the runner begins nothing.
                row(life("log-chunk"), 1, state),
                row(event("1", "start"), 2, Running),
                row(event("2", "start"), 3, Running),
            ],
        );
    }
    plays(
        "openbuilder",
        "another build without an end of the first",
        vec![
            row(event("1", "start"), 1, Running),
            row(event("2", "start"), 2, Running),
        ],
    );
    plays(
        "openbuilder",
        "an end that nothing came before",
        vec![row(life("build-completed"), 1, Completed)],
    );
}

#[test]
fn runs_and_ends_of_context_foundrys_broadcasts() {
    let tell = |sequence: u64, kind: &str, data: Value| {
        (
            "broadcast",
            json!({"session_id": "s", "sequence": sequence, "type": kind, "data": data}),
        )
    };
    let row =
        |(file, value): (&'static str, Value), run, state, phase| (file, value, run, state, phase);
    for (data, state) in [
        (json!({"success": true}), Completed),
        (json!({"success": false}), Failed),
        (json!({}), Completed),
        (json!("text"), Completed),
    ] {
        let play = plays(
            "context-foundry",
            "a loop",
            vec![
                row(
                    tell(1, "phase_change", json!({"phase": "scout"})),
                    1,
                    Running,
                    Some("scout"),
                ),
                row(
                    tell(2, "phase_change", json!({"phase": "architect"})),
                    1,
                    Running,
                    Some("architect"),
                ),
                row(
                    tell(3, "iteration_start", json!({"iteration": 1})),
                    1,
                    Running,
                    Some("architect"),
                ),
                row(
                    tell(4, "error", json!({"message": "tests failed"})),
                    1,
                    Running,
                    Some("architect"),
                ),
                row(
                    tell(5, "completion", data.clone()),
                    1,
                    state,
                    Some("architect"),
                ),
                // Lines that were under way come after the end.
                row(
                    tell(6, "log_line", json!({"line": "bye"})),
                    1,
                    state,
                    Some("architect"),
                ),
                // A process that begins counts from one again.
                row(
                    tell(1, "phase_change", json!({"phase": "scout"})),
                    2,
                    Running,
                    Some("scout"),
                ),
            ],
        );
        assert_eq!(phases(&play), [("scout".to_owned(), "Running".to_owned())]);
    }
}

#[test]
fn a_producer_that_nobody_knows_has_one_run_without_a_verdict() {
    let row = |value: Value| ("state", value, 1, Unknown, None);
    plays(
        "from-the-future",
        "anything",
        vec![
            row(json!({"status": "completed", "current_phase": "Plan"})),
            row(json!({"status": "failed"})),
            row(json!({"anything": [1, 2, 3]})),
        ],
    );
}
