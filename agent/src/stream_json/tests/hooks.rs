//! Claude Code's hook events: counted by workflow, texts only where they may be told.

use super::super::sums::{Kind, Sums};
use super::*;

const SECRET: &str = "psql postgres://app:hunter2@db";

fn options(texts: bool, one_workflow: bool) -> Options {
    Options {
        texts,
        one_workflow,
        ..Options::default()
    }
}

/// Sums of lines, in pieces, as a file grows.
fn sums_of(options: Options, lines: &[Value]) -> Sums {
    let mut sums = Accumulator {
        sums: Sums::new(Kind::Hooks),
        ..Accumulator::default()
    };
    sums.sums.allow(options);
    for line in lines {
        for piece in format!("{line}\n").as_bytes().chunks(11) {
            sums.feed(piece);
        }
    }
    sums.sums
}

fn hook(workflow: &str, kind: &str, tool: Option<&str>, payload: &Value) -> Value {
    json!({"event_id":"evt-1","event_type":kind,"source_app":"adw","session_id":"s","workflow_id":workflow,
        "timestamp":"2025-12-10T10:33:03.1","payload":payload,"tool_name":tool,"chat_history":null})
}

fn todos(workflow: &str, states: [&str; 2]) -> Value {
    let list = json!([{"content":"Write it","status":states[0]},{"activeForm":"Testing it","status":states[1]}]);
    let payload = json!({"tool_name":"TodoWrite","tool_input":{"todos":list}});
    hook(workflow, "PreToolUse", Some("TodoWrite"), &payload)
}

fn told(sums: &Sums) -> Value {
    digest_of(&sums.digest())
}

#[test]
fn events_tools_and_todos_of_a_workflow_are_counted_without_their_texts() {
    let id = "wf-3af4a34d";
    let sums = sums_of(
        options(false, false),
        &[
            todos(id, ["in_progress", "pending"]),
            hook(
                id,
                "PreToolUse",
                Some("Bash"),
                &json!({"tool_input":{"command":SECRET}}),
            ),
            hook(
                id,
                "PostToolUse",
                Some("Bash"),
                &json!({"tool_response":{"is_error":true,"stdout":SECRET}}),
            ),
            hook(id, "Notification", None, &json!({"message":SECRET})),
            hook(id, "UserPromptSubmit", None, &json!({"prompt":SECRET})),
            hook(id, "Stop", None, &json!({})),
        ],
    );
    let told = told(&sums);
    assert_eq!(told["workflow"], "3af4a34d");
    assert_eq!(told["tools"], json!({"calls":2,"errors":1,"last":"Bash"}));
    assert_eq!(
        told["kinds"],
        json!({"Notification":1,"PostToolUse":1,"PreToolUse":2,"Stop":1,"UserPromptSubmit":1})
    );
    assert_eq!(
        told["todos"],
        json!([{"text":"Write it","state":"in_progress","tools":0},{"text":"Testing it","state":"pending","tools":0}])
    );
    assert_eq!(told["notice"], Value::Null);
    assert_eq!(
        told["calls"],
        json!([{"name":"Bash","todo":"Write it","state":"error","is_error":true}])
    );
    let all = [told.to_string(), serde_json::to_string(&sums).unwrap()];
    assert!(
        !all.iter()
            .any(|text| text.contains("hunter2") || text.contains("psql")),
        "{all:?}"
    );
}

