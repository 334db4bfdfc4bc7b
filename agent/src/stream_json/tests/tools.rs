//! Todos and calls of tools.

use super::*;

#[test]
fn calls_are_counted_once_and_under_the_todo_in_progress() {
    let todos = |first: &str, second: &str| {
        json!([{"content":"plan","status":first,"activeForm":"planning"},
               {"content":"write","status":second,"activeForm":"writing"}])
    };
    let feed = Feed::lines(&[
        init("s1"),
        uses("s1", "t0", "Read"),
        todo_list("s1", "l1", &todos("in_progress", "pending")),
        uses("s1", "t1", "Bash"),
        uses("s1", "t1", "Bash"),
        answer("s1", "t1", true),
        answer("s1", "t1", true),
        todo_list("s1", "l2", &todos("completed", "in_progress")),
        uses("s1", "t2", "Edit"),
        uses("s1", "t3", "Edit"),
        answer("s1", "t2", false),
    ]);
    let digest = feed.digest();
    assert_eq!(
        digest["todos"],
        json!([{"text":"plan","state":"completed","tools":1},
               {"text":"write","state":"in_progress","tools":2}])
    );
    assert_eq!(digest["tools"], json!({"calls":6,"errors":1,"last":"Edit"}));
}

#[test]
fn an_output_before_its_input_is_tolerated() {
    let feed = Feed::lines(&[
        init("s1"),
        answer("s1", "t1", true),
        uses("s1", "t1", "Bash"),
        answer("s1", "t1", true),
    ]);
    assert_eq!(
        feed.digest()["tools"],
        json!({"calls":1,"errors":1,"last":"Bash"})
    );
}

#[test]
fn an_answer_is_text_or_blocks_and_an_error_only_where_it_says_so() {
    let answer = |id: &str, content: Value, is_error: Option<bool>, result: Value| {
        let mut block = json!({"type":"tool_result","tool_use_id":id,"content":content});
        if let Some(is_error) = is_error {
            block["is_error"] = json!(is_error);
        }
        json!({"type":"user","session_id":"s1","message":{"content":[block]},"tool_use_result":result})
    };
    let blocks = json!([{"type":"text","text":"x"},{"type":"image","source":{"data":"AAAA"}}]);
    let feed = Feed::lines(&[
        init("s1"),
        uses("s1", "t1", "Bash"),
        uses("s1", "t2", "Read"),
        uses("s1", "t3", "Edit"),
        answer("t1", json!("text"), None, json!("Error: text")),
        answer("t2", blocks, Some(false), json!({"file":{}})),
        answer("t3", json!("no such text"), Some(true), Value::Null),
        json!({"type":"user","session_id":"s1","message":{"role":"user","content":"only text"}}),
    ]);
    let digest = feed.digest();
    assert_eq!(digest["tools"], json!({"calls":3,"errors":1,"last":"Edit"}));
    assert_eq!(digest["bad_lines"], 0);
}

#[test]
fn a_sub_agents_list_is_its_own_and_its_calls_count() {
    let mut theirs = todo_list(
        "s1",
        "l2",
        &json!([{"content":"theirs","status":"in_progress"}]),
    );
    theirs["parent_tool_use_id"] = json!("t1");
    let mut call = uses("s1", "t2", "Grep");
    call["parent_tool_use_id"] = json!("t1");
    let feed = Feed::lines(&[
        init("s1"),
        todo_list(
            "s1",
            "l1",
            &json!([{"content":"ours","status":"in_progress"}]),
        ),
        uses("s1", "t1", "Task"),
        theirs,
        call,
    ]);
    let digest = feed.digest();
    assert_eq!(
        digest["todos"],
        json!([{"text":"ours","state":"in_progress","tools":2}])
    );
    assert_eq!(digest["tools"]["calls"], 4);
}

#[test]
fn points_without_a_text_are_no_points_and_either_text_will_do() {
    let list = json!([{"status":"pending"}, {"activeForm":"testing","status":"pending"}, {"content":"run"}]);
    let feed = Feed::lines(&[init("s1"), todo_list("s1", "l1", &list)]);
    assert_eq!(
        feed.digest()["todos"],
        json!([{"text":"testing","state":"pending","tools":0},
               {"text":"run","state":"pending","tools":0}])
    );
}

#[test]
fn a_list_beyond_the_limit_says_what_is_left_out() {
    let list: Vec<Value> = (0..130)
        .map(|n| json!({"content":format!("{n}"),"status":"pending"}))
        .collect();
    let digest = Feed::lines(&[init("s1"), todo_list("s1", "l1", &json!(list))]).digest();
    assert_eq!(digest["todos"].as_array().unwrap().len(), 100);
    assert_eq!(digest["todos_left_out"], 30);
}

#[test]
fn calls_are_told_with_their_point_and_how_they_stand_and_without_any_text() {
    let todos = json!([{"content":"write","status":"in_progress","activeForm":"writing"}]);
    let mut feed = Feed::lines(&[
        init("s1"),
        uses("s1", "t0", "Read"),
        todo_list("s1", "l1", &todos),
        answer("s1", "l1", false),
        uses("s1", "t1", "Bash"),
        uses("s1", "t1", "Bash"),
        answer("s1", "t1", true),
    ]);
    // Lines that were written while somebody looked.
    feed.0.sums.at(Some(Timestamp::from_millis(1_000)));
    feed.add(&[uses("s1", "t2", "Edit")]);
    feed.0.sums.at(Some(Timestamp::from_millis(2_500)));
    feed.add(&[answer("s1", "t2", false), answer("s1", "t2", false)]);
    let digest = feed.digest();
    let expected = json!([
        {"name":"Read","state":"input-available","is_error":false},
        {"name":"Bash","todo":"write","state":"error","is_error":true},
        {"name":"Edit","todo":"write","state":"output-available","is_error":false,
            "began_at":"1970-01-01T00:00:01.000Z","ended_at":"1970-01-01T00:00:02.500Z"}
    ]);
    assert_eq!(digest["calls"], expected);
    assert!(!digest.to_string().contains("secret"));
}

#[test]
fn the_newest_calls_are_told_and_no_more_than_a_few_kilobytes_of_them() {
    let todos = json!([{"content":"x".repeat(5_000),"status":"in_progress"}]);
    let mut feed = Feed::lines(&[init("s1"), todo_list("s1", "l1", &todos)]);
    for n in 0..500 {
        feed.add(&[uses("s1", &format!("t{n}"), &"Long".repeat(1_000))]);
    }
    let digest = feed.digest();
    assert_eq!(digest["calls"].as_array().unwrap().len(), 40);
    let bytes = digest.to_string().len();
    assert!(bytes < 32 * 1024, "{bytes}");
}

#[test]
fn texts_that_were_kept_are_forgotten_when_they_may_not_leave_any_more() {
    let allowed = |texts| Options {
        texts,
        ..Options::default()
    };
    let mut feed = Feed::default();
    feed.0.sums.allow(allowed(true));
    feed.add(&[
        init("s1"),
        uses("s1", "t1", "Bash"),
        answer("s1", "t1", false),
    ]);
    assert_eq!(feed.digest()["calls"][0]["output"], "secret output");
    feed.0.sums.allow(allowed(false));
    assert!(!feed.digest().to_string().contains("secret"));
    assert_eq!(feed.digest()["calls"][0]["name"], "Bash");
}
