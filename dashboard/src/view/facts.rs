//! The facts of a build: label and text, unknown ones as a dash.

use protocol::build::{Context, Tokens};
use protocol::{Build, Timestamp};
use serde_json::{Map, Value};

use super::row;
use crate::{format, text};

/// A fact. `key` is what the script fills it by.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) text: String,
    /// Set in the typeface of code.
    pub(crate) mono: bool,
    /// Left out while unknown: most producers never tell it.
    pub(crate) hidden: bool,
}

/// Characters of a commit's hash that are shown.
const COMMIT_CHARS: usize = 12;

/// How a fact is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Mono,
    Optional,
}

/// Key, label and style, in the order shown.
const TABLE: [(&str, &str, Style); 16] = [
    ("phase", "Phase", Style::Plain),
    ("detail", "Detail", Style::Plain),
    ("status", "Status word", Style::Plain),
    ("iteration", "Test runs", Style::Plain),
    ("progress", "Progress", Style::Plain),
    ("session", "Session", Style::Plain),
    ("producer", "Producer", Style::Plain),
    ("path", "Directory", Style::Mono),
    ("commit", "Commit", Style::Mono),
    ("issue", "Issue", Style::Optional),
    ("coding_agent", "Agent", Style::Plain),
    ("model", "Model", Style::Plain),
    ("cost", "Cost", Style::Plain),
    ("tokens", "Tokens", Style::Plain),
    ("context", "Context", Style::Optional),
    ("gap", "Unseen states", Style::Optional),
];

/// All facts of a build.
pub(crate) fn facts(build: &Build) -> Vec<Fact> {
    list(|key| text_of(build, key))
}

/// The labels without data, for the script to fill.
pub(crate) fn blank() -> Vec<Fact> {
    list(|_| None)
}

fn list(text_of: impl Fn(&str) -> Option<String>) -> Vec<Fact> {
    TABLE
        .into_iter()
        .map(|(key, label, style)| {
            let text = text_of(key);
            Fact {
                key,
                label,
                mono: style == Style::Mono,
                hidden: style == Style::Optional && text.is_none(),
                text: text.unwrap_or_else(|| format::UNKNOWN.to_owned()),
            }
        })
        .collect()
}

fn text_of(build: &Build, key: &str) -> Option<String> {
    match key {
        "phase" => phase(build),
        "detail" => some(build.detail.as_deref()),
        "status" => some(build.status.as_deref()),
        "iteration" => build.test_iteration.map(|n| n.to_string()),
        "progress" => build.progress.map(percent),
        "session" => some(build.session_id.as_deref()),
        "producer" => some(Some(&build.producer)),
        "path" => Some(directory(build)),
        "commit" => build.commit.as_deref().map(commit),
        "issue" => some(build.issue.as_deref()),
        "coding_agent" => some(build.coding_agent.as_deref()),
        "model" => some(build.model.as_deref()),
        "cost" => build.cost_usd.map(|_| row::cost(build)),
        "tokens" => build.tokens.as_ref().and_then(tokens),
        "context" => build.context.as_ref().and_then(context),
        "gap" => build.gap_at.map(|at| format!("some before {at}")),
        _ => None,
    }
}

fn some(value: Option<&str>) -> Option<String> {
    value.map(|value| text::block(value, text::VALUE_CHARS))
}

fn phase(build: &Build) -> Option<String> {
    let name = some(build.phase.as_deref());
    let number = some(build.phase_number.as_deref()).map(|number| format!("“{number}”"));
    match (name, number) {
        (Some(name), Some(number)) => Some(format!("{name} {number}")),
        (name, number) => name.or(number),
    }
}

/// The beginning of a commit's hash, which names it; anything else as it is.
fn commit(commit: &str) -> String {
    let hash = commit.len() >= 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
    text::line(
        if hash {
            &commit[..COMMIT_CHARS]
        } else {
            commit
        },
        text::NAME_CHARS,
    )
}

fn percent(progress: f64) -> String {
    format!("{:.0} %", progress * 100.0)
}

fn directory(build: &Build) -> String {
    let separator = if build.path.is_empty() { "" } else { "/" };
    let whole = format!("{}{separator}{}", build.root, build.path);
    text::line(&whole, text::TITLE_CHARS)
}

fn tokens(tokens: &Tokens) -> Option<String> {
    let named = [
        (tokens.input, "in"),
        (tokens.cache_read, "cached"),
        (tokens.cache_write, "into the cache"),
        (tokens.output, "out"),
        (tokens.unknown_kind, "of unknown kind"),
    ];
    let known: Vec<String> = named
        .iter()
        .filter_map(|(n, word)| n.map(|n| format!("{} {word}", format::count(n))))
        .collect();
    (!known.is_empty()).then(|| known.join(" · "))
}

fn context(context: &Context) -> Option<String> {
    let used = format::count(context.used?);
    Some(match context.limit {
        Some(limit) => format!("{used} of {}", format::count(limit)),
        None => used,
    })
}

/// A member of an object that some producer wrote.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) text: String,
    /// It belongs to the one above that does not.
    pub(crate) under: bool,
}

/// What the producer's module tells by name, in its order.
pub(crate) fn told(facts: &[protocol::build::Fact]) -> Vec<Member> {
    facts
        .iter()
        .take(text::MAX_MEMBERS)
        .map(|fact| Member {
            name: text::line(&fact.label, text::NAME_CHARS),
            text: text::block(&fact.text, text::VALUE_CHARS),
            under: false,
        })
        .collect()
}

/// The newest calls of tools, as many as are shown.
fn listed(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.take(text::MAX_MEMBERS)
}

