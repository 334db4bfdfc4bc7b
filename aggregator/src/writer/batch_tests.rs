//! Batches are planned on copies; a plan becomes numbered rows and frames.

use protocol::{Document, FrameType};
use serde_json::json;

use super::*;
use crate::live::Incoming;
use crate::writer::commit::{self, HostChange, Seqs};
use crate::writer::publish;

const HOST: &str = "build-01";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
}

/// The wire form of an event of Context Foundry's phase file.
fn payload(project: &str, seq: u64, document: &Value) -> Value {
    let text = document.to_string();
    let parsed = Document::parse(text.as_bytes(), &["last_updated"]).unwrap();
    json!({
        "v": 1,
        "agent": "0000000000000007",
        "boot": "01930000-0000-7000-8000-000000000001",
        "seq": seq,
        "host": HOST,
        "producer": "context-foundry",
        "project_token": "00000000000000aa",
        "project": project,
        "root": "src",
        "path": project,
        "file": ".context-foundry/current-phase.json",
        "kind": "content",
        "changed_at": at(i64::try_from(seq).unwrap()),
        "observed_at": at(i64::try_from(seq).unwrap()),
        "hash": parsed.hash,
        "size": text.len(),
        "document": document,
    })
}

fn phase(name: &str, number: &str, status: &str) -> Value {
    json!({"session_id": "weather", "current_phase": name, "phase_number": number, "status": status})
}

fn draft(payload: &Value) -> Draft {
    let bytes = payload.to_string();
    Draft::decode(&subject_of(payload), bytes.as_bytes(), Some(at(0)), 0).unwrap()
}

fn subject_of(payload: &Value) -> String {
    subject::event(&Event::decode(payload.to_string().as_bytes()).unwrap())
}

fn cache_for(drafts: &[Draft]) -> TrackCache {
    let mut cache = TrackCache::default();
    let missing = cache.missing(drafts.iter().map(|draft| &draft.key));
    cache.fill(missing, BTreeMap::new());
    cache
}

fn open_host(_: &str, _: &str) -> Option<TimerKind> {
    None
}

/// Plans, and keeps the tracks as after a commit.
fn settle(drafts: &[Draft], cache: &mut TrackCache) -> usize {
    let plan = plan(drafts, cache, &open_host, at(0)).unwrap();
    let changes = plan.changes.len();
    for (key, track) in plan.tracks {
        cache.keep(key.clone(), track, 0);
    }
    changes
}

#[test]
fn what_is_no_event_or_on_a_foreign_subject_is_refused_with_the_reason() {
    let good = payload("w", 1, &phase("Scout", "1/7", "scouting"));
    let subject = subject_of(&good);
    let bytes = good.to_string();
    let refusal = |subject: &str, bytes: &[u8]| Draft::decode(subject, bytes, None, 0).unwrap_err();
    assert_eq!(refusal(&subject, b"{\"v\":1").kind, "undecodable");
    assert_eq!(
        refusal("phaseline.v1.event.a.b.c", bytes.as_bytes()).kind,
        "wrong_subject"
    );
    let mut huge = good;
    huge["seq"] = json!(u64::MAX);
    assert_eq!(
        refusal(&subject, huge.to_string().as_bytes()).kind,
        "undecodable"
    );
}

#[test]
fn the_envelope_keeps_members_of_a_newer_agent_and_not_the_document() {
    let mut newer = payload("w", 1, &phase("Scout", "1/7", "scouting"));
    newer["weather"] = json!({"wind": 18_446_744_073_709_551_615_u64});
    let envelope: Value = serde_json::from_str(&draft(&newer).envelope).unwrap();
    assert_eq!(envelope["weather"], newer["weather"]);
    assert!(envelope.get("document").is_none());
    assert_eq!(envelope["hash"], newer["hash"]);
}

