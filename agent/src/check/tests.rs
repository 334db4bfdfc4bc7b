//! What `check` says of files of each kind, and its exit codes.

use std::fs;

use super::*;

const TABLE: &str = "[[producer]]
name = 'nightly'
file = 'status/build.json'
states = { working = 'running', ok = 'completed', 'done with phase' = 'completed' }
ends = ['ok']
progress_of = 100
[producer.fields]
status = '/state'
phase = '/step/name'
progress = '/percent'
cost_usd = '/usd'
[producer.facts]
Title = '/title'
[[producer]]
name = 'lines'
file = 'runs/{id}.jsonl'
format = 'jsonl'
fields = { phase = '/phase' }
";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn check(&self, file: &str, text: &str) -> Report {
        let path = self.dir.path().join("shop").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        check(&path, &self.setting()).unwrap()
    }

    fn setting(&self) -> Setting {
        let file: toml::Table = toml::from_str(TABLE).unwrap();
        let tables = file["producer"].as_array().unwrap().iter();
        let tables: Vec<toml::Table> = tables
            .map(|table| table.as_table().unwrap().clone())
            .collect();
        Setting {
            host: "h".into(),
            watch: Some(vec![self.dir.path().to_owned()]),
            prune: Prune::default(),
            producers: Custom::read(&tables).unwrap(),
            transcripts: vec![format!("{}/notes/**/*.jsonl", self.dir.path().display())],
            logs: vec![LogPattern {
                pattern: "logs/*.txt".to_owned(),
                producer: None,
            }],
            texts: Texts::Logs,
        }
    }
}

const GOOD: &str = r#"{"state":"working","step":{"name":"Test"},"percent":40,"usd":"1.25","title":"Nightly","extra":1}"#;

#[test]
fn a_good_file_is_explained_without_a_warning() {
    let place = Place::new();
    let report = place.check("status/build.json", GOOD);
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(report.producer.as_deref(), Some("nightly"));
    let project = place.dir.path().join("shop");
    assert_eq!(report.project, Some(project.display().to_string()));
    let token = protocol::ProjectToken::of_id("nightly", &project.display().to_string());
    assert_eq!(report.build, Some(format!("h-{token}-N")));
    assert_eq!(report.state.as_deref(), Some("running"));
    assert_eq!(
        report.reason.as_deref(),
        Some("the status \"working\" means running")
    );
    let fields: Vec<(&str, String)> = report
        .fields
        .iter()
        .map(|line| (line.name.as_str(), line.value.to_string()))
        .collect();
    assert_eq!(
        fields,
        [
            ("status", "\"working\"".to_owned()),
            ("phase", "\"Test\"".to_owned()),
            ("progress", "0.4".to_owned()),
            ("cost_usd", "\"1.25\"".to_owned()),
            ("Title", "\"Nightly\"".to_owned()),
        ]
    );
    assert_eq!(report.kept, ["extra"]);
    assert!(report.text().contains("nothing to warn about"));
}

#[test]
fn a_word_says_whether_it_ends_the_build() {
    let place = Place::new();
    let judge = |word: &str| {
        let report = place.check("status/build.json", &GOOD.replace("working", word));
        (report.state.unwrap(), report.ends.unwrap())
    };
    assert_eq!(judge("OK"), ("completed".to_owned(), true));
    assert_eq!(judge("done with phase"), ("running".to_owned(), false));
    assert_eq!(
        judge("failed"),
        ("running".to_owned(), false),
        "only ok ends one"
    );
}

#[test]
fn a_drifted_file_is_warned_about() {
    let place = Place::new();
    let drifted = r#"{"state":"linting","stage":"Test","percent":250,"usd":"cheap","title":"x"}"#;
    let report = place.check("status/build.json", drifted);
    let warnings = report.warnings.join("\n");
    for expected in [
        "phase: nothing stands at /step/name",
        "progress: 250 stands there, expected a number from 0 to the whole",
        "cost_usd: \"cheap\" stands there, expected an amount of US dollars",
        "status: nobody said what \"linting\" means",
    ] {
        assert!(warnings.contains(expected), "{warnings}");
    }
    assert_eq!(report.warnings.len(), 4, "{warnings}");
    assert_eq!(report.state.as_deref(), Some("unknown"));
    assert_eq!(report.kept, ["stage"]);
}

