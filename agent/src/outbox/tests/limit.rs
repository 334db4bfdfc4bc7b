//! The outbox at its limit: what gives way, what is refused.

use super::*;

/// Of 24 pages, of which an empty one takes ten.
pub(super) const SMALL: u64 = 24 * 4_096;

fn used(dir: &Path) -> u64 {
    let db = rusqlite::Connection::open(dir.join("outbox.db")).unwrap();
    let number = |pragma| {
        let number: i64 = db
            .pragma_query_value(None, pragma, |row| row.get(0))
            .unwrap();
        number.unsigned_abs()
    };
    (number("page_count") - number("freelist_count")) * number("page_size")
}

#[test]
fn a_full_outbox_keeps_the_newest_state_of_each_file_and_what_ended_before() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), SMALL);
    let long = "x".repeat(4_000);
    let mut rounds = 0;
    while !outbox.status().overflowed {
        rounds += 1;
        assert!(rounds < 100, "it fills up");
        put(
            &outbox,
            "/a",
            EventKind::Content,
            &format!("a{rounds}{long}"),
        );
        put(
            &outbox,
            "/b",
            EventKind::Content,
            &format!("b{rounds}{long}"),
        );
    }
    put(&outbox, "/a", EventKind::Removed, "");
    put(&outbox, "/a", EventKind::Content, "new run");
    let events = waiting(&outbox);
    let newest: Vec<&str> = events
        .iter()
        .filter_map(|event| event.document.as_deref().map(RawValue::get))
        .map(|text| &text[1..4])
        .collect();
    assert_eq!(newest.last(), Some(&"new"));
    // The removal waits beside the content after it, or is told by it.
    let told = events.iter().any(|event| event.kind == EventKind::Removed);
    assert!(told || events.last().unwrap().recreated);
    let status = outbox.status();
    let rows = outbox.load(0, 99, usize::MAX).unwrap();
    let bytes: usize = rows.iter().map(|row| row.payload.len()).sum();
    // What tells that others gave way is kept beside the event.
    let told = events.iter().filter(|event| event.gap).count();
    let bytes = bytes - told * r#""gap":true,"#.len();
    assert_eq!(
        (status.events, status.bytes),
        (rows.len() as u64, bytes as u64)
    );
    assert!(used(dir.path()) <= SMALL);
}

#[test]
fn what_does_not_fit_even_then_is_refused_and_fits_later() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, inbox, .. } = open(dir.path(), SMALL);
    let long = "x".repeat(9_000);
    let record = |path: &str| {
        let content = event(EventKind::Content, &long);
        outbox.record(content, Path::new(path), &Known::default(), None)?;
        outbox.write()
    };
    let refused = (0..100).find(|file| record(&format!("/{file}")).is_err());
    let refused = refused.expect("each file is another, so nothing gives way");
    assert!(used(dir.path()) <= SMALL, "{} of {SMALL}", used(dir.path()));
    assert!(inbox.take(Flag::Anew), "the watching thread was told");
    assert!(record("/next").is_err(), "and now is told at once");
    // The newest state of a file that is in it may still take its older one's place.
    record("/0").unwrap();
    let ids: Vec<i64> = outbox
        .load(0, 99, usize::MAX)
        .unwrap()
        .iter()
        .map(|row| row.id)
        .collect();
    assert_eq!(ids.len(), usize::try_from(refused).unwrap());
    outbox.acknowledge(&ids).unwrap();
    record(&format!("/{refused}")).unwrap();
}

#[test]
fn a_coalesced_removal_is_told_by_the_content_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), SMALL);
    put(&outbox, "/a", EventKind::Content, "old run");
    put(&outbox, "/a", EventKind::Removed, "");
    put(&outbox, "/a", EventKind::Content, "new run");
    let long = "x".repeat(8_000);
    for count in 0..20 {
        put(
            &outbox,
            "/other",
            EventKind::Content,
            &format!("{count}{long}"),
        );
    }
    let events = waiting(&outbox);
    assert!(outbox.status().overflowed);
    assert!(events[0].recreated, "{:?}", events[0]);
}
