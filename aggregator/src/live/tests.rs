//! The live view: order, gaps, joining, resuming, letting go.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::incoming::Incoming;
use super::state::RowSet;
use super::testing::{Leader, hub};
use super::*;

fn text(frame: &OutFrame) -> Value {
    serde_json::from_str(&frame.text).unwrap()
}

fn open() -> Filter {
    Filter::default()
}

#[tokio::test]
async fn frames_are_passed_on_as_they_were_published() {
    let (hub, mut leader) = (hub(64), Leader::default());
    leader.load(&hub);
    let mut joined = hub.join(None, &open()).unwrap();
    let published = leader.set(1, "phase", json!("Scout"));
    leader.deliver(published.clone(), &hub);
    let News::Change(change) = joined.news.recv().await.unwrap() else {
        panic!("a change")
    };
    assert_eq!(change.frame(false).text.as_bytes(), &published[..]);
    let whole = text(&change.frame(true));
    assert_eq!(whole["type"], "build");
    assert_eq!(whole["data"]["detail"], Value::Null);
    assert_eq!(
        hub.build(&Leader::id(1)).unwrap().phase.as_deref(),
        Some("Scout")
    );
}

#[test]
fn a_missing_frame_is_read_from_the_database_and_told_whole() {
    let (hub, mut leader) = (hub(64), Leader::default());
    leader.load(&hub);
    let frame = leader_set(&mut leader, 1, "a");
    leader.deliver(frame, &hub);
    let mut joined = hub.join(None, &open()).unwrap();
    let _lost = leader.set(1, "phase", json!("b"));
    let _lost = leader.end(2);
    let after = leader.set(3, "phase", json!("c"));
    leader.deliver(after, &hub);
    let mut seen = Vec::new();
    while let Ok(News::Change(change)) = joined.news.try_recv() {
        let frame = text(&change.frame(false));
        assert_eq!(frame["source"], "sync");
        seen.push((frame["type"].as_str().unwrap().to_owned(), change.seq));
    }
    let expected = [
        ("build", 2),
        ("build", 3),
        ("build_complete", 4),
        ("build", 5),
    ];
    assert_eq!(seen, expected.map(|(kind, seq)| (kind.to_owned(), seq)));
    assert_eq!(hub.seq(), 5);
}

fn leader_set(leader: &mut Leader, number: usize, phase: &str) -> bytes::Bytes {
    leader.set(number, "phase", json!(phase))
}

#[test]
fn a_reader_who_was_away_gets_what_changed_and_nothing_else() {
    let (hub, mut leader) = (hub(64), Leader::default());
    leader.load(&hub);
    for number in 0..4 {
        let frame = leader_set(&mut leader, number, "a");
        leader.deliver(frame, &hub);
    }
    let since = leader.seq;
    for frame in leader.end(1) {
        leader.deliver(frame, &hub);
    }
    let frame = leader_set(&mut leader, 2, "b");
    leader.deliver(frame, &hub);
    let joined = hub.join(Some(since), &open()).unwrap();
    assert!(joined.resumed);
    let seqs: Vec<_> = joined
        .frames
        .iter()
        .map(|frame| (frame.kind, frame.seq))
        .collect();
    use protocol::FrameType::{Build, BuildComplete};
    assert_eq!(seqs, [(Build, 5), (BuildComplete, 6), (Build, 7)]);
    assert!(
        hub.join(Some(leader.seq), &open())
            .unwrap()
            .frames
            .is_empty()
    );
}

#[test]
fn a_position_that_cannot_be_known_leads_to_a_snapshot() {
    let (hub, mut leader) = (hub(64), Leader::default());
    assert!(hub.join(None, &open()).is_none(), "nothing was loaded yet");
    leader.load(&hub);
    let frame = leader_set(&mut leader, 1, "a");
    leader.deliver(frame, &hub);
    let joined = hub.join(Some(99), &open()).unwrap();
    assert!(!joined.resumed);
    assert_eq!((joined.frames.len(), joined.seq), (1, 1));
    assert_eq!(text(&joined.frames[0])["type"], "snapshot");
}

