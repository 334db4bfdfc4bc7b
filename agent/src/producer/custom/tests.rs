//! `[[producer]]` tables: what is taken, and what is refused with which words.

use super::*;
use crate::config::Prune;
use crate::stream_json::Kind;

fn read(text: &str) -> Result<Custom, BadSetting> {
    #[derive(serde::Deserialize)]
    struct File {
        producer: Vec<toml::Table>,
    }
    let file: File = toml::from_str(text).unwrap();
    Custom::read(&file.producer)
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

/// A table with these lines beside a name, a file and a field.
fn with(lines: &str) -> String {
    format!(
        "[[producer]]\nname = 'nightly'\nfile = 'status/build.json'\n{lines}\nfields = {{ phase = '/phase' }}\n"
    )
}

#[test]
fn a_table_becomes_a_source() {
    let text = "[[producer]]
name = 'nightly'
file = 'runs/{id}/state.jsonl'
format = 'jsonl'
states = { working = 'running', 'needs input' = 'waiting', ok = 'completed', broken = 'failed', '*' = 'running' }
ends = ['ok', 'broken']
progress_of = '/total'
volatile = ['/beat', '/meta/at']
facts = { Title = '/title' }
[producer.fields]
status = '/state'
phase = ['/step/name', '/step']
tokens.input = '/usage/in'
";
    let custom = read(text).unwrap();
    let source = &custom.sources()[0];
    assert_eq!(
        (&*source.producer, source.format),
        ("nightly", Format::LastLine)
    );
    assert_eq!(source.pattern.to_string(), "runs/{id}/state.jsonl");
    let mapping = source.mapping.as_ref().unwrap();
    let keys: Vec<&str> = mapping
        .table
        .fields
        .iter()
        .map(|(field, _)| field.key)
        .collect();
    assert_eq!(keys, ["status", "phase", "tokens.input"]);
    assert_eq!(mapping.volatile.len(), 2);
    assert_eq!(mapping.table.facts[0].label, "Title");
    assert!(!mapping.table.words.of("Needs-Input").unwrap().ends);
}

/// Tables that cannot be used, and how the sentence begins that says so.
fn bad_tables() -> Vec<(String, &'static str)> {
    vec![
        (
            with("fromat = 'json'"),
            "[[producer]] \"nightly\" fromat is \"json\", expected no key but name, file, format",
        ),
        (
            with("format = 'xml'"),
            "[[producer]] \"nightly\" format is \"xml\", expected json, jsonl or stream-json",
        ),
        (
            with("progress_of = 0"),
            "[[producer]] \"nightly\" progress_of is 0, expected a whole number such as 100",
        ),
        (
            with("progress_of = 'total'"),
            "[[producer]] \"nightly\" progress_of is \"total\", expected a whole number",
        ),
        (
            with("volatile = ['beat']"),
            "[[producer]] \"nightly\" volatile is \"beat\", expected a JSON Pointer such as /step/name (RFC 6901)",
        ),
        (
            with("volatile = 'beat'"),
            "[[producer]] \"nightly\" volatile is \"beat\", expected a list of at most 128 texts",
        ),
        (
            with("states = { ok = 'fine' }"),
            "[[producer]] \"nightly\" states.\"ok\" is \"fine\", expected one of queued, running",
        ),
        (
            with("states = { ok = 1 }"),
            "[[producer]] \"nightly\" states.\"ok\" is 1, expected one of our states",
        ),
        (
            with("states = { ok = 'running' }\nends = ['ok']"),
            "[[producer]] \"nightly\" ends is \"ok\", expected words that states calls completed",
        ),
        (
            with("facts = { Title = 7 }"),
            "[[producer]] \"nightly\" facts.Title is 7, expected a JSON Pointer such as",
        ),
        (
            "[[producer]]\nfile = 'a.json'".to_owned(),
            "[[producer]] number 1 name is not set, expected a name such as",
        ),
        (
            "[[producer]]\nname = 'a b'".to_owned(),
            "[[producer]] \"a b\" name is \"a b\", expected 1 to 64 letters",
        ),
        (
            "[[producer]]\nname = 'x'".to_owned(),
            "[[producer]] \"x\" file is not set, expected a file's place",
        ),
        (
            "[[producer]]\nname = 'x'\nfile = 'a.json'".to_owned(),
            "[[producer]] \"x\" fields is empty, expected at least one name",
        ),
        (
            "[[producer]]\nname = 'x'\nfile = 'a.json'\nfields = { phaze = '/p' }".to_owned(),
            "[[producer]] \"x\" fields.phaze is \"/p\", expected a name out of project, session_id, status, phase",
        ),
        (
            "[[producer]]\nname = 'x'\nfile = 'a.json'\nfields = { phase = 'p' }".to_owned(),
            "[[producer]] \"x\" fields.phase is \"p\", expected a JSON Pointer",
        ),
        (
            "[[producer]]\nname = 'x'\nfile = 'a.json'\nfields = { phase = [] }".to_owned(),
            "[[producer]] \"x\" fields.phase is [], expected a JSON Pointer",
        ),
    ]
}

#[test]
fn a_bad_table_is_one_sentence_that_names_table_key_value_and_what_was_expected() {
    for (text, sentence) in bad_tables() {
        let said = refused(&text);
        assert!(said.starts_with(sentence), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn a_file_of_claude_code_needs_no_fields() {
    let text = "[[producer]]\nname = 'mine'\nfile = 'out/{id}.jsonl'\nformat = 'stream-json'\n";
    let custom = read(text).unwrap();
    assert_eq!(custom.sources()[0].format, Format::Lines(Kind::StreamJson));
    let said = refused(&format!("{text}ends = ['ok']\n"));
    assert!(
        said.contains("the lines of stream-json are known"),
        "{said}"
    );
}

#[test]
fn a_name_and_a_place_belong_to_one_producer() {
    for known in [
        "adw",
        "context-foundry",
        "claude-code",
        "openbuilder",
        "http",
    ] {
        let said = refused(&with("").replace("nightly", known));
        assert!(said.contains("known without a table"), "{said}");
    }
    let twice = refused(&(with("") + &with("")));
    assert!(
        twice.ends_with("name is \"nightly\", expected a name that no other table has"),
        "{twice}"
    );
    let same_place = refused(&(with("") + &with("").replace("nightly", "weekly")));
    assert!(
        same_place.ends_with("expected another place than that of nightly"),
        "{same_place}"
    );
    let known_place = refused(&with("").replace("status/build.json", "agents/{id}/adw_state.json"));
    assert!(
        known_place.ends_with("expected another place than that of adw"),
        "{known_place}"
    );
}

#[test]
fn a_file_has_a_place_relative_to_its_project() {
    for bad in [
        "/abs/x.json",
        "../x.json",
        "",
        "a/**/b.json",
        "run-?.json",
        "{id}*.json",
    ] {
        let said = refused(&with("").replace("status/build.json", bad));
        assert!(
            said.contains("expected a file's place relative to its project"),
            "{said}"
        );
    }
}

#[test]
fn a_place_that_is_never_walked_is_refused() {
    let custom = |file: &str| read(&with("").replace("status/build.json", file)).unwrap();
    let prune = Prune::default();
    for (file, left_out) in [
        ("target/x.json", "target"),
        ("a/node_modules/x.json", "a/node_modules"),
    ] {
        let said = custom(file).check_walked(&prune).unwrap_err().to_string();
        assert!(
            said.ends_with(&format!("prune leaves out {left_out}")),
            "{said}"
        );
    }
    for file in [
        "status/x.json",
        ".nightly/x.json",
        ".cache/x.json",
        "*/x.json",
    ] {
        custom(file).check_walked(&prune).unwrap();
    }
}