#[test]
fn a_value_that_is_refused_is_shown_as_it_stands_in_the_file() {
    let place = Place::new();
    for (stands, shown) in [
        ("\"lots\"", "\"lots\""),
        ("140", "140"),
        ("-1", "-1"),
        ("[]", "[]"),
    ] {
        let text = GOOD.replace("\"percent\":40", &format!("\"percent\":{stands}"));
        let report = place.check("status/build.json", &text);
        let expected =
            format!("progress: {shown} stands there, expected a number from 0 to the whole");
        assert_eq!(report.warnings, [expected]);
    }
}

#[test]
fn what_is_said_at_times_only_is_no_drift() {
    let place = Place::new();
    let null = GOOD.replace("\"1.25\"", "null");
    assert_eq!(place.check("status/build.json", &null).warnings, [""; 0]);
}

#[test]
fn a_broken_file_and_a_file_of_nobody_are_warned_about() {
    let place = Place::new();
    let warnings = |file: &str, text: &str| place.check(file, text).warnings.join("\n");
    assert!(
        warnings("status/build.json", "{\"state\":")
            .contains("cannot be read as JSON: the text ends")
    );
    assert!(warnings("status/build.json", "7").contains("neither an object nor a list"));
    assert!(warnings("other.json", GOOD).contains("it is no producer's file"));
    let outside = Place::new();
    let path = outside.dir.path().join("status/build.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, GOOD).unwrap();
    let report = check(&path, &place.setting()).unwrap();
    assert!(report.warnings[0].starts_with("it is not beneath a watched directory"));
    assert!(check(Path::new("/no/such/file"), &place.setting()).is_err());
    let pruned = place
        .check("node_modules/x/status/build.json", GOOD)
        .warnings
        .join("\n");
    assert!(pruned.contains("PHASELINE_PRUNE leaves it out"), "{pruned}");
}

#[test]
fn of_json_lines_the_last_whole_one_is_explained() {
    let place = Place::new();
    let report = place.check(
        "runs/7.jsonl",
        "{\"phase\":\"a\"}\n{\"phase\":\"b\"}\n{\"phase\":",
    );
    assert_eq!(report.fields[0].value, "b");
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let report = place.check("runs/7.jsonl", "{\"phase\":\"a\"}\nwarning: x\n");
    assert_eq!(report.fields[0].value, "a");
    assert_eq!(
        report.warnings,
        ["the last 1 whole lines are no JSON and are passed over"]
    );
    let empty = place.check("runs/7.jsonl", "");
    assert_eq!(
        empty.reason.as_deref(),
        Some("it says nothing yet: no whole line")
    );
}

#[test]
fn files_of_known_producers_are_explained_too() {
    let place = Place::new();
    let phase = r#"{"session_id":"shop","current_phase":"Test","phase_number":"4/7","status":"self-healing"}"#;
    let report = place.check(".context-foundry/current-phase.json", phase);
    assert_eq!(
        (report.producer.as_deref(), report.state.as_deref()),
        (Some("context-foundry"), Some("running"))
    );
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert!(
        report
            .reason
            .unwrap()
            .contains("a build ends with its summary")
    );
    let nameless = phase.replace(r#""session_id":"shop","#, "");
    assert!(!nameless.contains("session_id"));
    let report = place.check(".context-foundry/current-phase.json", &nameless);
    assert_eq!(report.warnings, [""; 0], "a session may be missing");
    let drifted = place.check(
        ".context-foundry/current-phase.json",
        &phase.replace("current_phase", "stage"),
    );
    assert_eq!(
        drifted.warnings,
        ["phase: nothing stands at /current_phase, where it always did"]
    );
    let adw =
        r#"{"adw_id":"3af4a34d","issue_number":"83","model_set":"base","status":null,"new_key":1}"#;
    let report = place.check("agents/3af4a34d/adw_state.json", adw);
    assert_eq!(report.state, None, "other files say it");
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert_eq!(report.kept, ["new_key", "status"].map(str::to_owned)[..1]);
    let line = r#"{"type":"result","subtype":"success","session_id":"s","total_cost_usd":0.5}"#;
    let report = place.check("agents/3af4a34d/ops/raw_output.jsonl", &format!("{line}\n"));
    assert_eq!(
        report.digest.unwrap()["attempts"][0]["total_cost_usd"],
        "0.5"
    );
    let log = r#"{"event_id":"e","phase_name":"Plan","phase_number":1,"phase_status":"started"}"#;
    let report = place.check(
        "logs/structured/workflow_3af4a34d.jsonl",
        &format!("{log}\nx\n"),
    );
    assert_eq!(report.digest.unwrap()["phases"][0]["phase_name"], "Plan");
    assert_eq!(report.warnings, ["1 lines are no JSON, and are left out"]);
}

#[test]
fn logs_and_transcripts_are_explained_as_the_agent_reads_them() {
    let place = Place::new();
    place.check("agents/3af4a34d/adw_state.json", "{}");
    for (file, producer, is_told) in [
        (
            ".context-foundry/builder-logs/task-1.log",
            Some("context-foundry"),
            false,
        ),
        ("logs/run.txt", None, false),
        (
            "agents/3af4a34d/adw_plan_iso/execution.log",
            Some("adw"),
            true,
        ),
    ] {
        let report = place.check(file, "a line\n");
        assert_eq!(report.warnings, [""; 0], "{file}");
        assert_eq!(report.producer.as_deref(), producer, "{file}");
        assert!(report.log, "{file}");
        assert_eq!(report.build.is_some(), producer.is_some(), "{file}");
        assert_eq!(report.digest.is_some(), is_told, "{file}");
        let text = report.text();
        assert!(text.contains("its lines become the log of the"), "{text}");
        let quiet = Setting {
            texts: Texts::None,
            ..place.setting()
        };
        let quiet = check(&place.dir.path().join("shop").join(file), &quiet).unwrap();
        assert!(!quiet.log, "{file}");
        let stays = quiet.warnings.join("").contains("stay on the host");
        assert_eq!(stays, !is_told, "{file}: {:?}", quiet.warnings);
    }
    let transcript = place.dir.path().join("notes/-w/s1.jsonl");
    fs::create_dir_all(transcript.parent().unwrap()).unwrap();
    let line = r#"{"type":"assistant","sessionId":"s1","message":{"id":"m","content":[],"usage":{"input_tokens":7}}}"#;
    fs::write(&transcript, format!("{line}\n")).unwrap();
    let report = check(&transcript, &place.setting()).unwrap();
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(
        (report.producer.as_deref(), report.format),
        (Some("claude-code"), Some("transcript"))
    );
    let digest = report.digest.unwrap();
    assert_eq!(digest["attempts"][0]["tokens"]["input"], 7);
    assert_eq!(digest["transcript"], true);
}

#[test]
fn what_is_shown_beside_the_table_is_not_called_raw() {
    let place = Place::new();
    let adw = r#"{"adw_id":"3af4a34d","external_test_results":{"passed":3},"new_key":1}"#;
    let report = place.check("agents/3af4a34d/adw_state.json", adw);
    assert_eq!(report.kept, ["new_key"]);
    let tests = report
        .fields
        .iter()
        .find(|line| line.name == "tests")
        .unwrap();
    assert_eq!(tests.value["passed"], 3);
}

#[test]
fn hostile_values_do_not_reach_the_terminal() {
    let place = Place::new();
    let report = place.check(
        "status/build.json",
        &GOOD
            .replace("Test", "\\u001b[31m\\u202e")
            .replace("extra", "a\\nb"),
    );
    let text = report.text();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202E}') && !text.contains("a\nb"));
    serde_json::from_str::<Value>(&report.json()).unwrap();
}

mod summaries;
