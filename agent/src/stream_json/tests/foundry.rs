//! Logs of Context Foundry's older loop: figures of calls without their texts,
//! and the newest events.

use super::super::sums::{Kind, Sums};
use super::*;

fn sums(kind: Kind, text: &str) -> Accumulator {
    let mut sums = Accumulator {
        sums: Sums::new(kind),
        ..Accumulator::default()
    };
    // In pieces, as a file grows.
    for piece in text.as_bytes().chunks(7) {
        sums.feed(piece);
    }
    sums.at_end();
    sums
}

fn told_of(sums: &Accumulator) -> Value {
    digest_of(&sums.sums.digest())
}

fn call(input: u64, output: u64, percent: &Value) -> String {
    let line = json!({"timestamp":"2025-10-01T22:00:00.1","prompt":"secret prompt","response":"secret response",
        "metadata":{"input_tokens":input,"output_tokens":output,"total_input":input * 9,"total_output":output,
            "context_percentage":percent,"model":"claude-x","timestamp":"t","context_health":"healthy","compaction_count":1}});
    format!("{line}\n")
}

#[test]
fn a_session_tells_its_tokens_and_never_its_texts() {
    let text = call(100, 10, &json!(12.5)) + &call(50, 5, &json!(341.0));
    let log = sums(Kind::FoundrySession, &text);
    let told = told_of(&log);
    assert_eq!(told["tokens"], json!({"input":150,"output":15}));
    assert_eq!(told["context_percent"], json!(341));
    assert_eq!(
        (
            &told["model"],
            &told["compactions"],
            &told["context_health"]
        ),
        (&json!("claude-x"), &json!(1), &json!("healthy"))
    );
    assert!(!told.to_string().contains("secret"), "{told}");
}

#[test]
fn figures_of_a_session_that_are_not_told_are_absent_and_broken_lines_cost_nothing_else() {
    let odd = "not json\n{\"metadata\":7}\n{\"metadata\":{\"input_tokens\":\"x\",\"context_percentage\":null,\"model\":5}}\n\n[1]\n";
    let half = "{\"metadata\":{\"input_tokens\":9,\"out";
    let log = sums(Kind::FoundrySession, &format!("{odd}{half}"));
    let told = told_of(&log);
    assert_eq!(told["tokens"], json!({"input":null,"output":null}));
    assert_eq!(
        (&told["context_percent"], &told["model"]),
        (&json!(null), &json!(null))
    );
    assert_eq!((&told["lines"], &told["bad_lines"]), (&json!(4), &json!(2)));
    // Its own sums, where it tells nothing else.
    let line = "{\"metadata\":{\"total_input\":7,\"total_output\":2}}";
    assert_eq!(
        told_of(&sums(Kind::FoundrySession, line))["tokens"],
        json!({"input":7,"output":2})
    );
}

#[test]
fn events_are_told_in_their_order_without_lines_of_logs() {
    let lines: String = [
        json!({"type":"phase_change","session_id":"s","timestamp":"t","sequence":1,"data":{"phase":"scout","context_percent":12.5,"other":[1]}}),
        json!({"type":"log_line","sequence":2,"data":{"line":"secret","level":"info"}}),
        json!({"type":"error","sequence":3,"data":{"message":"no disk","details":"secret"}}),
        json!({"type":"completion","sequence":4,"data":{"success":false,"summary":{"a":1}}}),
        json!({"data":{}}),
        json!(7),
    ]
    .iter()
    .map(|line| format!("{line}\n"))
    .collect();
    let log = sums(Kind::FoundryEvents, &lines);
    let told = told_of(&log);
    assert_eq!(
        told["events"],
        json!([
            {"number":0,"type":"phase_change","sequence":1,"data":{"phase":"scout","context_percent":12.5}},
            {"number":1,"type":"error","sequence":3,"data":{"message":"no disk"}},
            {"number":2,"type":"completion","sequence":4,"data":{"success":false}},
        ])
    );
    assert_eq!((&told["next"], &told["bad_lines"]), (&json!(3), &json!(1)));
    assert!(!told.to_string().contains("secret"));
}

#[test]
fn secrets_in_the_texts_of_events_are_masked_also_across_the_border_of_what_is_kept() {
    let secret = "psql postgres://app:hunter2@db/shop";
    let long = format!("{} {secret}", "x".repeat(470));
    let lines: String = [
        json!({"type":"task_complete","data":{"task":secret}}),
        json!({"type":"error","data":{"message":long}}),
        json!({"type":"completion","data":{"success":true,"summary":secret}}),
    ]
    .iter()
    .map(|line| format!("{line}\n"))
    .collect();
    let told = told_of(&sums(Kind::FoundryEvents, &lines));
    assert!(!told.to_string().contains("hunt"), "{told}");
    assert_eq!(
        told["events"][0]["data"]["task"],
        "psql postgres://app:[masked]@db/shop"
    );
}

#[test]
fn only_the_newest_events_are_kept_and_their_numbers_say_how_many_there_were() {
    let text: String = (0..500)
        .map(|n| format!("{{\"type\":\"iteration_start\",\"data\":{{\"iteration\":{n}}}}}\n"))
        .collect();
    let log = sums(Kind::FoundryEvents, &text);
    let told = told_of(&log);
    let events = told["events"].as_array().unwrap();
    assert_eq!(
        (events.len(), &events[0]["number"], &told["next"]),
        (50, &json!(450), &json!(500))
    );
    let saved = serde_json::to_string(&log.sums).unwrap();
    assert_eq!(
        Sums::restore(Kind::FoundryEvents, &saved).unwrap(),
        log.sums
    );
    assert!(Sums::restore(Kind::FoundrySession, "[]").is_none());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_as_a_log_or_counted_as_bad(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        text in "([\\[\\]{}\":,0-9.\\\\ \n-]|metadata|type|data|phase|sequence|input_tokens|context_percentage){0,60}",
    ) {
        for kind in [Kind::FoundrySession, Kind::FoundryEvents] {
            let mut log = Accumulator { sums: Sums::new(kind), ..Accumulator::default() };
            log.feed(&bytes);
            log.feed(text.as_bytes());
            log.at_end();
            let told = protocol::Document::of(log.sums.digest(), &[""; 0]);
            let saved = serde_json::to_string(&log.sums).unwrap();
            let back = Sums::restore(kind, &saved).unwrap();
            proptest::prop_assert_eq!(protocol::Document::of(back.digest(), &[""; 0]).text, told.text);
        }
    }
}
