//! What a turn of the watching thread writes counts as a whole, after its end.

use super::*;

fn record(outbox: &Outbox, path: &str, text: &str) {
    let mut event = event(EventKind::Content, text);
    let mut known = Known::default();
    outbox
        .record(&mut event, Path::new(path), &mut known, None)
        .unwrap();
}

fn known_files(outbox: &Outbox) -> usize {
    outbox.files().unwrap().len()
}

#[test]
fn the_first_event_of_a_turn_is_given_out_at_once_the_others_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    for text in ["one", "two", "three"] {
        record(&outbox, &format!("/{text}"), text);
    }
    assert_eq!(waiting(&outbox).len(), 1);
    // The broker's acknowledgement comes in the middle of it.
    outbox.acknowledge(&[1]).unwrap();
    assert!(outbox.must_drop(), "put off to the end of the turn");
    outbox.end_turn().unwrap();
    outbox.acknowledge(&[]).unwrap();
    let seqs: Vec<u64> = waiting(&outbox).iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [2, 3]);
    assert_eq!(outbox.status().events, 2);
}

#[test]
fn a_long_turn_is_given_out_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    for file in 0..200 {
        record(&outbox, &format!("/{file}"), "x");
    }
    let given = waiting(&outbox).len();
    assert!((100..200).contains(&given), "{given}");
    outbox.end_turn().unwrap();
    assert_eq!(waiting(&outbox).len(), 200);
}

#[test]
fn a_turn_that_did_not_end_never_happened() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    record(&outbox, "/first", "x");
    record(&outbox, "/second", "x");
    // As by `kill -9`: the connection is gone, nothing was committed.
    drop(outbox);
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    assert_eq!(waiting(&outbox).len(), 1);
    assert_eq!(known_files(&outbox), 1, "the second is read again");
}

#[test]
fn a_turn_that_cannot_be_committed_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, inbox, .. } = open(dir.path(), OUTBOX);
    record(&outbox, "/first", "x");
    record(&outbox, "/second", "x");
    // As after an error that makes SQLite give the transaction up.
    outbox.lock().store().unwrap().give_up_the_turn();
    assert!(outbox.end_turn().is_err());
    assert!(inbox.take(Flag::Anew), "the watching thread was told");
    assert_eq!((waiting(&outbox).len(), outbox.status().events), (1, 1));
    record(&outbox, "/second", "x");
    outbox.end_turn().unwrap();
    assert_eq!(waiting(&outbox).len(), 2);
}
