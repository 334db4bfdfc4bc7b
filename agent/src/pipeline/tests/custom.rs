//! Producers that the configuration names: from their files to the outbox.

use std::io::Write as _;

use protocol::ProjectToken;
use serde_json::Value;

use super::*;
use crate::producer::Custom;

const TABLES: &str = "[[producer]]
name = 'nightly'
file = 'status/build.json'
volatile = ['/beat']
fields = { status = '/state', phase = '/phase' }
[[producer]]
name = 'lines'
file = 'runs/{id}.jsonl'
format = 'jsonl'
fields = { session_id = '/run', phase = '/phase' }
";

fn start(state: &Path, root: &Path, tables: &str) -> Half {
    let file: toml::Table = toml::from_str(tables).unwrap();
    let tables = file["producer"].as_array().unwrap().iter();
    let tables: Vec<toml::Table> = tables
        .map(|table| table.as_table().unwrap().clone())
        .collect();
    let custom = Custom::read(&tables).unwrap();
    Half::start_for(state, &[root], Producers::with(&custom))
}

fn mapped(event: &Event) -> Value {
    serde_json::from_str::<Value>(document(event)).unwrap()["mapped"].clone()
}

fn append(root: &Path, text: &str) {
    let path = root.join("p/runs/7.jsonl");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_file_travels_with_what_its_table_makes_of_it() {
    let (_dir, root, state) = place();
    let half = start(&state, &root, TABLES);
    let project = root.join("p");
    write(
        &project,
        "status/build.json",
        r#"{"state":"running","phase":"Test","beat":1}"#,
    );
    let event = half.expect(1).remove(0);
    assert_eq!(
        (event.producer.as_str(), event.path.as_str()),
        ("nightly", "p")
    );
    let token = ProjectToken::of_id("nightly", &project.display().to_string());
    assert_eq!(event.project_token, token);
    assert_eq!(mapped(&event)["phase"], "Test");
    // Only what is volatile changed: a sign of life.
    write(
        &project,
        "status/build.json",
        r#"{"state":"running","phase":"Test","beat":2}"#,
    );
    assert_eq!(half.settle(&root, 1).len(), 1);
    // Both producers may live in one project.
    write(
        &project,
        "status/build.json",
        r#"{"state":"failed","phase":"Test","beat":3}"#,
    );
    let events = half.expect(3);
    assert_eq!(mapped(&events[2])["ends"], true);
}

#[test]
fn of_json_lines_the_last_whole_one_is_told_over_truncation_and_rotation() {
    let (_dir, root, state) = place();
    let half = start(&state, &root, TABLES);
    let phase = |event: &Event| mapped(event)["phase"].as_str().unwrap().to_owned();
    append(&root, "{\"run\":1,\"phase\":\"a\"}\n{\"run\":1,\"pha");
    assert_eq!(phase(&half.expect(1)[0]), "a");
    append(&root, "se\":\"b\"}\n");
    assert_eq!(phase(&half.expect(2)[1]), "b");
    let path = root.join("p/runs/7.jsonl");
    fs::write(&path, "").unwrap();
    append(&root, "{\"run\":2,\"phase\":\"c\"}\n");
    assert_eq!(phase(&half.expect(3)[2]), "c");
    fs::rename(&path, root.join("p/runs/7.jsonl.1")).unwrap();
    append(&root, "{\"run\":3,\"phase\":\"d\"}\n");
    let events = half.expect(4);
    assert_eq!(phase(&events[3]), "d");
    let project = root.join("p").display().to_string();
    let token = ProjectToken::of_id("lines", &format!("{project}\n7"));
    assert!(events.iter().all(|event| event.project_token == token));
}

#[test]
fn lines_that_a_program_writes_without_closing_its_file_are_seen() {
    let (_dir, root, state) = place();
    let half = start(&state, &root, TABLES);
    fs::create_dir_all(root.join("p/runs")).unwrap();
    let mut file = fs::File::create(root.join("p/runs/7.jsonl")).unwrap();
    for phase in 1..=3_usize {
        writeln!(file, "{{\"phase\":{phase}}}").unwrap();
        let events = half.expect(phase);
        assert_eq!(mapped(&events[phase - 1])["phase"], phase);
    }
}

#[test]
fn another_table_makes_the_same_file_news() {
    let (_dir, root, state) = place();
    write(
        &root.join("p"),
        "status/build.json",
        r#"{"state":"running","stage":"Test"}"#,
    );
    let half = start(&state, &root, TABLES);
    half.expect(1);
    drop(half);
    let half = start(&state, &root, TABLES);
    assert_eq!(
        half.settle(&root, 1).len(),
        1,
        "the same table: nothing new"
    );
    drop(half);
    let half = start(
        &state,
        &root,
        &TABLES.replace("'/phase' }\n[[", "'/stage' }\n[["),
    );
    let events = half.expect(3);
    assert_eq!(mapped(&events[2])["phase"], "Test");
}

#[test]
fn stream_json_of_a_table_is_told_by_its_figures() {
    let (_dir, root, state) = place();
    let table = "[[producer]]\nname = 'mine'\nfile = 'out/{id}.jsonl'\nformat = 'stream-json'\n";
    let half = start(&state, &root, table);
    let result = r#"{"type":"result","subtype":"success","session_id":"s","result":"secret","total_cost_usd":0.5}"#;
    write(&root.join("p"), "out/1.jsonl", &format!("{result}\n"));
    let event = half.expect(1).remove(0);
    let told: Value = serde_json::from_str(document(&event)).unwrap();
    assert_eq!(told["attempts"][0]["total_cost_usd"], "0.5");
    assert!(!document(&event).contains("secret"));
    assert_eq!(
        (event.producer.as_str(), event.path.as_str()),
        ("mine", "p")
    );
}

#[test]
fn a_phase_log_and_an_execution_log_are_of_their_workflow() {
    let (_dir, root, state) = place();
    let half = start(&state, &root, TABLES);
    write(&root, "agents/1f/adw_state.json", "{}");
    write(
        &root,
        "agents/1f/adw_plan_iso/execution.log",
        "token=secret\n",
    );
    let events = half.expect(2);
    assert_eq!(document(&events[1]), r#"{"bytes":13}"#);
    write(
        &root,
        "agents/1f/adw_plan_iso/execution.log",
        "token=secret\nand more\n",
    );
    // Somebody else's log of that name.
    write(&root, "agents/x/y/execution.log", "nothing to see");
    let line = r#"{"event_id":"e","message":"secret","phase_name":"Plan","phase_number":1,"phase_status":"started"}"#;
    write(
        &root,
        "logs/structured/workflow_1f.jsonl",
        &format!("{line}\n"),
    );
    let events = half.expect(3);
    assert!(
        document(&events[2]).contains("\"phase_name\":\"Plan\""),
        "{events:?}"
    );
    for event in &events {
        assert_eq!(event.project_token, ProjectToken::of_id("adw", "1f"));
        assert!(!document(event).contains("secret"));
    }
}