#[test]
fn texts_are_told_masked_where_that_is_allowed() {
    let id = "wf-a";
    let sums = sums_of(
        options(true, false),
        &[
            todos(id, ["in_progress", "pending"]),
            hook(
                id,
                "PreToolUse",
                Some("Bash"),
                &json!({"tool_input":{"command":SECRET}}),
            ),
            hook(
                id,
                "PreToolUse",
                Some("Bash"),
                &json!({"tool_input":{"command":"ls"},"tool_use_id":"t2"}),
            ),
            hook(
                id,
                "PostToolUse",
                Some("Bash"),
                &json!({"tool_response":"a b","tool_use_id":"t2"}),
            ),
            hook(
                id,
                "PostToolUse",
                Some("Bash"),
                &json!({"tool_response":{"stdout":SECRET}}),
            ),
            hook(
                id,
                "Notification",
                None,
                &json!({"message":format!("may I run {SECRET}?")}),
            ),
        ],
    );
    let told = told(&sums);
    let calls = told["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0]["todo"], "Write it");
    assert_eq!(
        calls[0]["input"],
        "command: psql postgres://app:[masked]@db"
    );
    assert_eq!(
        (&calls[1]["input"], &calls[1]["output"]),
        (&json!("command: ls"), &json!("a b"))
    );
    assert!(
        calls[0]["output"].as_str().unwrap().contains("[masked]"),
        "{calls:?}"
    );
    assert_eq!(told["notice"], "may I run psql postgres://app:[masked]@db?");
    assert!(!serde_json::to_string(&sums).unwrap().contains("hunter2"));
}

#[test]
fn each_workflow_of_one_file_is_told_by_itself() {
    let mut sums = sums_of(
        options(false, false),
        &[
            hook("wf-a", "PreToolUse", Some("Read"), &json!({})),
            hook("wf-b", "PreToolUse", Some("Read"), &json!({})),
            json!({"event_type":"PreToolUse","session_id":"a person's"}),
            hook("wf-b", "Stop", None, &json!({})),
            hook("wf-a", "Stop", None, &json!({})),
        ],
    );
    assert_eq!(sums.lines(), 4, "of no workflow is no line of ours");
    assert_eq!(
        (sums.workflow(), &told(&sums)["events"]),
        (Some("b"), &json!(2))
    );
    assert!(sums.was_told(), "there is the other one");
    assert_eq!(
        (sums.workflow(), &told(&sums)["events"]),
        (Some("a"), &json!(2))
    );
    assert!(!sums.was_told());
    let last = told(&sums);
    assert_eq!(last["workflow"], "a", "nothing else is to be told");
    let saved = serde_json::to_string(&sums).unwrap();
    assert_eq!(told(&Sums::restore(Kind::Hooks, &saved).unwrap()), last);
}

#[test]
fn a_worktrees_file_is_of_its_workflow_whatever_its_lines_say() {
    let lines = [
        hook("", "PreToolUse", Some("Read"), &json!({})),
        json!({"hook_event_name":"PostToolUse","tool_name":"Read","tool_response":"text"}),
        hook("wf-other", "Stop", None, &json!({})),
        json!({"payload":{"hook_event_name":"Notification"}}),
    ];
    let sums = sums_of(options(false, true), &lines);
    let told = told(&sums);
    assert_eq!(
        (&told["workflow"], &told["events"]),
        (&Value::Null, &json!(4))
    );
    assert_eq!(told["tools"], json!({"calls":1,"errors":0,"last":"Read"}));
}

#[test]
fn broken_lines_and_odd_members_cost_nothing_else() {
    let odd = [
        json!(7),
        json!({"payload":[1]}),
        json!({"event_type":5,"workflow_id":"wf-a"}),
        json!({"event_type":"PreToolUse","workflow_id":"wf-a","tool_name":9,"payload":"text"}),
        json!({"event_type":"PreToolUse","workflow_id":"wf-a","tool_name":"TodoWrite","payload":{"tool_input":{"todos":5}}}),
        json!({"event_type":"Stop","workflow_id":"3af4a34d"}),
    ];
    let sums = sums_of(options(true, false), &odd);
    let told = told(&sums);
    assert_eq!(
        (&told["events"], &told["bad_lines"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(told["todos"], Value::Null);
    // More workflows than are remembered.
    let many: Vec<Value> = (0..40)
        .map(|n| hook(&format!("wf-{n}"), "Stop", None, &json!({})))
        .collect();
    let text = serde_json::to_string(&sums_of(options(false, false), &many)).unwrap();
    assert!(text.len() < 4_000 && text.contains("\"39\""), "{text}");
}
