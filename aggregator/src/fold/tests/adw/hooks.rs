//! Claude Code's hook events are figures and marks of their workflow's build.

use protocol::{BuildState, EventKind};
use serde_json::{Value, json};

use super::{STATE, fact, fresh, phases, play, write};
use crate::fold::Track;

const HOOKS: &str = "trees/3af4a34d/.claude/logs/hook_events.jsonl";
const MAIN: &str = ".claude/logs/hook_events.jsonl";

fn digest(calls: u64, kinds: &Value) -> Value {
    json!({"digest":"claude-hooks","v":1,"workflow":null,"events":9,"kinds":kinds,"lines":9,"bad_lines":0,
        "tools":{"calls":calls,"errors":1,"last":"Bash"},
        "todos":[{"text":"Write it","state":"in_progress","tools":0}]})
}

#[test]
fn hooks_alone_are_no_build_and_are_of_the_one_that_comes() {
    let mut play = play();
    write(
        &mut play,
        HOOKS,
        digest(7, &json!({"Notification":2,"Stop":1,"Unheard":5})),
    );
    assert!(play.track.current().is_none());
    let event = play.event(HOOKS, EventKind::Unreadable);
    play.fold(event);
    assert!(play.track.current().is_none());
    let text = serde_json::to_string(&play.track).unwrap();
    play.track = serde_json::from_str::<Track>(&text).unwrap();
    write(&mut play, STATE, fresh());
    assert_eq!(play.build().run, 1);
    assert_eq!(fact(&play, "hook_tools"), Some("7, 1 failed"));
    assert_eq!(fact(&play, "hook_notifications"), Some("2"));
    assert_eq!(fact(&play, "hook_stops"), Some("1"));
    assert_eq!(
        play.build().todos,
        Some(json!([{"text":"Write it","state":"in_progress","tools":0}]))
    );
    assert_eq!(play.build().state, BuildState::Running);
}

#[test]
fn what_stream_json_tells_of_the_same_agents_is_more() {
    let mut play = play();
    write(&mut play, STATE, fresh());
    let stream = json!({"digest":"stream-json","v":1,"attempts":[],"todos":[{"text":"Its own","state":"pending","tools":3}],
        "tools":{"calls":3,"errors":0,"last":null},"lines":1,"bad_lines":0});
    write(&mut play, "agents/3af4a34d/ops/raw_output.jsonl", stream);
    write(&mut play, HOOKS, digest(7, &json!({})));
    assert_eq!(play.build().todos.as_ref().unwrap()[0]["text"], "Its own");
    assert_eq!(fact(&play, "hook_tools"), Some("7, 1 failed"));
}

#[test]
fn two_files_of_a_workflow_add_up_and_the_next_run_counts_from_its_beginning() {
    let mut play = play();
    write(&mut play, STATE, fresh());
    write(&mut play, HOOKS, digest(7, &json!({"Stop":1})));
    write(&mut play, MAIN, digest(3, &json!({"Stop":2})));
    assert_eq!(fact(&play, "hook_tools"), Some("10, 2 failed"));
    assert_eq!(fact(&play, "hook_stops"), Some("3"));
    // The same once more changes nothing.
    write(&mut play, MAIN, digest(3, &json!({"Stop":2})));
    assert_eq!(fact(&play, "hook_tools"), Some("10, 2 failed"));
    phases(&mut play, &["Plan"], Some("Build"));
    phases(&mut play, &[], Some("Plan"));
    assert_eq!(play.build().run, 2);
    assert_eq!(
        (fact(&play, "hook_tools"), play.build().todos.as_ref()),
        (None, None)
    );
    write(&mut play, MAIN, digest(5, &json!({"Stop":2})));
    assert_eq!(fact(&play, "hook_tools"), Some("2"));
}

#[test]
fn texts_that_may_leave_the_host_are_shown() {
    let mut play = play();
    write(&mut play, STATE, fresh());
    let mut told = digest(1, &json!({"Notification":3}));
    told["notice"] = json!("may I?");
    told["calls"] =
        json!([{"name":"Bash","todo":null,"input":"command: ls","output":"a","is_error":false}]);
    write(&mut play, HOOKS, told);
    assert_eq!(
        fact(&play, "hook_notifications"),
        Some("3, the newest: may I?")
    );
    assert_eq!(
        play.build().calls.as_ref().unwrap()[0]["input"],
        "command: ls"
    );
}

#[test]
fn a_list_that_comes_by_a_call_is_the_workflows_until_the_next_run() {
    let mut play = play();
    let hook = |n: u64, text: &str| {
        json!({"event_id":n,"event_type":"PreToolUse","tool_name":"TodoWrite",
            "todos":[{"text":text,"state":"in_progress","tools":null}]})
    };
    write(&mut play, "http/hook", hook(1, "Plan it"));
    write(&mut play, STATE, fresh());
    write(&mut play, "http/hook", json!({"event_type":"Stop"}));
    let text = |play: &super::Play| {
        play.build()
            .todos
            .as_ref()
            .map(|list| list[0]["text"].clone())
    };
    assert_eq!(text(&play), Some(json!("Plan it")), "other hooks leave it");
    write(&mut play, "http/hook", hook(2, "Write it"));
    assert_eq!(text(&play), Some(json!("Write it")));
    phases(&mut play, &["Plan"], Some("Build"));
    phases(&mut play, &[], Some("Plan"));
    assert_eq!((play.build().run, text(&play)), (2, None));
    // What a stream-JSON file tells is more.
    let stream = json!({"digest":"stream-json","v":1,"attempts":[],"todos":[{"text":"Its own","state":"pending","tools":3}],
        "tools":{"calls":3,"errors":0,"last":null},"lines":1,"bad_lines":0});
    write(&mut play, "agents/3af4a34d/ops/raw_output.jsonl", stream);
    write(&mut play, "http/hook", hook(3, "Plan it again"));
    assert_eq!(text(&play), Some(json!("Its own")));
}