/// How many calls of tools are shown.
pub(crate) fn call_count(value: Option<&Value>) -> usize {
    listed(value).count()
}

/// Calls of tools beneath the point of the to-do list that they are for, in the
/// order of their first calls: name, what went in and came out, or how it stands,
/// and how long it took.
pub(crate) fn calls(value: Option<&Value>) -> Vec<Member> {
    let mut groups: Vec<(Option<&str>, Vec<Member>)> = Vec::new();
    for told in listed(value) {
        let group = match told["planning"] == Value::Bool(true) {
            true => Some("(planning)"),
            false => told["todo"].as_str().filter(|todo| !todo.is_empty()),
        };
        let row = call(told, group.is_some());
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((group, vec![row])),
        }
    }
    let rows = groups.into_iter().flat_map(|(group, rows)| {
        let head = group.map(|name| Member {
            name: text::line(name, text::TITLE_CHARS),
            text: match rows.len() {
                1 => "1 call".to_owned(),
                n => format!("{n} calls"),
            },
            under: false,
        });
        head.into_iter().chain(rows)
    });
    rows.collect()
}

fn call(call: &Value, under: bool) -> Member {
    let text = |key: &str| call[key].as_str().filter(|text| !text.is_empty());
    let mark = match call["is_error"] == Value::Bool(true) {
        true => "failed: ",
        false => "→ ",
    };
    let output = text("output").map(|text| format!("{mark}{text}"));
    let state = match text("state") {
        Some("input-available") => Some("under way".to_owned()),
        Some("error") if output.is_none() => Some("failed".to_owned()),
        _ => None,
    };
    let time = |key| text(key).and_then(|text| text.parse::<Timestamp>().ok());
    let took = time("ended_at").zip(time("began_at"));
    let took = took.map(|(ended, began)| ended.millis_since(began));
    let took = took.filter(|took| *took >= 0);
    let took = took.map(|took| format!("took {}", format::precise(took)));
    let parts = [text("input").map(str::to_owned), output, state, took];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Member {
        name: text::line(text("name").unwrap_or(format::UNKNOWN), text::NAME_CHARS),
        text: text::block(&parts.join("\n"), text::VALUE_CHARS),
        under,
    }
}

/// The members of a value as text; a value that is no object is one member without a name.
pub(crate) fn members(value: &Value) -> Vec<Member> {
    match value {
        Value::Object(map) => object(map),
        Value::Null => Vec::new(),
        other => vec![Member {
            name: String::new(),
            text: text::value(other),
            under: false,
        }],
    }
}

/// The members of an object as text.
pub(crate) fn object(map: &Map<String, Value>) -> Vec<Member> {
    map.iter()
        .take(text::MAX_MEMBERS)
        .map(|(name, value)| Member {
            name: text::line(name, text::NAME_CHARS),
            text: text::value(value),
            under: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;
    use serde_json::json;

    #[test]
    fn unknown_facts_are_dashes_and_never_zero() {
        let mut build = samples::build(1, "x");
        build.test_iteration = None;
        build.cost_usd = None;
        build.tokens = Some(Tokens::default());
        let facts = facts(&build);
        for key in ["iteration", "cost", "tokens"] {
            let fact = facts.iter().find(|fact| fact.key == key).unwrap();
            assert_eq!(fact.text, "—", "{key}");
        }
    }

    #[test]
    fn tokens_of_unknown_kind_are_shown_as_such_and_beside_those_that_are_known() {
        let told = |input| {
            tokens(&Tokens {
                input,
                unknown_kind: Some(9_000),
                ..Tokens::default()
            })
        };
        assert_eq!(told(None).as_deref(), Some("9.0 k of unknown kind"));
        assert_eq!(
            told(Some(7)).as_deref(),
            Some("7 in · 9.0 k of unknown kind")
        );
    }

    #[test]
    fn calls_of_tools_stand_beneath_what_they_are_for_and_say_how_they_stand() {
        let list = json!([
            {"name":"Grep","todo":null,"planning":true,"state":"output-available","is_error":false},
            {"name":"Write","todo":"Scaffold","planning":false,"state":"error","is_error":true},
            {"name":"Read","todo":"","input":"a.rs","output":"none","state":"error","is_error":true},
            {"name":"Bash","todo":"Scaffold","state":"input-available","began_at":"2026-01-01T10:00:00Z"},
            {"name":"Edit","todo":"Test","state":"output-available","is_error":false,
                "began_at":"2026-01-01T10:00:00Z","ended_at":"2026-01-01T10:00:03.5Z"},
            {"name":7,"began_at":"soon","ended_at":5}
        ]);
        let told = calls(Some(&list));
        let told: Vec<(&str, &str, bool)> = told
            .iter()
            .map(|call| (call.name.as_str(), call.text.as_str(), call.under))
            .collect();
        let expected = [
            ("(planning)", "1 call", false),
            ("Grep", "", true),
            ("Scaffold", "2 calls", false),
            ("Write", "failed", true),
            ("Bash", "under way", true),
            ("Read", "a.rs\nfailed: none", false),
            ("—", "", false),
            ("Test", "1 call", false),
            ("Edit", "took 3.5 s", true),
        ];
        assert_eq!(told, expected);
        assert_eq!(call_count(Some(&list)), 6);
    }

    #[test]
    fn members_of_any_type_are_text() {
        let found = members(&json!({"a": null, "b": [1], "c": "x\u{0}"}));
        let texts: Vec<&str> = found.iter().map(|m| m.text.as_str()).collect();
        assert_eq!(texts, ["null", "[\n  1\n]", "x\u{fffd}"]);
        assert_eq!(members(&json!(7))[0].text, "7");
        assert!(members(&json!(null)).is_empty());
    }
}
