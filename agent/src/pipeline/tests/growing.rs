//! A workflow's `raw_output.jsonl`: read on, told as a digest.

use std::io::Write as _;

use serde_json::{Value, json};

use super::*;

const STATE: &str = "agents/3af4a34d/adw_state.json";
const OUTPUT: &str = "agents/3af4a34d/sdlc_planner/raw_output.jsonl";

fn append(project: &Path, text: &str) {
    let path = project.join(OUTPUT);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

fn init(session: &str) -> String {
    let line = json!({"type":"system","subtype":"init","session_id":session,"uuid":format!("u{session}"),
        "model":"claude-sonnet-4-5","cwd":"/secret"});
    format!("{line}\n")
}

fn says(session: &str, message: &str) -> String {
    let line = json!({"type":"assistant","session_id":session,"message":{"id":message,"model":"claude-sonnet-4-5",
        "content":[{"type":"text","text":"secret ".repeat(400)}],"usage":{"input_tokens":1,"output_tokens":2}}});
    format!("{line}\n")
}

fn result(session: &str, cost: &str) -> String {
    format!(
        "{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"session_id\":\"{session}\",\"total_cost_usd\":{cost}}}\n"
    )
}

fn digest(event: &Event) -> Value {
    serde_json::from_str(document(event)).unwrap()
}

/// The newest digest, once it is as it should be.
fn eventually_told(half: &Half, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let newest = || {
        half.events()
            .iter()
            .rev()
            .find(|event| event.file == OUTPUT)
            .map(digest)
    };
    eventually(what, || newest().is_some_and(|digest| is(&digest)));
    newest().unwrap()
}

fn costs(digest: &Value) -> Vec<Option<&str>> {
    let attempts = digest["attempts"].as_array().unwrap();
    attempts
        .iter()
        .map(|attempt| attempt["total_cost_usd"].as_str())
        .collect()
}

#[test]
fn a_result_is_told_when_its_line_is_written() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(dir.path(), STATE, "{}");
    let half = Half::start(state.path(), &[dir.path()]);
    append(dir.path(), &init("s1"));
    let told = eventually_told(&half, "a first line", |_| true);
    assert_eq!(costs(&told), [None]);
    append(dir.path(), &says("s1", "m1"));
    append(dir.path(), &result("s1", "0.24176750000000002"));
    let told = eventually_told(&half, "a result", |digest| costs(digest) != [None]);
    assert_eq!(costs(&told), [Some("0.24176750000000002")]);
    for event in half.events() {
        let text = serde_json::to_string(&event).unwrap();
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn a_file_that_is_cut_off_begins_a_second_attempt() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let half = Half::start(state.path(), &[dir.path()]);
    append(dir.path(), &(init("s1") + &result("s1", "0.5")));
    eventually_told(&half, "the first", |digest| costs(digest) == [Some("0.5")]);
    fs::write(dir.path().join(OUTPUT), "").unwrap();
    append(dir.path(), &init("s2"));
    eventually_told(&half, "the second", |digest| {
        costs(digest) == [Some("0.5"), None]
    });
    append(dir.path(), &result("s2", "0.25"));
    let both = [Some("0.5"), Some("0.25")];
    eventually_told(&half, "both", |digest| costs(digest) == both);
}

#[test]
fn a_restart_reads_nothing_again() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let half = Half::start(state.path(), &[dir.path()]);
    // Longer than the beginning by which the file is known again.
    let filler: String = (0..8).map(|n| says("s1", &format!("m{n}"))).collect();
    let first = init("s1") + &filler + &result("s1", "0.5");
    append(dir.path(), &first);
    eventually_told(&half, "the first", |digest| costs(digest) == [Some("0.5")]);
    let before = half.events().len();
    drop(half);
    // What was read is no JSON any more: whoever reads it again counts bad lines.
    let spoilt = first.len() - result("s1", "0.5").len() - 500;
    let path = dir.path().join(OUTPUT);
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(spoilt as u64)).unwrap();
    file.write_all(&vec![b'\n'; 400]).unwrap();
    append(dir.path(), &(init("s2") + &result("s2", "0.25")));
    let half = Half::start(state.path(), &[dir.path()]);
    let both = [Some("0.5"), Some("0.25")];
    let told = eventually_told(&half, "both", |digest| costs(digest) == both);
    assert_eq!(
        (&told["bad_lines"], &told["lines"]),
        (&json!(0), &json!(12))
    );
    assert_eq!(half.events().len(), before + 1);
}

#[test]
fn unchanged_files_are_told_once_over_restarts() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    append(dir.path(), &(init("s1") + &says("s1", "m1")));
    let half = Half::start(state.path(), &[dir.path()]);
    half.expect(1);
    drop(half);
    let half = Half::start(state.path(), &[dir.path()]);
    assert_eq!(half.settle(dir.path(), 1).len(), 1);
}

#[test]
fn figures_that_merely_move_are_gathered() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let half = Half::start(state.path(), &[dir.path()]);
    append(dir.path(), &init("s1"));
    half.expect(1);
    for n in 0..50 {
        append(dir.path(), &says("s1", &format!("m{n}")));
    }
    let input = |digest: &Value| digest["attempts"][0]["tokens"]["input"].as_u64();
    eventually_told(&half, "all messages", |digest| input(digest) == Some(50));
    assert!(half.events().len() < 20, "{}", half.events().len());
}
