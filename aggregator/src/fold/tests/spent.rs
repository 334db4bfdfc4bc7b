//! What builds cost, by the digests of their stream-JSON files.

use protocol::{BuildState, Money};
use serde_json::{Value, json};

use super::play::Play;

const STATE: &str = "agents/3af4a34d/adw_state.json";
const PLANNER: &str = "agents/3af4a34d/sdlc_planner/raw_output.jsonl";
const BUILDER: &str = "agents/3af4a34d/sdlc_builder/raw_output.jsonl";

fn usd(text: &str) -> Option<Money> {
    Some(text.parse().unwrap())
}

fn told(session: &str, cost: &str) -> Value {
    json!({"session_id":session,"merged":null,"model":"claude-opus-4-5-20251101","state":"success",
        "is_error":false,"subtype":"success","num_turns":9,"duration_ms":1000,"total_cost_usd":cost,
        "models":{"claude-opus-4-5-20251101":{"input":2,"output":10,"cache_read":100,"cache_write":20,"cost_usd":cost}},
        "tokens":{"input":2,"output":10,"cache_read":100,"cache_write":20},
        "context":{"used":122,"limit":200_000},"estimated":false})
}

fn running(session: &str, model: &str) -> Value {
    json!({"session_id":session,"merged":null,"model":model,"state":"running","is_error":null,"subtype":null,
        "num_turns":null,"duration_ms":null,"total_cost_usd":null,
        "models":{model:{"input":1_000_000,"output":null,"cache_read":null,"cache_write":null,"cost_usd":null}},
        "tokens":{"input":1_000_000,"output":null,"cache_read":null,"cache_write":null},
        "context":{"used":1_000_000,"limit":null},"estimated":true})
}

fn digest(attempts: &[Value]) -> Value {
    json!({"digest":"stream-json","v":1,"attempts":attempts,"todos":null,"todos_left_out":0,
        "tools":{"calls":3,"errors":1,"last":"Bash"},"lines":9,"bad_lines":0})
}

/// Plays files of a workflow.
fn adw(writes: &[(&str, Value)]) -> Play {
    let mut play = Play::of("adw", "");
    for (file, document) in writes {
        let event = play.content(file, document);
        play.fold(event);
    }
    play
}

#[test]
fn a_build_costs_what_its_files_cost_digit_for_digit() {
    let play = adw(&[
        (
            PLANNER,
            digest(&[told("s1", "0.24176750000000002"), told("s2", "0.1")]),
        ),
        (BUILDER, digest(&[told("s3", "0.2")])),
    ]);
    let build = play.build();
    assert_eq!(build.cost_usd, usd("0.54176750000000002"));
    assert_eq!(build.cost_estimated, Some(false));
    let tokens = build.tokens.unwrap();
    assert_eq!((tokens.input, tokens.output), (Some(6), Some(30)));
    assert_eq!(
        (tokens.cache_read, tokens.cache_write),
        (Some(300), Some(60))
    );
    assert_eq!(build.model.as_deref(), Some("claude-opus-4-5-20251101"));
    assert_eq!(build.coding_agent.as_deref(), Some("claude-code"));
    let agents = build.agents.as_ref().unwrap();
    assert_eq!(agents[0]["name"], "sdlc_builder");
    assert_eq!(agents[1]["name"], "sdlc_planner");
    assert_eq!(agents[1]["cost_usd"], "0.34176750000000002");
    assert_eq!(
        (&agents[1]["attempts"], &agents[1]["turns"]),
        (&json!(2), &json!(18))
    );
}

#[test]
fn the_sum_survives_storage_and_what_is_stored_folds_on() {
    let mut play = adw(&[(PLANNER, digest(&[told("s1", "0.24176750000000002")]))]);
    let text = serde_json::to_string(&play.track).unwrap();
    play.track = serde_json::from_str(&text).unwrap();
    assert_eq!(play.build().cost_usd, usd("0.24176750000000002"));
    let event = play.content(BUILDER, &digest(&[told("s2", "0.1")]));
    play.fold(event);
    assert_eq!(play.build().cost_usd, usd("0.34176750000000002"));
}

#[test]
fn while_an_attempt_runs_its_cost_is_an_estimate_and_marked_as_one() {
    let mut play = adw(&[(
        PLANNER,
        digest(&[running("s1", "claude-sonnet-4-5-20250929")]),
    )]);
    assert_eq!(play.build().cost_usd, usd("3"));
    assert_eq!(play.build().cost_estimated, Some(true));
    assert_eq!(play.build().context.unwrap().limit, None);
    let event = play.content(PLANNER, &digest(&[told("s1", "2.5")]));
    play.fold(event);
    assert_eq!(play.build().cost_usd, usd("2.5"));
    assert_eq!(play.build().cost_estimated, Some(false));
}

