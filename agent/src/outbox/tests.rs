//! The outbox on a real disk: order, restarts, overflow, damage.

use std::io::{Seek as _, SeekFrom, Write as _};

use protocol::event::EVENT_VERSION;
use protocol::{ContentHash, Event, EventKind, ProjectToken};
use serde_json::value::RawValue;

use super::*;
use crate::mailbox::{Inbox, mailbox};

const AGENT: AgentId = AgentId(7);

struct Opened {
    outbox: Outbox,
    inbox: Inbox,
    board: Arc<Board>,
}

fn open(dir: &Path, max_bytes: u64) -> Opened {
    let (mailbox, inbox) = mailbox();
    let board = Arc::new(Board::default());
    let outbox = Outbox::open(dir, AGENT, false, max_bytes, mailbox, Arc::clone(&board)).unwrap();
    Opened {
        outbox,
        inbox,
        board,
    }
}

fn event(kind: EventKind, text: &str) -> Event {
    let document = RawValue::from_string(format!("{text:?}")).unwrap();
    let content = kind == EventKind::Content;
    Event {
        v: EVENT_VERSION,
        agent: AgentId(0),
        boot: Uuid::nil(),
        seq: 0,
        host: "h".into(),
        producer: "context-foundry".into(),
        project_token: ProjectToken(1),
        project: "p".into(),
        root: "r".into(),
        path: "p".into(),
        file: "f".into(),
        kind,
        found: false,
        recreated: false,
        gap: false,
        changed_at: Timestamp::from_millis(1),
        observed_at: Timestamp::from_millis(now_ms()),
        hash: content.then(|| ContentHash::of(text.as_bytes())),
        size: 1,
        document: content.then_some(document),
        session: None,
        near: None,
        unreadable: None,
        git: None,
    }
}

fn put(outbox: &Outbox, path: &str, kind: EventKind, text: &str) {
    say(outbox, path, kind, text);
    outbox.write().unwrap();
}

fn say(outbox: &Outbox, path: &str, kind: EventKind, text: &str) {
    let known = Known {
        present: kind != EventKind::Removed,
        ..Known::default()
    };
    let event = event(kind, text);
    outbox.record(event, Path::new(path), &known, None).unwrap();
}

/// As a disk that fails: what is written to the table is refused.
fn rename_table(dir: &Path, from: &str, to: &str) {
    let other = rusqlite::Connection::open(dir.join("outbox.db")).unwrap();
    let sql = format!("ALTER TABLE {from} RENAME TO {to}");
    other.execute(&sql, []).unwrap();
}

fn waiting(outbox: &Outbox) -> Vec<Event> {
    let rows = outbox.load(0, usize::MAX, usize::MAX).unwrap();
    rows.iter()
        .map(|row| Event::decode(&row.payload).unwrap())
        .collect()
}

#[test]
fn events_of_older_boots_leave_first_and_ids_are_never_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), OUTBOX).outbox;
    put(&first, "/a", EventKind::Content, "one");
    put(&first, "/a", EventKind::Content, "two");
    drop(first);
    let second = open(dir.path(), OUTBOX).outbox;
    put(&second, "/a", EventKind::Content, "three");
    let events = waiting(&second);
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 1]);
    assert!(events[1].boot < events[2].boot);
    let rows = second.load(0, 9, usize::MAX).unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    second.acknowledge(&ids).unwrap();
    assert_eq!(second.status().events, 0);
    assert_eq!(second.status().bytes, 0);
    drop(second);
    let third = open(dir.path(), OUTBOX).outbox;
    put(&third, "/a", EventKind::Content, "four");
    assert_eq!(third.load(0, 9, usize::MAX).unwrap()[0].id, 4);
}

const OUTBOX: u64 = 64 * 1024 * 1024;

#[test]
fn what_is_known_of_files_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut known = Known {
        raw: Some(ContentHash::of(b"raw")),
        hash: Some(ContentHash::of(b"hash")),
        unreadable: None,
        mtime_ns: -5,
        inode: u64::MAX,
        size: 3,
        present: true,
        event: 0,
    };
    let path = Path::new("/p/\u{202e}x");
    let first = open(dir.path(), OUTBOX).outbox;
    let content = event(EventKind::Content, "x");
    first.record(content, path, &known, None).unwrap();
    known.mtime_ns = 9;
    first.remember(path, &known).unwrap();
    first.write().unwrap();
    drop(first);
    let second = open(dir.path(), OUTBOX).outbox;
    assert_eq!(second.files().unwrap(), [(path.to_owned(), known)]);
}

#[test]
fn another_stream_is_sent_every_state_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, inbox, .. } = open(dir.path(), OUTBOX);
    outbox.stream_is("first").unwrap();
    put(&outbox, "/a", EventKind::Content, "x");
    put(&outbox, "/gone", EventKind::Removed, "");
    outbox.stream_is("first").unwrap();
    assert!(!inbox.take(Flag::Anew), "the same stream");
    outbox.stream_is("second").unwrap();
    assert!(inbox.take(Flag::Anew), "another one");
    for (path, known) in outbox.files().unwrap() {
        assert!(known.present && known.hash.is_none(), "{path:?} {known:?}");
    }
    assert_eq!(waiting(&outbox).len(), 2, "what waits still does");
    drop(outbox);
    let Opened { outbox, inbox, .. } = open(dir.path(), OUTBOX);
    outbox.stream_is("second").unwrap();
    assert!(!inbox.take(Flag::Anew), "it is remembered over restarts");
}

