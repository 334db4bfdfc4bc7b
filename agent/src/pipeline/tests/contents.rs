//! What is read, and what of it becomes an event.

use super::*;

#[test]
fn every_way_of_writing_is_seen_and_an_unchanged_one_is_a_sign_of_life() {
    let (_dir, root, state) = place();
    let project = root.join("p");
    write(&project, PHASE, r#"{"n":0}"#);
    let half = Half::start(&state, &[&root]);
    half.expect(1);
    write(&project, PHASE, r#"{"n":1}"#);
    half.expect(2);
    let beside = project.join(".context-foundry/.tmp");
    fs::write(&beside, r#"{"n":2}"#).unwrap();
    fs::rename(&beside, project.join(PHASE)).unwrap();
    half.expect(3);
    // As editors save: the old file aside, the new one in its place.
    fs::rename(
        project.join(PHASE),
        project.join(".context-foundry/backup~"),
    )
    .unwrap();
    write(&project, PHASE, r#"{"n":3}"#);
    let events = half.expect(4);
    assert!(!events[3].recreated);
    for i in 0..20 {
        let text = format!(r#"{{ "n": 3, "last_updated": {i} }}"#);
        write(&project, PHASE, &text);
    }
    eventually("a sign of life", || {
        !half.board.signs_of_life(Instant::now()).is_empty()
    });
    half.settle(&root, 4);
}

#[test]
fn a_fast_writer_is_coalesced_to_its_newest_state() {
    let (_dir, root, state) = place();
    let half = Half::start(&state, &[&root]);
    let project = root.join("p");
    for i in 0..=500 {
        write(&project, PHASE, &format!(r#"{{"n":{i}}}"#));
    }
    eventually("the newest", || {
        half.events()
            .last()
            .is_some_and(|event| document(event) == r#"{"n":500}"#)
    });
    assert!(half.events().len() < 250);
}

#[test]
fn half_a_file_keeps_the_last_good_state_and_is_reported_once() {
    let (_dir, root, state) = place();
    let project = root.join("p");
    write(&project, PHASE, r#"{"n":1}"#);
    let half = Half::start(&state, &[&root]);
    half.expect(1);
    write(&project, PHASE, r#"{"n":"#);
    write(&project, PHASE, r#"{"n":2}"#);
    let events = half.expect(2);
    assert_eq!(events[1].kind, EventKind::Content, "healed in time");
    write(&project, PHASE, r#"{"n":"#);
    let events = half.expect(3);
    let unreadable = events[2].unreadable.as_ref().unwrap();
    assert_eq!(unreadable.reason, UnreadableReason::Unparsable);
    write(&project, PHASE, r#"{"n":"#);
    half.settle(&root, 3);
    write(&project, PHASE, r#"{"n":2}"#);
    let events = half.expect(5);
    assert_eq!(
        document(&events[4]),
        r#"{"n":2}"#,
        "good again, though unchanged"
    );
}

#[test]
fn what_is_no_readable_file_is_reported_and_never_opened() {
    let (dir, root, state) = place();
    let secret = dir.path().join("secret.json");
    fs::write(&secret, r#"{"secret":1}"#).unwrap();
    let at = |name: &str| {
        let state_dir = root.join(name).join(".context-foundry");
        fs::create_dir_all(&state_dir).unwrap();
        state_dir.join("current-phase.json")
    };
    let half = Half::start(&state, &[&root]);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), fifo, mode, 0).unwrap();
    symlink(&secret, at("link")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    fs::write(at("large"), vec![b' '; 1024 * 1024 + 1]).unwrap();
    fs::write(at("deep"), "[".repeat(100)).unwrap();
    let events = half.expect(5);
    let too_large = events
        .iter()
        .find(|event| event.project == "large")
        .unwrap();
    let told = &too_large.unreadable.as_ref().unwrap().message;
    assert_eq!(too_large.size, 1024 * 1024 + 1);
    // It is told once, so that it has to be as true of the file when that has grown.
    assert!(
        told.starts_with("it has more than the 1048576 bytes"),
        "{told}"
    );
    fs::write(at("large"), vec![b' '; 2 * 1024 * 1024]).unwrap();
    half.settle(&root, 5);
    let mut reasons: Vec<(String, UnreadableReason)> = events
        .into_iter()
        .map(|event| (event.project, event.unreadable.unwrap().reason))
        .collect();
    reasons.sort_by(|a, b| a.0.cmp(&b.0));
    use UnreadableReason::{NotRegular, TooDeep, TooLarge};
    let expected = [
        ("deep", TooDeep),
        ("directory", NotRegular),
        ("large", TooLarge),
        ("link", NotRegular),
        ("pipe", NotRegular),
    ];
    assert_eq!(
        reasons,
        expected.map(|(name, reason)| (name.to_owned(), reason))
    );
}

#[test]
fn an_equal_summary_of_another_run_is_told() {
    let (_dir, root, state) = place();
    let project = root.join("p");
    let half = Half::start(&state, &[&root]);
    write(&project, PHASE, r#"{"n":1}"#);
    half.expect(1);
    write(&project, SUMMARY, r#"{"ok":true}"#);
    half.expect(2);
    write(&project, PHASE, r#"{"n":2}"#);
    half.expect(3);
    write(&project, SUMMARY, r#"{"ok":true}"#);
    let events = half.expect(4);
    assert_eq!(events[3].file, SUMMARY);
    write(&project, SUMMARY, r#"{"ok":true}"#);
    half.settle(&root, 4);
}

#[test]
fn a_restart_tells_only_what_changed_meanwhile() {
    let (_dir, root, state) = place();
    for name in ["same", "changed", "removed"] {
        write(&root.join(name), PHASE, r#"{"n":1}"#);
    }
    drop(Half::start(&state, &[&root]));
    write(&root.join("changed"), PHASE, r#"{"n":2}"#);
    fs::remove_dir_all(root.join("removed")).unwrap();
    write(&root.join("added"), PHASE, r#"{"n":1}"#);
    age(&root.join("added"), PHASE);
    let half = Half::start(&state, &[&root]);
    let events = half.expect(6);
    let told = |name: &str| {
        let mut of = events[3..].iter().filter(|event| event.project == name);
        of.next().map(|event| (event.kind, event.found))
    };
    assert_eq!(told("same"), None);
    assert_eq!(told("changed"), Some((EventKind::Content, false)));
    assert_eq!(told("removed"), Some((EventKind::Removed, false)));
    assert_eq!(told("added"), Some((EventKind::Content, true)));
}

#[test]
fn an_outbox_that_was_lost_is_filled_again() {
    let (_dir, root, state) = place();
    write(&root.join("p"), PHASE, r#"{"n":1}"#);
    age(&root.join("p"), PHASE);
    let half = Half::start(&state, &[&root]);
    half.expect(1);
    let other = rusqlite::Connection::open(state.join("outbox.db")).unwrap();
    other
        .execute("UPDATE event SET payload = x'00'", [])
        .unwrap();
    drop(other);
    assert!(half.outbox.load(0, 1, 1).is_err());
    let events = half.expect(1);
    assert!(events[0].found);
    assert_eq!(half.root().state, RootState::Degraded);
}