#[test]
fn more_builds_than_fit_leave_by_age_and_the_snapshot_says_so() {
    let (hub, mut leader) = (hub(64), Leader::default());
    leader.load(&hub);
    for number in 0..=MAX_BUILDS {
        let frame = leader_set(&mut leader, number, "a");
        leader.deliver(frame, &hub);
    }
    let snapshot = text(&hub.join(None, &open()).unwrap().frames[0]);
    assert_eq!(
        snapshot["data"]["builds"].as_array().unwrap().len(),
        MAX_BUILDS
    );
    assert_eq!(snapshot["data"]["truncated"], true);
    assert!(hub.build(&Leader::id(0)).is_none());
    // A reader from before it left may hold it or not: only a snapshot is sure.
    assert!(!hub.join(Some(0), &open()).unwrap().resumed);
    // When it changes it comes back, whole for everybody.
    let mut joined = hub.join(None, &open()).unwrap();
    let frame = leader_set(&mut leader, 0, "b");
    leader.deliver(frame, &hub);
    let News::Change(change) = joined.news.try_recv().unwrap() else {
        panic!("a change")
    };
    assert_eq!(text(&change.frame(false))["type"], "build");
}

#[test]
fn a_build_that_ended_long_ago_is_told_but_not_kept_in_snapshots() {
    let (hub, mut leader) = (hub(64), Leader::default());
    leader.load(&hub);
    let mut joined = hub.join(None, &open()).unwrap();
    let frame = leader.set_ended_in_2020(1);
    leader.deliver(frame, &hub);
    assert!(joined.news.try_recv().is_ok());
    assert!(hub.held().unwrap().builds.is_empty());
    let resumed = hub.join(Some(0), &open()).unwrap();
    assert_eq!(
        resumed.frames.len(),
        1,
        "a reader who was away is told as well"
    );
    // A reader with today's snapshot does not hold it, so that a patch would not help.
    let frame = leader_set(&mut leader, 1, "late");
    leader.deliver(frame, &hub);
    let News::Change(change) = joined.news.try_recv().unwrap() else {
        panic!("a change")
    };
    assert_eq!(text(&change.frame(false))["type"], "build");
}

#[test]
fn what_is_held_is_counted_once_however_often_it_was_read() {
    let (hub, mut leader) = (hub(64), Leader::default());
    for number in 1..=3 {
        leader.set(number, "phase", json!("Scout"));
    }
    leader.host(1, "up");
    let mut rows = leader.rows(0);
    let again = leader.rows(0);
    rows.builds.extend(again.builds);
    rows.hosts.extend(again.hosts);
    assert_eq!(hub.load(rows, 0, false), (3, 1));
}

#[test]
fn filters_narrow_to_a_build_or_a_host() {
    let (hub, mut leader) = (hub(64), Leader::default());
    leader.load(&hub);
    let frame = leader.host(0, "up");
    leader.deliver(frame, &hub);
    let frame = leader.host(1, "up");
    leader.deliver(frame, &hub);
    for number in 0..4 {
        let frame = leader_set(&mut leader, number, "a");
        leader.deliver(frame, &hub);
    }
    let counts = |filter: Filter| {
        let snapshot = text(&hub.join(None, &filter).unwrap().frames[0]);
        ["builds", "hosts"].map(|key| snapshot["data"][key].as_array().unwrap().len())
    };
    assert_eq!(counts(open()), [4, 2]);
    assert_eq!(
        counts(Filter {
            build: Some(Leader::id(3)),
            host: None
        }),
        [1, 1]
    );
    assert_eq!(
        counts(Filter {
            build: None,
            host: Some("h0".to_owned())
        }),
        [2, 1]
    );
    assert_eq!(
        counts(Filter {
            build: Some(Leader::id(3)),
            host: Some("h0".to_owned())
        }),
        [0, 0]
    );
}

#[test]
fn readers_who_come_together_share_one_snapshot() {
    let (hub, mut leader) = (hub(64), Leader::default());
    leader.load(&hub);
    let frame = leader_set(&mut leader, 1, "a");
    leader.deliver(frame, &hub);
    for _ in 0..100 {
        hub.join(None, &open()).unwrap();
    }
    let frame = leader_set(&mut leader, 1, "b");
    leader.deliver(frame, &hub);
    let joined = hub.join(None, &open()).unwrap();
    assert_eq!(
        joined.seq, 2,
        "what came after the shared snapshot is sent with it"
    );
    assert!(hub.metrics().live.snapshots_encoded.get() <= 2);
}

#[test]
fn a_restored_database_is_noticed() {
    let (hub, mut leader) = (hub(64), Leader::default());
    leader.load(&hub);
    let frame = leader_set(&mut leader, 1, "a");
    leader.deliver(frame, &hub);
    let mut joined = hub.join(None, &open()).unwrap();
    assert!(!hub.catch_up(state::RowSet::default()));
    Leader::default().load(&hub);
    assert!(matches!(joined.news.try_recv(), Ok(News::Reset)));
    assert_eq!(hub.seq(), 0);
}