#[test]
fn a_flipped_bit_anywhere_is_found_or_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open(dir.path(), OUTBOX);
    outbox.stream_is("s").unwrap();
    for file in 0..40 {
        put(&outbox, &format!("/p/{file}"), EventKind::Content, "state");
    }
    let files = outbox.files().unwrap();
    let events = waiting(&outbox);
    drop(outbox);
    let path = dir.path().join("outbox.db");
    let whole = std::fs::read(&path).unwrap();
    // Every byte of the first page's head, then many all over the file.
    let places = (0..100).chain((100..whole.len()).step_by(523));
    for (round, place) in places.enumerate() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (round % 8);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("outbox.db"), &bytes).unwrap();
        let Opened {
            outbox,
            inbox,
            board,
        } = open(dir.path(), OUTBOX);
        let same_files = outbox.files().is_ok_and(|found| found == files);
        let same_events = outbox
            .load(0, usize::MAX, usize::MAX)
            .is_ok_and(|rows| rows.len() == events.len());
        let set_aside = has_alarm(&board);
        assert!(
            set_aside || (same_files && same_events),
            "byte {place}: {} files, {} events and no alarm",
            outbox.files().map_or(0, |files| files.len()),
            outbox.status().events
        );
        put(&outbox, "/p/0", EventKind::Content, "next");
        let _ = inbox.take(Flag::Anew);
    }
}

fn has_alarm(board: &Board) -> bool {
    board.set_roots(vec![protocol::RootStatus {
        label: "r".into(),
        path: "/r".into(),
        state: protocol::RootState::Watching,
        watches: 1,
        reason: None,
        remedy: None,
    }]);
    let reason = board.roots().remove(0).reason;
    reason.is_some_and(|reason| reason.contains("outbox"))
}

#[test]
fn only_so_many_damaged_ones_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..6 {
        std::fs::write(dir.path().join("outbox.db"), "no database, ".repeat(1_000)).unwrap();
        drop(open(dir.path(), OUTBOX));
        // Their names are times.
        let now = now_ms();
        while now_ms() == now {
            std::hint::spin_loop();
        }
    }
    let names = std::fs::read_dir(dir.path()).unwrap();
    let aside = names.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("outbox.corrupt-")
    });
    assert_eq!(aside.count(), 3);
}

#[test]
fn one_that_should_be_there_and_is_not_is_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let (mailbox, _inbox) = mailbox();
    let board = Arc::new(Board::default());
    let dir = dir.path();
    Outbox::open(dir, AGENT, true, OUTBOX, mailbox, Arc::clone(&board)).unwrap();
    assert!(has_alarm(&board));
}

#[test]
fn damage_is_set_aside_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("outbox.db"), "no database, ".repeat(1_000)).unwrap();
    let Opened { outbox, board, .. } = open(dir.path(), OUTBOX);
    put(&outbox, "/a", EventKind::Content, "x");
    assert_eq!(waiting(&outbox).len(), 1);
    assert!(has_alarm(&board));
    let aside = std::fs::read_dir(dir.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("outbox.corrupt-")
    });
    assert_eq!(aside.count(), 1);
}

#[test]
fn damage_that_is_met_later_begins_anew_and_asks_for_a_walk() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { outbox, inbox, .. } = open(dir.path(), OUTBOX);
    put(&outbox, "/a", EventKind::Content, "x");
    // A second connection spoils a row behind the outbox's back.
    let other = rusqlite::Connection::open(dir.path().join("outbox.db")).unwrap();
    other
        .execute("UPDATE event SET payload = x'7B7D'", [])
        .unwrap();
    drop(other);
    let result = outbox.load(0, 9, usize::MAX);
    assert!(matches!(result, Err(OutboxError::Anew)), "{result:?}");
    assert!(inbox.take(Flag::Anew));
    put(&outbox, "/a", EventKind::Content, "y");
    assert_eq!(waiting(&outbox).len(), 1);
    drop(outbox);
    let outbox = open(dir.path(), OUTBOX).outbox;
    assert_eq!(waiting(&outbox).len(), 1, "the new one is on the disk");
}

#[test]
fn a_file_that_is_overwritten_underneath_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), OUTBOX).outbox;
    put(&first, "/a", EventKind::Content, "x");
    drop(first);
    let path = dir.path().join("outbox.db");
    let size = std::fs::metadata(&path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(4_096)).unwrap();
    let noise = vec![0xA5; usize::try_from(size - 4_096).unwrap()];
    file.write_all(&noise).unwrap();
    let Opened { outbox, inbox, .. } = open(dir.path(), OUTBOX);
    let _ = outbox.files();
    let _ = outbox.load(0, 9, usize::MAX);
    put(&outbox, "/a", EventKind::Content, "y");
    assert_eq!(waiting(&outbox).len(), 1);
    let _ = inbox.take(Flag::Anew);
}

#[test]
fn an_outbox_of_a_newer_agent_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), OUTBOX));
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    db.pragma_update(None, "application_id", 0x5048_4c00 + 99)
        .unwrap();
    drop(db);
    let (mailbox, _inbox) = mailbox();
    let result = Outbox::open(dir.path(), AGENT, false, OUTBOX, mailbox, Arc::default());
    assert!(result.unwrap_err().to_string().contains("version 99"));
}

mod gaps;
mod limit;
mod queued;
