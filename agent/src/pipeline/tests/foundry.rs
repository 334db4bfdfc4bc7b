//! Context Foundry's files beside its state, and those of its older loop.

use std::io::Write as _;

use protocol::ProjectToken;
use serde_json::{Value, json};

use super::*;

const STATE: &str = "checkpoints/ralph/shop_1/state.json";

fn read(event: &Event) -> Value {
    serde_json::from_str(document(event)).unwrap()
}

#[test]
fn every_file_of_a_build_is_of_its_project_and_texts_stay_on_the_host() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let half = Half::start(state.path(), &[dir.path()]);
    let project = dir.path().join("shop");
    let files = [
        (PHASE, "{}", json!({})),
        (
            ".context-foundry/build-tasks.json",
            r#"{"tasks":[]}"#,
            json!({"tasks":[]}),
        ),
        (
            ".context-foundry/builder-logs/task-1.done",
            "",
            json!({"bytes":0}),
        ),
        (
            ".context-foundry/builder-logs/task-2.error",
            "secret",
            json!({"bytes":6}),
        ),
        (
            ".context-foundry/test-iteration-count.txt",
            "2\n",
            json!({"bytes":2,"count":2}),
        ),
        (
            ".context-foundry/feedback/build-feedback-1.json",
            r#"{"a":1}"#,
            json!({"a":1}),
        ),
        (
            ".context-foundry/build-output-7.txt",
            "secret",
            json!({"bytes":6}),
        ),
    ];
    for (n, (file, text, expected)) in files.iter().enumerate() {
        write(&project, file, text);
        let event = half.expect(n + 1).pop().unwrap();
        assert_eq!(
            (event.file.as_str(), read(&event)),
            (*file, expected.clone())
        );
        assert_eq!(
            event.project_token,
            ProjectToken::of(&project.canonicalize().unwrap())
        );
    }
    let report = "# Results\nsecret\n- Passed: 12\n- Failed: 3\n";
    write(
        &project,
        ".context-foundry/test-results-iteration-1.md",
        report,
    );
    let event = half.expect(8).pop().unwrap();
    assert_eq!(
        (&read(&event)["passed"], &read(&event)["failed"]),
        (&json!(12), &json!(3))
    );
    // Nobody's: a log (another reader's business), a document, a directory of such a name.
    write(&project, ".context-foundry/scout-report.md", "x");
    write(&project, ".context-foundry/test-results/shot.png", "x");
    for event in half.settle(dir.path(), 8) {
        assert!(!document(&event).contains("secret"), "{event:?}");
    }
}

#[test]
fn a_count_that_is_none_a_report_without_figures_and_empty_files_are_told_as_such() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(
        dir.path(),
        ".context-foundry/test-iteration-count.txt",
        "many",
    );
    write(dir.path(), ".context-foundry/test-results.txt", "");
    let half = Half::start(state.path(), &[dir.path()]);
    for event in half.expect(2) {
        let told = read(&event);
        assert_eq!(
            (&told["count"], &told["passed"]),
            (&json!(null), &json!(null)),
            "{told}"
        );
        assert_eq!(event.kind, EventKind::Content);
    }
}

#[test]
fn an_equal_mark_that_is_written_again_after_the_build_went_on_is_told_again() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mark = ".context-foundry/builder-logs/task-1.done";
    let half = Half::start(state.path(), &[dir.path()]);
    write(dir.path(), PHASE, r#"{"n":1}"#);
    half.expect(1);
    write(dir.path(), mark, "");
    half.expect(2);
    write(dir.path(), PHASE, r#"{"n":2}"#);
    half.expect(3);
    write(dir.path(), mark, "");
    assert_eq!(half.expect(4)[3].file, mark);
}

#[test]
fn each_session_of_the_older_loop_is_a_build_and_one_named_as_its_project_is_the_projects() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let project = dir.path().join("shop");
    let half = Half::start(state.path(), &[dir.path()]);
    for (n, file) in [
        STATE,
        "checkpoints/ralph/shop_1/progress.json",
        "checkpoints/ralph/shop_2/state.json",
        "checkpoints/ralph/shop/state.json",
    ]
    .iter()
    .enumerate()
    {
        write(&project, file, "{}");
        half.expect(n + 1);
    }
    write(&project, "checkpoints/ralph/shop_1/COMPLETE", "");
    write(&project, PHASE, "{}");
    let events = half.expect(6);
    let token = |file: &str| {
        let event = events.iter().find(|event| event.file == file);
        event.unwrap().project_token
    };
    assert_eq!(
        token(STATE),
        token("checkpoints/ralph/shop_1/progress.json")
    );
    assert_eq!(token(STATE), token("checkpoints/ralph/shop_1/COMPLETE"));
    assert_ne!(token(STATE), token("checkpoints/ralph/shop_2/state.json"));
    assert_ne!(token(STATE), token(PHASE));
    assert_eq!(token("checkpoints/ralph/shop/state.json"), token(PHASE));
}

#[test]
fn logs_of_the_older_loop_are_read_on_and_told_without_their_texts() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let append = |file: &str, line: &Value| {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        writeln!(file.unwrap(), "{line}").unwrap();
    };
    let (session, log) = (
        "logs/ralph_shop_1/session.jsonl",
        "logs/events/shop_1/events.jsonl",
    );
    write(dir.path(), STATE, "{}");
    let call = json!({"prompt":"secret","response":"secret","metadata":{"input_tokens":5,"context_percentage":341}});
    append(session, &call);
    append(
        log,
        &json!({"type":"phase_change","sequence":1,"data":{"phase":"scout"}}),
    );
    let half = Half::start(state.path(), &[dir.path()]);
    half.expect(3);
    append(
        log,
        &json!({"type":"completion","sequence":2,"data":{"success":true}}),
    );
    let newest = |file: &str| {
        half.events()
            .iter()
            .rev()
            .find(|event| event.file == file)
            .map(read)
            .unwrap()
    };
    eventually("the completion", || newest(log)["next"] == 2);
    drop(half);
    append(session, &call);
    let half = Half::start(state.path(), &[dir.path()]);
    let newest = |file: &str| {
        half.events()
            .iter()
            .rev()
            .find(|event| event.file == file)
            .map(read)
            .unwrap()
    };
    eventually("both calls", || newest(session)["tokens"]["input"] == 10);
    assert_eq!(
        (
            &newest(session)["context_percent"],
            &newest(session)["lines"]
        ),
        (&json!(341), &json!(2))
    );
    let tokens: Vec<_> = half
        .events()
        .iter()
        .map(|event| event.project_token)
        .collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "one build");
    for event in half.events() {
        assert!(!document(&event).contains("secret"), "{event:?}");
    }
}