fn changes(
    hub: &Hub,
    leader: &mut Leader,
    frames: Vec<bytes::Bytes>,
) -> Vec<std::sync::Arc<change::Change>> {
    let mut joined = hub.join(None, &open()).unwrap();
    for frame in frames {
        leader.deliver(frame, hub);
    }
    let mut changes = Vec::new();
    while let Ok(News::Change(change)) = joined.news.try_recv() {
        changes.push(change);
    }
    changes
}

#[test]
fn beyond_fifty_a_second_the_newest_of_each_build_is_gathered() {
    let (hub, mut leader) = (hub(1024), Leader::default());
    leader.load(&hub);
    let frames = (0..200)
        .map(|turn| leader.set(turn % 2, "detail", json!(turn.to_string())))
        .collect();
    let changes = changes(&hub, &mut leader, frames);
    let now = Instant::now();
    let mut conflator = Conflator::new(false, now);
    let mut out = Vec::new();
    for change in &changes {
        conflator.offer(std::sync::Arc::clone(change), now, &mut out);
    }
    assert_eq!(out.len(), 50);
    let waited = conflator.due().unwrap() - now;
    assert_eq!(waited, std::time::Duration::from_millis(200));
    // Later there would be room for more, but nothing overtakes what waits.
    let again = std::sync::Arc::clone(&changes[199]);
    conflator.offer(again, now + waited, &mut out);
    assert_eq!(out.len(), 50);
    conflator.flush(&mut out);
    let gathered: Vec<_> = out[50..]
        .iter()
        .map(|frame| (frame.kind, frame.seq))
        .collect();
    assert_eq!(
        gathered,
        [
            (protocol::FrameType::Build, 199),
            (protocol::FrameType::Build, 200)
        ]
    );
    assert_eq!(conflator.take_replaced(), 149);
}

#[test]
fn failures_completions_and_todos_never_wait() {
    let (hub, mut leader) = (hub(1024), Leader::default());
    leader.load(&hub);
    let mut frames: Vec<_> = (0..60)
        .map(|turn| leader.set(turn, "detail", json!(turn.to_string())))
        .collect();
    frames.push(leader.set(61, "todos", json!([1])));
    let changes = changes(&hub, &mut leader, frames);
    let now = Instant::now();
    let mut conflator = Conflator::new(false, now);
    let mut out = Vec::new();
    for change in changes {
        conflator.offer(change, now, &mut out);
    }
    assert!(!conflator.is_pending());
    let seqs: Vec<_> = out.iter().map(|frame| frame.seq).collect();
    assert_eq!(seqs, (1..=61).collect::<Vec<_>>(), "and nothing overtakes");
}

#[test]
fn a_reader_who_asked_for_less_gets_each_build_less_often() {
    let (hub, mut leader) = (hub(1024), Leader::default());
    leader.load(&hub);
    let frames = (0..10)
        .map(|turn| leader.set(1, "detail", json!(turn.to_string())))
        .collect();
    let changes = changes(&hub, &mut leader, frames);
    let now = Instant::now();
    let mut conflator = Conflator::new(false, now);
    conflator.set_rate(0.5);
    let mut out = Vec::new();
    for change in changes {
        conflator.offer(change, now, &mut out);
    }
    assert_eq!(out.len(), 1);
    assert_eq!(
        conflator.due().unwrap() - now,
        std::time::Duration::from_secs(2)
    );
}

#[tokio::test]
async fn a_reader_that_is_ahead_is_not_shown_what_was_before() {
    let (hub, mut leader) = (hub(16), Leader::default());
    let first = leader_set(&mut leader, 1, "Scout");
    let second = leader_set(&mut leader, 1, "Architect");
    hub.load(RowSet::default(), 0, false);
    hub.take(Incoming::read(first).unwrap());
    let mut wanted = hub.ahead.wanted();
    let reader = async {
        hub.reach(2).await;
        hub.join(Some(2), &open()).unwrap()
    };
    let follower = async {
        wanted.changed().await.unwrap();
        assert_eq!(*wanted.borrow(), 2, "Postgres is to be read");
        hub.take(Incoming::read(second).unwrap());
    };
    let (joined, ()) = tokio::join!(reader, follower);
    assert!(joined.resumed && joined.frames.is_empty(), "{joined:?}");
    // What nobody can have seen is not waited for.
    hub.reach(u64::MAX).await;
}
