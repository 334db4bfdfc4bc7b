//! What is queued is written in its order, as a whole or told of.

use super::*;

fn content(outbox: &Outbox, path: &str, text: &str) {
    say(outbox, path, EventKind::Content, text);
}

fn known_files(outbox: &Outbox) -> usize {
    outbox.files().unwrap().len()
}

fn seqs(outbox: &Outbox) -> Vec<u64> {
    waiting(outbox).iter().map(|event| event.seq).collect()
}

#[test]
fn what_is_queued_is_given_out_when_it_is_written_and_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    for file in 0..200 {
        content(&outbox, &format!("/{file}"), "x");
    }
    assert_eq!(
        waiting(&outbox).len(),
        0,
        "nothing is sent that no disk has"
    );
    outbox.write().unwrap();
    assert_eq!(seqs(&outbox), (1..=200).collect::<Vec<_>>());
    outbox.acknowledge(&[1]).unwrap();
    assert_eq!(outbox.status().events, 199);
}

#[test]
fn who_asks_what_is_known_of_files_is_told_of_what_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    content(&outbox, "/a", "x");
    assert_eq!(known_files(&outbox), 1);
    outbox
        .save_grown(Path::new("/a"), "so far".to_owned())
        .unwrap();
    assert_eq!(
        outbox.grown(Path::new("/a")).unwrap().as_deref(),
        Some("so far")
    );
}

#[test]
fn a_call_comes_after_what_was_found_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    content(&outbox, "/a", "x");
    let mut call = event(EventKind::Content, "call");
    outbox.record_call(&mut call).unwrap();
    assert_eq!((call.seq, seqs(&outbox)), (2, vec![1, 2]));
}

#[test]
fn the_queue_is_bounded_and_then_written_by_who_fills_it() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    let long = "x".repeat(1024 * 1024);
    for file in 0..20 {
        content(&outbox, &format!("/{file}"), &long);
    }
    let written = waiting(&outbox).len();
    assert!((8..20).contains(&written), "{written}");
}

#[test]
fn what_was_only_queued_never_happened_and_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    put(&outbox, "/first", EventKind::Content, "x");
    content(&outbox, "/second", "x");
    // As by `kill -9`.
    drop(outbox);
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    assert_eq!(waiting(&outbox).len(), 1);
    assert_eq!(known_files(&outbox), 1, "the second is read again");
}

#[test]
fn while_somebody_else_is_slow_at_the_disk_nobody_who_finds_something_waits() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    // As a disk that answers later.
    let slow = outbox.lock();
    content(&outbox, "/a", "one");
    content(&outbox, "/a", "two");
    drop(slow);
    outbox.write().unwrap();
    assert_eq!(seqs(&outbox), [1, 2]);
}

#[test]
fn what_cannot_be_written_is_told_and_then_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, inbox, .. } = open(dir.path(), OUTBOX);
    put(&outbox, "/first", EventKind::Content, "x");
    rename_table(dir.path(), "file", "elsewhere");
    content(&outbox, "/second", "x");
    assert!(outbox.write().is_err());
    assert!(inbox.take(Flag::Anew), "the watching thread was told");
    let refused = outbox.record(
        event(EventKind::Content, "x"),
        Path::new("/second"),
        &Known::default(),
        None,
    );
    assert!(refused.is_err(), "and is told at once from now on");
    rename_table(dir.path(), "elsewhere", "file");
    content(&outbox, "/second", "x");
    assert_eq!(waiting(&outbox).len(), 2, "written at once");
    outbox.may_queue();
    content(&outbox, "/third", "x");
    assert_eq!(waiting(&outbox).len(), 2, "queued again");
}
