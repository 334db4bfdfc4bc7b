//! The phase-file reader, the event decoder and the subject encoder.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::value::RawValue;

use super::{edited, fuzz};
use crate::json::JsonError;
use crate::{Document, Event, storable, subject};

/// Phase files, and what once failed.
const DOCUMENTS: &[&[u8]] = &[
    br#"{"session_id":"w","current_phase":"Builder","phase_number":"4.5/8","status":"building","test_iteration":1,"phases_completed":["Scout"],"last_updated":"2025-01-14T00:25:00Z"}"#,
    b"\xEF\xBB\xBF{\"a\":[1,-2.5e3,true,null,\"x\\u00e9\\n\"],\"last_updated\":{\"c\":\"\\ud83d\\ude00\"}}",
    br#"{"a":1e400,"b":-0.0,"c":18446744073709551617,"d":0.1e-7,"\u0000":"\ud800"}"#,
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    b"",
    b"null",
];

const JSON_WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u",
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"null",
    b"true",
    b"false",
    b"-",
    b"0",
    b".",
    b"e",
    b"E+",
    b"1e999999",
    b"99999999999999999999",
    b"\xff",
    b"\xc3",
    b"\xEF\xBB\xBF",
    b"\"last_updated\":",
    b" ",
    b"\n",
    b"\0",
];

const EVENTS: &[&[u8]] = &[
    include_bytes!("../../golden/event.v1.json"),
    br#"{"v":1,"agent":"0000000000000007","boot":"01930000-0000-7000-8000-000000000001","seq":7,"host":"h","producer":"context-foundry","project_token":"00000000000000aa","project":"w","root":"src","path":"w","file":".context-foundry/current-phase.json","kind":"unreadable","changed_at":"2026-11-20T10:08:17.042Z","observed_at":"2026-11-20T10:08:17.042Z","size":3,"unreadable":{"reason":"unparsable","message":"m"}}"#,
    br#"{"v":2}"#,
];

const EVENT_WORDS: &[&[u8]] = &[
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"18446744073709551615",
    b"1.5",
    b"\\u0000",
    b"\\ud800",
    b"\"removed\"",
    b"\"content\"",
    b"\"unreadable\"",
    b"\"document\":null",
    b"\"hash\":",
    b",",
    b"9999-12-31T23:59:59Z",
    b"0000-01-01T00:00:00Z",
    b"1e200000",
    b"\"v\":1,",
    b"\"git\":{\"branch\":null},",
];

fn document(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = Document::parse(bytes, &["last_updated"]);
    let plain = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let theirs = serde_json::from_slice::<&RawValue>(plain);
    let document = match ours {
        Ok(document) => document,
        // They read deeper.
        Err(JsonError::TooDeep) => return Ok(()),
        Err(error) => {
            prop_assert!(theirs.is_err(), "we say {error}");
            return Ok(());
        }
    };
    prop_assert!(theirs.is_ok(), "we read it: {}", document.text);
    prop_assert!(serde_json::from_str::<serde_json::Value>(&document.text).is_ok());
    // What an agent sends is never refused later.
    prop_assert_eq!(storable::obstacle(document.text.as_bytes()), None);
    let again = Document::parse(document.text.as_bytes(), &["last_updated"]);
    prop_assert_eq!(again, Ok(document));
    Ok(())
}

fn event(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(event) = Event::decode(bytes) else {
        return Ok(());
    };
    let text = serde_json::to_vec(&event).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let again = Event::decode(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert_eq!(serde_json::to_vec(&again).ok(), Some(text));
    one_subject(&subject::event(&event), 6)
}

/// So many tokens, each of plain characters: nothing to match a wildcard or end a line.
fn one_subject(subject: &str, tokens: usize) -> Result<(), TestCaseError> {
    let plain = |token: &str| {
        !token.is_empty()
            && token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_%".contains(&byte))
    };
    prop_assert_eq!(subject.split('.').count(), tokens, "{}", subject);
    prop_assert!(subject.split('.').all(plain), "{}", subject);
    Ok(())
}

/// The bytes that an encoded name stands for.
fn decoded(text: &str, mark: u8) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let digits = [byte, bytes.clone().next().unwrap_or(0)];
        if byte != mark {
            out.push(byte);
        } else if digits[1] != 0 {
            let hex: Vec<u8> = bytes.by_ref().take(2).collect();
            let hex = String::from_utf8(hex).unwrap_or_default();
            out.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
        }
    }
    out
}

fn names(host: &str, build: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(decoded(&subject::token(host), b'%'), host.as_bytes());
    prop_assert_eq!(decoded(&subject::url_name(host), b'_'), host.as_bytes());
    one_subject(&subject::presence(host), 4)?;
    one_subject(&subject::live_host(host), 5)?;
    one_subject(&subject::live_build(host, build), 5)?;
    // A build id has a host, a token and a run; `-` alone is the host itself.
    let alike = subject::live_build(host, build) == subject::live_host(host);
    prop_assert_eq!(alike, build == "-");
    Ok(())
}

#[test]
fn fuzz_phase_file_reader() {
    fuzz(
        "phase-file reader",
        &edited(DOCUMENTS, JSON_WORDS),
        |input| document(&input.0),
    );
}

#[test]
fn fuzz_event_decoder() {
    fuzz("event decoder", &edited(EVENTS, EVENT_WORDS), |input| {
        event(&input.0)
    });
}

#[test]
fn fuzz_subject_encoder() {
    let odd = prop_oneof![
        Just(".".to_owned()),
        "[.*>%_ -]{1,8}",
        ".{0,40}",
        "\\PC{0,10}",
        any::<String>()
    ];
    fuzz("subject encoder", &(odd.clone(), odd), |(host, build)| {
        names(&host, &build)
    });
}