#[test]
fn changes_of_one_build_in_a_batch_become_one_change() {
    let drafts = [
        draft(&payload("w", 1, &phase("Scout", "1/7", "scouting"))),
        draft(&payload("w", 2, &phase("Architect", "2/7", "designing"))),
        draft(&payload("w", 3, &phase("Builder", "3/7", "building"))),
    ];
    let cache = cache_for(&drafts);
    let plan = plan(&drafts, &cache, &open_host, at(0)).unwrap();
    assert_eq!(
        (plan.events.len(), plan.changes.len(), plan.tracks.len()),
        (3, 1, 1)
    );
    assert_eq!(plan.changes[0].build.phase.as_deref(), Some("Builder"));
    assert_eq!(plan.counts.folded, 3);
    // A new build: everything that is known, and nothing that is not.
    assert!(plan.changes[0].patch.contains_key("host"));
    assert!(plan.changes[0].patch.values().all(|value| !value.is_null()));
}

#[test]
fn the_patch_is_against_what_was_committed() {
    let first = [draft(&payload("w", 1, &phase("Scout", "1/7", "scouting")))];
    let mut cache = cache_for(&first);
    assert_eq!(settle(&first, &mut cache), 1);
    let second = [draft(&payload("w", 2, &phase("Scout", "1/7", "reading")))];
    let plan = plan(&second, &cache, &open_host, at(0)).unwrap();
    let patch = &plan.changes[0].patch;
    assert_eq!(patch["status"], json!("reading"));
    assert!(
        !patch.contains_key("host") && !patch.contains_key("phase"),
        "{patch:?}"
    );
}

#[test]
fn a_redelivered_event_changes_nothing_and_is_offered_to_the_unique_key() {
    let first = [draft(&payload("w", 1, &phase("Scout", "1/7", "scouting")))];
    let mut cache = cache_for(&first);
    settle(&first, &mut cache);
    let plan = plan(&first, &cache, &open_host, at(0)).unwrap();
    assert!(plan.changes.is_empty() && plan.alive.is_empty());
    assert!(plan.events.iter().all(|event| event.late));
}

#[test]
fn the_same_content_again_is_only_a_sign_of_life() {
    let first = [draft(&payload("w", 1, &phase("Scout", "1/7", "scouting")))];
    let mut cache = cache_for(&first);
    settle(&first, &mut cache);
    let again = [draft(&payload("w", 9, &phase("Scout", "1/7", "scouting")))];
    let plan = plan(&again, &cache, &open_host, at(0)).unwrap();
    assert!(plan.changes.is_empty() && plan.events.is_empty());
    assert_eq!(plan.counts.repeated, 1);
    assert_eq!(plan.alive.len(), 1);
    assert_eq!(plan.alive[0].1, at(9));
}

#[test]
fn an_event_from_a_host_that_is_gone_leaves_the_build_unknown() {
    let drafts = [draft(&payload("w", 1, &phase("Scout", "1/7", "scouting")))];
    let cache = cache_for(&drafts);
    let gone = |host: &str, _: &str| {
        let reason = "its agent is gone".to_owned();
        (host == HOST).then_some(TimerKind::HostGone { reason })
    };
    let plan = plan(&drafts, &cache, &gone, at(5)).unwrap();
    assert_eq!(plan.changes[0].build.state, BuildState::Unknown);
    let kinds: Vec<_> = plan.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["content", "host_gone"]);
}

#[test]
fn a_track_whose_row_cannot_be_read_names_its_draft() {
    let drafts = [draft(&payload("w", 1, &phase("Scout", "1/7", "scouting")))];
    let mut cache = TrackCache::default();
    let broken = BTreeMap::from([(drafts[0].key.clone(), Err("broken row".to_owned()))]);
    cache.fill(vec![drafts[0].key.clone()], broken);
    let culprit = plan(&drafts, &cache, &open_host, at(0)).unwrap_err();
    assert_eq!((culprit.index, culprit.reason.as_str()), (0, "broken row"));
}

