//! Tables that turn a producer's fields into ours.

use serde_json::json;

use super::*;

fn table(fields: &[(&str, &str)], progress_of: Whole) -> Table {
    let fields = fields
        .iter()
        .map(|(key, place)| (field(key).unwrap(), vec![place.parse().unwrap()]));
    Table {
        fields: fields.collect(),
        facts: vec![FactRow {
            key: "title".into(),
            label: "Title".into(),
            places: vec!["/meta/title".parse().unwrap()],
            shown: Shown::Words,
        }],
        words: Words::new([("working", "running"), ("ok", "completed")], None).unwrap(),
        progress_of,
    }
}

const FIELDS: [(&str, &str); 5] = [
    ("status", "/state"),
    ("phase", "/steps/0/name"),
    ("tokens.input", "/usage/in"),
    ("cost_usd", "/usd"),
    ("progress", "/percent"),
];

#[test]
fn members_of_a_document_become_members_of_a_build() {
    let document = json!({"state":"OK","steps":[{"name":"Test"}],"usage":{"in":7},
        "usd":"$1.25","percent":"40 %","meta":{"title":"Nightly"}});
    let mapped = table(&FIELDS, Whole::Number(100)).apply(&document);
    assert_eq!(
        Value::Object(mapped.told),
        json!({"status":"OK","state":"completed","ends":true,"phase":"Test","tokens":{"input":7},
            "cost_usd":"$1.25","progress":0.4,
            "facts":[{"key":"title","label":"Title","value":"Nightly","money":false}]})
    );
    assert!(mapped.missing.is_empty() && mapped.odd.is_empty() && mapped.unknown_word.is_none());
}

#[test]
fn what_is_not_there_and_what_does_not_fit_is_named() {
    let document = json!({"state":"linting","usage":{"in":-1},"usd":"cheap","percent":250});
    let mapped = table(&FIELDS, Whole::Number(100)).apply(&document);
    let missing: Vec<&str> = mapped
        .missing
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(missing, ["phase", "Title"]);
    let odd: Vec<&str> = mapped.odd.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(odd, ["tokens.input", "cost_usd", "progress"]);
    let shown: Vec<&str> = mapped
        .odd
        .iter()
        .map(|(_, shown, _)| shown.as_str())
        .collect();
    assert_eq!(shown, ["-1", "\"cheap\"", "250"], "as it is written");
    assert_eq!(mapped.unknown_word.as_deref(), Some("linting"));
    assert_eq!(mapped.told["state"], "unknown");
}

#[test]
fn progress_may_be_counted_of_what_the_document_says() {
    let place = Whole::At("/total".parse().unwrap());
    let table = table(&[("progress", "/done")], place);
    assert_eq!(
        table.apply(&json!({"done":3,"total":12})).told["progress"],
        0.25
    );
    for no_whole in [
        json!({"done":3}),
        json!({"done":3,"total":0}),
        json!({"done":[],"total":1}),
    ] {
        assert_eq!(
            table.apply(&no_whole).told["progress"],
            Value::Null,
            "{no_whole}"
        );
    }
}

#[test]
fn a_value_of_any_size_is_bounded() {
    let long = "ä".repeat(10_000);
    let many: Vec<u64> = (0..10_000).collect();
    let mapped = table(&FIELDS, Whole::Number(1))
        .apply(&json!({"state": long, "usd": many, "meta": {"title": many}}));
    assert_eq!(
        mapped.told["status"].as_str().unwrap().chars().count(),
        4097
    );
    assert!(!mapped.told.contains_key("cost_usd") && !mapped.told.contains_key("facts"));
    assert!(
        mapped
            .odd
            .iter()
            .any(|(name, value, _)| name == "Title" && value.contains("16384"))
    );
}

#[test]
fn a_document_travels_with_what_was_mapped_of_it() {
    let mapping = Mapping {
        table: table(&FIELDS, Whole::Number(100)),
        volatile: vec!["/beat".parse().unwrap(), "/meta/at".parse().unwrap()],
        print: ContentHash::of(b"1"),
    };
    let read = |text: &str| mapping.document(text.as_bytes()).unwrap();
    let first = read(r#"{"state":"working","n":18446744073709551617,"beat":1,"meta":{"at":1}}"#);
    let again = read(r#"{"state":"working","n":18446744073709551617,"beat":2,"meta":{"at":2}}"#);
    let other = read(r#"{"state":"ok","n":18446744073709551617,"beat":2,"meta":{"at":2}}"#);
    assert_eq!(first.hash, again.hash);
    assert_ne!(first.hash, other.hash);
    assert!(first.text.contains("18446744073709551617"));
    let envelope: Map<String, Value> = serde_json::from_str(&first.text).unwrap();
    let parts = parts(&envelope).unwrap();
    assert_eq!(parts.told["state"], "running");
    assert_eq!(parts.document["beat"], 1);
    let changed = Mapping {
        print: ContentHash::of(b"2"),
        ..mapping.clone()
    };
    let remapped = changed.document(br#"{"state":"ok"}"#).unwrap();
    assert_ne!(
        remapped.hash,
        mapping.document(br#"{"state":"ok"}"#).unwrap().hash
    );
}

#[test]
fn another_document_is_not_taken_for_one() {
    for other in [
        json!({"digest":"mapped","v":2,"mapped":{},"document":{}}),
        json!({"digest":"stream-json","v":1,"mapped":{},"document":{}}),
        json!({"digest":"mapped","v":1,"mapped":[],"document":{}}),
    ] {
        assert!(parts(other.as_object().unwrap()).is_none(), "{other}");
    }
}

/// Documents that the table fits, and what readers stumble over.
const SEEDS: &[&[u8]] = &[
    br#"{"state":"working","steps":[{"name":"Test"}],"usage":{"in":7},"usd":"$1.25","percent":"40 %","meta":{"title":"x","at":1},"beat":1}"#,
    br#"[{"state":1e400,"percent":18446744073709551617,"\u0000":"\ud800"}]"#,
    b"7",
];
const EDITS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"",
    b"\\u0000",
    b"\\ud83d",
    b"null",
    b"true",
    b"-1e999",
    b"\"state\":",
    b"\"percent\":",
    b"\"usd\":",
    b"0",
    b" %",
    b"\xff",
];

#[test]
fn fuzz_any_bytes_give_a_document_that_can_be_stored_or_a_reason() {
    let mapping = Mapping {
        table: table(&FIELDS, Whole::At("/usage/in".parse().unwrap())),
        volatile: vec!["/beat".parse().unwrap(), "/steps/0".parse().unwrap()],
        print: ContentHash::of(b"1"),
    };
    let edited = crate::fuzz::edited(SEEDS, EDITS);
    crate::fuzz::fuzz("a mapped document", &edited, |input| {
        let Ok(document) = mapping.document(&input.0) else {
            return Ok(());
        };
        let whole = serde_json::from_str::<Map<String, Value>>(&document.text);
        proptest::prop_assert!(
            whole.is_ok_and(|whole| parts(&whole).is_some()),
            "{}",
            document.text
        );
        proptest::prop_assert_eq!(crate::storable::obstacle(document.text.as_bytes()), None);
        Ok(())
    });
}
