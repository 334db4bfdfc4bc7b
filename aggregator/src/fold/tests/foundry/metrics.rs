//! Tests, decisions, agents, context: what is told is shown, what is not is absent.

use serde_json::{Value, json};

use super::super::play::Play;
use super::file;

#[test]
fn each_test_run_has_its_figures_and_an_unknown_one_none() {
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    assert_eq!(play.build().tests, None);
    file(
        &mut play,
        "test-iteration-count.txt",
        &json!({"bytes": 2, "count": 2}),
    );
    let report = |passed: Option<u64>, failed: Option<u64>, success: Option<bool>| json!({"digest":"test-report","v":1,"bytes":9,"passed":passed,"failed":failed,"skipped":null,"total":null,"success":success});
    file(
        &mut play,
        "test-results-iteration-10.md",
        &report(None, None, None),
    );
    file(
        &mut play,
        "test-results-iteration-2.md",
        &report(Some(12), Some(0), None),
    );
    file(
        &mut play,
        "test-results-iteration-1.md",
        &report(Some(9), Some(3), Some(true)),
    );
    file(
        &mut play,
        "test-results-final.md",
        &report(Some(12), None, Some(true)),
    );
    let tests = play.build().tests.clone().unwrap();
    assert_eq!(
        (&tests["passed"], &tests["iterations"]),
        (&json!(null), &json!(2))
    );
    let runs: Vec<_> = tests["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            (
                run["number"].as_u64(),
                run["passed"].as_u64(),
                run["failed"].as_u64(),
                run["success"].as_bool(),
            )
        })
        .collect();
    assert_eq!(
        runs,
        [
            (Some(1), Some(9), Some(3), Some(false)),
            (Some(2), Some(12), Some(0), Some(true)),
            (Some(10), None, None, None),
            (None, Some(12), None, Some(true)),
        ]
    );
    assert_eq!(play.build().test_iteration, Some(2));
    // What is no number counts nothing.
    file(
        &mut play,
        "test-iteration-count.txt",
        &json!({"bytes": 5, "count": null}),
    );
    assert_eq!(play.build().test_iteration, Some(2));
    play.summary(json!({"status":"completed","tests_passed":true,"test_iterations":3}));
    let tests = play.build().tests.as_ref().unwrap();
    assert_eq!(
        (&tests["passed"], &tests["iterations"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(tests["runs"].as_array().unwrap().len(), 4);
}

#[test]
fn feedback_tells_decisions_and_a_quality_that_nobody_rated_is_unknown() {
    let mut play = Play::new();
    play.phase("Feedback", "7/7", "capturing");
    file(
        &mut play,
        "feedback/build-feedback-2025-01-14.json",
        &json!({
            "issues_found": [{"id":"cdn","issue":"A library was missing","detected_in_phase":"Test","severity":"MEDIUM","applies_to_phases":["Scout"]}],
            "successful_patterns": [{"category":"Testing","pattern":"Test with node","worked_well":true}],
            "recommendations": [{"for_phase":"Scout","recommendation":"Look at script tags","priority":"HIGH"}, {"priority":"LOW"}, 7],
            "decisions": [{"decision_type":"architecture","decision_description":"Use SQLite","quality_rating":4,"used_lessons_learned":false,"phase":"Architect"},
                          {"decision_type":"naming","quality_rating":99}]
        }),
    );
    let decisions = play.build().decisions.clone().unwrap();
    assert_eq!(
        (
            &decisions["total"],
            &decisions["average_quality"],
            &decisions["lessons_used"]
        ),
        (&json!(5), &json!(4.0), &json!(1))
    );
    let list: Vec<_> = decisions["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| (told["text"].as_str().unwrap(), told["quality"].as_f64()))
        .collect();
    assert_eq!(
        list,
        [
            ("Use SQLite", Some(4.0)),
            ("naming", None),
            ("A library was missing", None),
            ("Test with node", None),
            ("Look at script tags", None),
        ]
    );
    for odd in [
        json!({}),
        json!({"issues_found": {}, "decisions": "x"}),
        json!({"decisions":[[]]}),
    ] {
        file(&mut play, "feedback/build-feedback-odd.json", &odd);
        assert_eq!(
            play.build().decisions.as_ref().unwrap()["total"],
            json!(5),
            "{odd}"
        );
    }
}

fn report(play: &mut Play, document: &Value) {
    let mut event = play.content("x", document);
    event.file = "http/agent-update".to_owned();
    play.fold(event);
}

#[test]
fn agents_tell_their_phase_duration_success_and_issues_and_nothing_is_0_that_was_not_told() {
    let mut play = Play::new();
    let base = json!({"session_id":"weather","agent_id":"b1","agent_type":"Builder","agent_name":"builder","status":"active","phase":"Builder","progress_percent":40});
    report(&mut play, &base);
    let agent = play.build().agents.clone().unwrap()[0].clone();
    assert_eq!(
        (
            &agent["progress"],
            &agent["success"],
            &agent["issues_found"],
            &agent["duration_ms"]
        ),
        (&json!(0.4), &json!(null), &json!(null), &json!(null))
    );
    assert_eq!(play.build().context, None);
    let mut ends = base.clone();
    ends["status"] = json!("completed");
    ends["progress_percent"] = json!(null);
    ends["tokens_used"] = json!(150_000);
    ends["tokens_limit"] = json!(200_000);
    ends["metadata"] = json!({"issues_found": 3, "issues_fixed": 2, "decisions": [{"decision_type":"retry","quality_rating":5}]});
    report(&mut play, &ends);
    let agent = play.build().agents.clone().unwrap()[0].clone();
    assert_eq!(
        (
            &agent["success"],
            &agent["issues_found"],
            &agent["issues_fixed"]
        ),
        (&json!(true), &json!(3), &json!(2))
    );
    assert_eq!(
        agent["progress"],
        json!(0.4),
        "what is not told again stays known"
    );
    assert_eq!(
        agent["duration_ms"],
        json!(1_000),
        "from its first report to its last"
    );
    assert_eq!(play.build().context.unwrap().used, Some(150_000));
    assert_eq!(
        play.build().decisions.as_ref().unwrap()["average_quality"],
        json!(5.0)
    );
    // The second call of an agent broke upstream; here a broken field breaks nothing.
    for odd in [
        json!({"agent_id":"b1","metadata":7,"progress_percent":"x","tokens_used":-1}),
        json!({"agent_id":7}),
        json!({"status":[]}),
        json!({"agent_id":"b2","metadata":{"duration_seconds":1e300,"issues_found":"many","success":"yes"},"progress_percent":1e9}),
    ] {
        report(&mut play, &odd);
    }
    let agents = play.build().agents.clone().unwrap();
    assert_eq!(agents.as_array().unwrap().len(), 3);
    assert_eq!(agents[0]["issues_found"], json!(3));
    assert_eq!(
        (
            &agents[2]["duration_ms"],
            &agents[2]["progress"],
            &agents[2]["issues_found"]
        ),
        (&json!(null), &json!(null), &json!(null))
    );
}