#[test]
fn a_model_without_a_list_price_has_no_cost_until_its_result() {
    let play = adw(&[(PLANNER, digest(&[running("s1", "another")]))]);
    assert_eq!(
        (play.build().cost_usd, play.build().cost_estimated),
        (None, None)
    );
    assert_eq!(play.build().tokens.unwrap().input, Some(1_000_000));
    // What is known is told, and that it is not all.
    let play = adw(&[(
        PLANNER,
        digest(&[told("s1", "0.5"), running("s2", "another")]),
    )]);
    assert_eq!(
        (play.build().cost_usd, play.build().cost_estimated),
        (usd("0.5"), Some(true))
    );
}

#[test]
fn the_true_cost_takes_the_place_of_the_workflows_estimate_and_stays() {
    let state = json!({"adw_id":"3af4a34d","estimated_cost_total":"4.5","model_used":"opus"});
    let mut play = adw(&[(STATE, state.clone())]);
    assert_eq!(
        (play.build().cost_usd, play.build().cost_estimated),
        (usd("4.5"), Some(true))
    );
    for (file, document) in [
        (PLANNER, digest(&[running("s1", "claude-sonnet-4-5")])),
        (
            STATE,
            json!({"adw_id":"3af4a34d","estimated_cost_total":"4.5","plan_file":"x"}),
        ),
    ] {
        let event = play.content(file, &document);
        play.fold(event);
        assert_eq!(play.build().cost_usd, usd("3"), "{file}");
    }
}

#[test]
fn a_session_that_two_trees_tell_is_paid_once() {
    let copy = format!("trees/3af4a34d/{PLANNER}");
    let play = adw(&[
        (PLANNER, digest(&[told("s1", "0.5")])),
        (&copy, digest(&[told("s1", "0.5"), told("s2", "0.25")])),
    ]);
    assert_eq!(play.build().cost_usd, usd("0.75"));
}

#[test]
fn the_next_run_does_not_pay_for_the_attempts_of_the_one_before() {
    let mut play = adw(&[
        (STATE, json!({"adw_id":"3af4a34d","status":"failed"})),
        (PLANNER, digest(&[told("s1", "0.5")])),
    ]);
    assert_eq!(play.build().state, BuildState::Failed);
    for (file, document) in [
        (STATE, json!({"adw_id":"3af4a34d","status":"running"})),
        (PLANNER, digest(&[told("s1", "0.5"), told("s2", "0.25")])),
    ] {
        let event = play.content(file, &document);
        play.fold(event);
    }
    assert_eq!((play.build().run, play.build().cost_usd), (2, usd("0.25")));
}

#[test]
fn the_next_run_does_not_pay_for_what_an_attempt_without_a_result_spent_before_it() {
    let sonnet = |tokens: u64| {
        let mut attempt = running("s1", "claude-sonnet-4-5");
        attempt["tokens"]["input"] = json!(tokens);
        attempt["models"]["claude-sonnet-4-5"]["input"] = json!(tokens);
        attempt
    };
    let mut play = adw(&[
        (PLANNER, digest(&[sonnet(1_000_000)])),
        (STATE, json!({"adw_id":"3af4a34d","status":"failed"})),
    ]);
    assert_eq!((play.build().run, play.build().cost_usd), (1, usd("3")));
    let mut then = |file: &str, document: Value| {
        let event = play.content(file, &document);
        play.fold(event);
        let build = play.build();
        let input = build.tokens.and_then(|tokens| tokens.input);
        (build.run, build.cost_usd, build.cost_estimated, input)
    };
    then(STATE, json!({"adw_id":"3af4a34d","status":"running"}));
    // It was killed: its retry alone is of this run.
    let retry = then(PLANNER, digest(&[sonnet(1_000_000), told("s2", "0.25")]));
    assert_eq!(retry, (2, usd("0.25"), Some(false), Some(2)));
    // It was not: what it spent since is, and its result tells the rest of the whole.
    let more = then(PLANNER, digest(&[sonnet(1_500_000), told("s2", "0.25")]));
    assert_eq!(more, (2, usd("1.75"), Some(true), Some(500_002)));
    let ended = then(PLANNER, digest(&[told("s1", "5"), told("s2", "0.25")]));
    assert_eq!((ended.0, ended.1, ended.2), (2, usd("2.25"), Some(true)));
}

