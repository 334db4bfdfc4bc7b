//! What is remembered of sessions, and when it is asked again.

use serde_json::json;

use super::*;
use crate::fold::TimerKind;
use crate::writer::batch::{self, Plan};
use crate::writer::tracks::TrackCache;

fn draft(seq: u64, session: Option<&str>, status: &str) -> Draft {
    let document =
        json!({"session_id":"web","current_phase":"Builder","phase_number":"3/7","status":status});
    let mut payload = json!({
        "v": 1, "agent": "0000000000000007", "boot": "01930000-0000-7000-8000-000000000001", "seq": seq,
        "host": "h", "producer": "context-foundry", "project_token": "00000000000000aa",
        "project": "web", "root": "src", "path": "web", "file": ".context-foundry/current-phase.json",
        "kind": "content", "size": 9, "document": document,
        "changed_at": "2026-11-20T10:00:00.000Z", "observed_at": "2026-11-20T10:00:00.000Z",
        "hash": protocol::ContentHash::of(document.to_string().as_bytes()),
    });
    if let Some(session) = session {
        payload["session"] = json!(session);
        payload["project_token"] = json!("00000000000000bb");
        payload["root"] = json!("http");
    }
    let event = Event::decode(payload.to_string().as_bytes()).unwrap();
    let subject = protocol::subject::event(&event);
    Draft::decode(&subject, payload.to_string().as_bytes(), None, 0).unwrap()
}

/// Plans the drafts, lets `look` see the plan, and keeps the tracks as after a commit.
fn settle(drafts: &[Draft], cache: &mut TrackCache, look: impl FnOnce(&Plan<'_>)) {
    let missing = cache.missing(drafts.iter().map(|draft| &draft.key));
    cache.fill(missing, BTreeMap::new());
    let open = |_: &str, _: &str| None::<TimerKind>;
    let plan = batch::plan(drafts, cache, &open, clock()).unwrap();
    look(&plan);
    for (key, track) in plan.tracks {
        cache.keep(key.clone(), track, 0);
    }
}

fn web() -> Session {
    Session {
        host: "h".into(),
        producer: "context-foundry".into(),
        name: "web".into(),
    }
}

#[test]
fn a_session_is_asked_for_again_only_when_a_build_with_it_begins_or_ends() {
    let (mut sessions, mut cache) = (Sessions::default(), TrackCache::default());
    let mut asks_after = |draft: Draft| {
        sessions.places.insert(web(), None);
        settle(&[draft], &mut cache, |plan| {
            assert_eq!(plan.changes.len(), 1);
            sessions.changed(&plan.changes[0]);
        });
        !sessions.places.contains_key(&web())
    };
    assert!(asks_after(draft(1, None, "building")), "it begins");
    assert!(!asks_after(draft(2, None, "still building")), "it goes on");
    assert!(asks_after(draft(3, None, "failed")), "it ends");
}

#[test]
fn a_build_of_calls_is_found_to_be_that_of_a_file() {
    let (mut sessions, mut cache) = (Sessions::default(), TrackCache::default());
    let call = draft(1, Some("web"), "building");
    settle(&[call], &mut cache, |plan| {
        let (key, track) = plan.tracks.iter().next().unwrap();
        sessions.watch(key, track);
    });
    assert!(sessions.has_builds_of_calls() && sessions.found.is_empty());
    let file = draft(2, None, "building");
    settle(&[file], &mut cache, |plan| {
        let (key, track) = plan.tracks.iter().next().unwrap();
        sessions.watch(key, track);
    });
    let (files, calls) = sessions.found.pop().unwrap();
    assert_eq!(files.project.to_string(), "00000000000000aa");
    assert_eq!(calls.project.to_string(), "00000000000000bb");
}
