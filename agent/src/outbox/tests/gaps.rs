//! States that gave way for want of room are told, those and no others.

use super::limit::SMALL;
use super::*;

/// Other files' contents until older ones have given way.
fn overflow(outbox: &Outbox) {
    let long = "x".repeat(8_000);
    for count in 0..20 {
        let text = format!("other {count}{long}");
        put(outbox, "/other", EventKind::Content, &text);
    }
    assert!(outbox.status().overflowed);
}

/// Of each waiting content but those others its first letter, and whether it says that states are missing.
fn told(outbox: &Outbox) -> String {
    let one = |event: &Event| {
        let text = event.document.as_deref().map_or("-", |raw| raw.get());
        let letter = text.chars().nth(1).filter(|letter| *letter != 'o')?;
        Some(format!("{letter}{}", if event.gap { "!" } else { "" }))
    };
    waiting(outbox).iter().filter_map(one).collect()
}

#[test]
fn the_event_that_stays_tells_that_others_gave_way_also_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), SMALL);
    put(&outbox, "/a", EventKind::Content, "before");
    put(&outbox, "/quiet", EventKind::Content, "quiet");
    put(&outbox, "/a", EventKind::Content, "after");
    overflow(&outbox);
    assert_eq!(told(&outbox), "qa!");
    drop(outbox);
    let Opened { outbox, .. } = open(dir.path(), SMALL);
    assert_eq!(told(&outbox), "qa!");
    // Told once.
    let rows = outbox.load(0, 9, usize::MAX).unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    outbox.acknowledge(&ids).unwrap();
    put(&outbox, "/a", EventKind::Content, "next of a");
    assert_eq!(told(&outbox), "n");
}

#[test]
fn what_was_given_out_gives_way_only_with_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), SMALL);
    put(&outbox, "/a", EventKind::Content, "1");
    put(&outbox, "/a", EventKind::Content, "2");
    assert_eq!(waiting(&outbox).len(), 2, "the publisher has both");
    overflow(&outbox);
    assert_eq!(told(&outbox), "2");
    drop(outbox);
    let Opened { outbox, .. } = open(dir.path(), SMALL);
    assert_eq!(told(&outbox), "2!", "nobody has the first one any more");
}

#[test]
fn of_a_growing_file_nothing_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), SMALL);
    for text in ["1", "1 and 2"] {
        let event = event(EventKind::Content, text);
        let (file, so_far) = (Path::new("/log"), Some("so far".to_owned()));
        outbox
            .record(event, file, &Known::default(), so_far)
            .unwrap();
        outbox.write().unwrap();
    }
    overflow(&outbox);
    assert_eq!(told(&outbox), "1");
}

/// An outbox in which nothing can give way; `/late` is refused once.
fn refusing(dir: &Path) -> (Outbox, Vec<i64>) {
    let Opened { outbox, .. } = open(dir, SMALL);
    let long = "x".repeat(9_000);
    let refused = (0..100).find(|file| !is_taken(&outbox, &format!("/{file}"), &long));
    assert!(refused.is_some(), "each file is another");
    assert!(!is_taken(&outbox, "/late", &format!("1{long}")));
    let rows = outbox.load(0, 99, usize::MAX).unwrap();
    let ids = rows.iter().map(|row| row.id).collect();
    (outbox, ids)
}

fn is_taken(outbox: &Outbox, path: &str, text: &str) -> bool {
    let content = event(EventKind::Content, text);
    let taken = outbox.record(content, Path::new(path), &Known::default(), None);
    taken.and_then(|()| outbox.write()).is_ok()
}

fn late(outbox: &Outbox, text: &str) -> bool {
    assert!(is_taken(outbox, "/late", text));
    waiting(outbox).pop().unwrap().gap
}

#[test]
fn a_refused_state_that_still_stands_when_there_is_room_is_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, ids) = refusing(dir.path());
    outbox.acknowledge(&ids).unwrap();
    let same = format!("1{}", "x".repeat(9_000));
    assert!(!late(&outbox, &same));
    assert!(!late(&outbox, "next"));
}

#[test]
fn a_refused_state_that_was_replaced_is_told_by_the_next_also_after_a_kill() {
    for killed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (mut outbox, ids) = refusing(dir.path());
        if killed {
            drop(outbox);
            outbox = open(dir.path(), SMALL).outbox;
        }
        outbox.acknowledge(&ids).unwrap();
        assert!(late(&outbox, "2"), "killed: {killed}");
        assert!(!late(&outbox, "3"), "told once");
        drop(outbox);
        let Opened { outbox, .. } = open(dir.path(), SMALL);
        assert!(!late(&outbox, "4"), "told once");
    }
}

#[test]
fn a_state_that_came_back_after_another_was_refused_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, ids) = refusing(dir.path());
    let long = "x".repeat(9_000);
    assert!(!is_taken(&outbox, "/late", &format!("2{long}")));
    outbox.acknowledge(&ids).unwrap();
    assert!(late(&outbox, &format!("1{long}")));
}

#[test]
fn what_was_queued_when_the_disk_failed_is_a_gap_once_it_was_replaced() {
    for (next, gap) in [("x", false), ("y", true)] {
        let dir = tempfile::tempdir().unwrap();
        let Opened { outbox, .. } = open(dir.path(), OUTBOX);
        rename_table(dir.path(), "file", "elsewhere");
        for path in ["/first", "/second"] {
            say(&outbox, path, EventKind::Content, "x");
        }
        assert!(outbox.write().is_err());
        rename_table(dir.path(), "elsewhere", "file");
        put(&outbox, "/second", EventKind::Content, next);
        assert_eq!(waiting(&outbox).pop().unwrap().gap, gap);
    }
}

#[test]
fn an_outbox_of_the_first_version_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    put(&outbox, "/a", EventKind::Content, "kept");
    drop(outbox);
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).unwrap();
    db.execute_batch(
        "DROP TABLE gap; PRAGMA user_version = 1; PRAGMA application_id = 0x50484c01;",
    )
    .unwrap();
    drop(db);
    for _ in 0..2 {
        let Opened { outbox, board, .. } = open(dir.path(), OUTBOX);
        assert_eq!(waiting(&outbox).len(), 1);
        assert!(!has_alarm(&board));
    }
}