#[test]
fn the_newest_todo_list_is_shown() {
    let with = |text: &str| {
        let mut digest = digest(&[running("s1", "m")]);
        digest["todos"] = json!([{"text":text,"state":"in_progress","tools":2}]);
        digest
    };
    let play = adw(&[
        (PLANNER, with("plan")),
        (BUILDER, with("build")),
        (PLANNER, digest(&[])),
    ]);
    assert_eq!(
        play.build().todos,
        Some(json!([{"text":"build","state":"in_progress","tools":2}]))
    );
}

#[test]
fn odd_digests_cost_nothing() {
    for odd in [
        json!(null),
        json!(7),
        json!("x"),
        json!([{}, 1, null]),
        json!({"a":1}),
    ] {
        let attempt = json!({"session_id":odd,"total_cost_usd":odd,"models":odd,"tokens":odd,"merged":odd,"context":odd});
        let document =
            json!({"digest":"stream-json","v":1,"attempts":[odd, attempt],"todos":odd,"tools":odd});
        let play = adw(&[(PLANNER, document), (BUILDER, digest(&[told("s1", "0.5")]))]);
        assert!(play.build().cost_usd >= usd("0.5"), "{odd}");
    }
}

#[test]
fn a_file_without_an_orchestrator_is_a_build_for_each_session() {
    let mut play = Play::of("claude-code", "");
    let mut write = |attempts: &[Value]| {
        let event = play.content("raw_output.jsonl", &digest(attempts));
        play.fold(event);
        let build = play.build();
        (build.run, build.state, build.cost_usd)
    };
    let sonnet = |session| running(session, "claude-sonnet-4-5");
    assert_eq!(write(&[sonnet("s1")]), (1, BuildState::Running, usd("3")));
    assert_eq!(
        write(&[told("s1", "0.5")]),
        (1, BuildState::Completed, usd("0.5"))
    );
    let both = [told("s1", "0.5"), sonnet("s2")];
    assert_eq!(write(&both), (2, BuildState::Running, usd("3")));
    let mut failed = told("s2", "0.25");
    failed["state"] = json!("error");
    assert_eq!(
        write(&[told("s1", "0.5"), failed]),
        (2, BuildState::Failed, usd("0.25"))
    );
}

#[test]
fn a_transcript_counts_beside_its_build_and_never_over_a_result() {
    let mut play = adw(&[(PLANNER, digest(&[told("s1", "0.5")]))]);
    let mut transcript = digest(&[
        running("s1", "claude-opus-4-5-20251101"),
        running("s2", "m"),
    ]);
    transcript["transcript"] = json!(true);
    let mut event = play.content("-shop/s1.jsonl", &transcript);
    event.producer = "claude-code".to_owned();
    play.fold(event);
    let build = play.build();
    let tokens = build.tokens.unwrap();
    assert_eq!(
        tokens.input,
        Some(2 + 1_000_000),
        "s1 as its result says, s2 as far as it is known"
    );
    assert_eq!(build.cost_estimated, Some(true));
    assert_eq!(build.producer, "adw");
}

#[test]
fn calls_are_shown_as_far_as_they_are_told() {
    let mut document = digest(&[running("s1", "m")]);
    let quiet = adw(&[(PLANNER, document.clone())]);
    assert_eq!(quiet.build().calls, None);
    document["calls"] = json!([
        {"name":"Bash","todo":"Build","state":"output-available","is_error":false,
            "began_at":"2025-12-10T10:00:00Z","ended_at":"soon"},
        {"name":"Bash","todo":null,"input":"command: ls","output":5,"is_error":"yes","state":"odd"}, "nonsense"
    ]);
    let mut play = adw(&[(PLANNER, document.clone())]);
    let calls = json!([
        {"name":"Bash","todo":"Build","state":"output-available","input":null,"output":null,
            "is_error":false,"began_at":"2025-12-10T10:00:00.000Z","ended_at":null},
        {"name":"Bash","todo":null,"state":null,"input":"command: ls","output":null,
            "is_error":null,"began_at":null,"ended_at":null}
    ]);
    assert_eq!(play.build().calls, Some(calls));
    document["calls"] = json!([{"name":"Read"}]);
    for (file, document) in [
        (BUILDER, document),
        (PLANNER, digest(&[running("s1", "m")])),
    ] {
        let event = play.content(file, &document);
        play.fold(event);
    }
    let newest = &play.build().calls.as_ref().unwrap()[0];
    assert_eq!(newest["name"], "Read", "of the file that told some last");
}