#[test]
fn an_ended_build_gets_a_second_seq_and_a_frame_for_its_end() {
    let running = [draft(&payload("w", 1, &phase("Scout", "1/7", "scouting")))];
    let mut cache = cache_for(&running);
    settle(&running, &mut cache);
    let failed = [draft(&payload("w", 2, &phase("Test", "4/7", "failed")))];
    let plan = plan(&failed, &cache, &open_host, at(0)).unwrap();
    let host = HostChange {
        host: protocol::Host {
            name: HOST.into(),
            state: protocol::HostState::Up,
            state_reason: None,
            agent: None,
            version: None,
            started_at: None,
            last_seen_at: None,
            last_updated: at(0),
            clock_offset_ms: None,
            outbox: None,
            roots: Vec::new(),
            calls: None,
            seq: 0,
        },
        seen: true,
    };
    let hosts = [host];
    let numbers = commit::number(&plan.changes, hosts.len(), 41);
    assert_eq!(
        numbers.builds,
        [Seqs {
            change: 42,
            end: Some(43)
        }]
    );
    assert_eq!((numbers.hosts.as_slice(), numbers.next), (&[44][..], 44));

    let texts = commit::track_texts(&plan).unwrap();
    let rows = commit::rows(&plan, &texts, &hosts, &numbers).unwrap();
    assert_eq!(
        (rows.builds[0].seq, rows.builds[0].completed_seq),
        (42, Some(43))
    );

    let frames = publish::frames(&plan, &hosts, &numbers, at(100));
    // What this replica's own readers get is what all others read.
    for (own, out) in frames.own.iter().zip(&frames.out) {
        let read = Incoming::read(out.payload.clone()).unwrap();
        assert_eq!(format!("{own:?}"), format!("{read:?}"));
    }
    assert_eq!(frames.own.len(), frames.out.len());
    let frames = frames.out;
    let read = |index: usize| -> protocol::Frame<Value> {
        serde_json::from_slice(&frames[index].payload).unwrap()
    };
    assert_eq!(frames.len(), 3);
    let update = read(0);
    assert_eq!(
        (update.kind, update.seq),
        (FrameType::BuildUpdate, Some(42))
    );
    for always in ["id", "seq", "last_updated", "alive_at"] {
        assert!(update.data.get(always).is_some(), "{always}");
    }
    assert_eq!(update.data["last_updated"], json!(at(100)));
    let end = read(1);
    assert_eq!((end.kind, end.seq), (FrameType::BuildComplete, Some(43)));
    assert_eq!(
        (&end.data["state"], &end.data["seq"]),
        (&json!("failed"), &json!(43))
    );
    let host = read(2);
    assert_eq!((host.kind, host.seq), (FrameType::HostUpdate, Some(44)));
    assert_eq!(host.data["last_seen_at"], json!(at(100)));
    assert_eq!(frames[0].subject, frames[1].subject);
    assert_eq!(frames[2].subject, subject::live_host(HOST));
}

#[test]
fn a_finding_that_changes_nothing_is_not_stored() {
    let first = [draft(&payload("w", 1, &phase("Scout", "1/7", "scouting")))];
    let mut cache = cache_for(&first);
    settle(&first, &mut cache);
    let back = [Draft::timer(
        first[0].key.clone(),
        TimerKind::HostBack,
        at(1),
    )];
    let plan = plan(&back, &cache, &open_host, at(1)).unwrap();
    assert!(plan.events.is_empty() && plan.changes.is_empty());
}

#[test]
fn a_message_that_is_twice_in_a_batch_is_one_row_and_one_that_contradicts_goes_along() {
    let first = payload("w", 1, &phase("Scout", "1/7", "scouting"));
    let other = payload("w", 1, &phase("Test", "4/7", "testing"));
    let drafts = [draft(&first), draft(&first), draft(&other)];
    let cache = cache_for(&drafts);
    let plan = plan(&drafts, &cache, &open_host, at(0)).unwrap();
    // Postgres refuses the second of one identity, and halving finds it.
    assert_eq!(plan.events.len(), 2);
    assert_eq!(
        (plan.counts.folded, plan.counts.late, plan.counts.repeated),
        (1, 1, 1)
    );
    assert_eq!(plan.changes[0].build.phase.as_deref(), Some("Scout"));
}
