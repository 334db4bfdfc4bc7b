//! From the file system to the outbox, on real directories and without NATS.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;

use protocol::{AgentId, Event, EventKind, RootState, RootStatus, UnreadableReason};

use super::*;
use crate::mailbox::mailbox;

const PHASE: &str = ".context-foundry/current-phase.json";
const SUMMARY: &str = ".context-foundry/session-summary.json";

/// An agent's inner half: everything up to the outbox.
struct Half {
    outbox: Arc<Outbox>,
    board: Arc<Board>,
    mailbox: Mailbox,
    watching: Option<Watching>,
}

impl Half {
    fn start(state: &Path, roots: &[&Path]) -> Self {
        let (mailbox, inbox) = mailbox();
        let board = Arc::new(Board::default());
        let max = 64 * 1024 * 1024;
        let outbox = Outbox::open(state, AgentId(1), max, mailbox.clone(), Arc::clone(&board));
        let outbox = Arc::new(outbox.unwrap());
        let paths: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
        let setup = Setup {
            host: "h".into(),
            roots: Roots::new(&paths, None),
            prune: Prune::default(),
            max_depth: 32,
            state_dir: state.to_owned(),
        };
        let (to_outbox, to_board) = (Arc::clone(&outbox), Arc::clone(&board));
        let mut watching = start(setup, mailbox.clone(), inbox, to_outbox, to_board).unwrap();
        eventually("looked", || watching.looked.try_recv().is_ok());
        Self {
            outbox,
            board,
            mailbox,
            watching: Some(watching),
        }
    }

    fn events(&self) -> Vec<Event> {
        let rows = self.outbox.load(0, usize::MAX, usize::MAX).unwrap();
        let decoded = rows.iter().map(|row| Event::decode(&row.payload).unwrap());
        decoded.collect()
    }

    fn expect(&self, count: usize) -> Vec<Event> {
        eventually(&format!("{count} events"), || self.events().len() >= count);
        let events = self.events();
        assert_eq!(events.len(), count, "{events:#?}");
        events
    }

    fn root(&self) -> RootStatus {
        self.board.roots().remove(0)
    }

    /// Writes a marker project and waits for it: all earlier hints were taken then.
    fn settle(&self, root: &Path, before: usize) -> Vec<Event> {
        let marker = root.join(format!("marker-{before}"));
        write(&marker, PHASE, r#"{"marker":1}"#);
        let events = self.expect(before + 1);
        events[..before].to_vec()
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.mailbox.raise(Flag::Stop);
        if let Some(watching) = self.watching.take() {
            watching.thread.join().unwrap();
        }
    }
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn write(project: &Path, file: &str, text: &str) {
    let path = project.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Makes a file as old as if it had been there long before the agent.
fn age(project: &Path, file: &str) {
    let file = fs::File::options().write(true).open(project.join(file));
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    file.unwrap().set_modified(an_hour_ago).unwrap();
}

fn document(event: &Event) -> &str {
    event
        .document
        .as_deref()
        .map_or("", |document| document.get())
}

fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (root, state) = (dir.path().join("root"), dir.path().join("state"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&state).unwrap();
    (dir, root, state)
}

#[test]
fn what_was_there_is_found_and_what_comes_is_live() {
    let (dir, root, state) = place();
    write(&root.join("team/old"), PHASE, r#"{"n":1.0}"#);
    age(&root.join("team/old"), PHASE);
    let half = Half::start(&state, &[&root]);
    let old = half.expect(1).remove(0);
    assert!(old.found && !old.recreated);
    assert_eq!(
        (old.project.as_str(), old.path.as_str()),
        ("old", "team/old")
    );
    assert_eq!((old.root.as_str(), old.file.as_str()), ("root", PHASE));
    assert_eq!(document(&old), r#"{"n":1}"#);
    write(&root.join("new"), PHASE, r#"{"n":2}"#);
    let new = half.expect(2).remove(1);
    assert!(!new.found);
    assert_eq!(new.seq, 2);
    assert_eq!(half.root().state, RootState::Watching);
    drop(dir);
}

#[test]
fn trees_that_appear_at_once_are_found_whole() {
    let (dir, root, state) = place();
    let half = Half::start(&state, &[&root]);
    for i in 0..50 {
        write(&root.join(format!("made/a{i}/b/c")), PHASE, r#"{"n":1}"#);
    }
    half.expect(50);
    let outside = dir.path().join("outside");
    for i in 0..20 {
        write(&outside.join(format!("d{i}/e")), PHASE, r#"{"n":1}"#);
    }
    fs::rename(&outside, root.join("moved-in")).unwrap();
    half.expect(70);
    // A hard link gives no close-write.
    let linked = root.join("linked/.context-foundry");
    fs::create_dir_all(&linked).unwrap();
    fs::hard_link(
        root.join("moved-in/d0/e").join(PHASE),
        linked.join("current-phase.json"),
    )
    .unwrap();
    half.expect(71);
}

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
fn a_deleted_file_is_removed_and_one_made_anew_is_recreated() {
    let (_dir, root, state) = place();
    let project = root.join("p");
    write(&project, PHASE, r#"{"n":1}"#);
    let half = Half::start(&state, &[&root]);
    half.expect(1);
    fs::remove_dir_all(project.join(".context-foundry")).unwrap();
    assert_eq!(half.expect(2)[1].kind, EventKind::Removed);
    write(&project, PHASE, r#"{"n":1}"#);
    let events = half.expect(3);
    assert!(events[2].recreated, "the same content, but another run");
    fs::remove_dir_all(&project).unwrap();
    write(&project, PHASE, r#"{"n":2}"#);
    let events = half.expect(4);
    assert!(events[3].recreated && events[3].kind == EventKind::Content);
    write(&project, PHASE, r#"{"n":3}"#);
    assert!(!half.expect(5)[4].recreated);
}

#[test]
fn a_directory_that_moves_is_watched_where_it_went() {
    let (dir, root, state) = place();
    let project = root.join("a/p");
    write(&project, PHASE, r#"{"n":1}"#);
    let half = Half::start(&state, &[&root]);
    half.expect(1);
    fs::rename(root.join("a"), root.join("b")).unwrap();
    let events = half.expect(3);
    let kinds: Vec<(&str, EventKind)> = events
        .iter()
        .map(|event| (event.path.as_str(), event.kind))
        .collect();
    assert!(kinds.contains(&("b/p", EventKind::Content)));
    assert!(kinds.contains(&("a/p", EventKind::Removed)));
    write(&root.join("b/p"), PHASE, r#"{"n":2}"#);
    assert_eq!(half.expect(4)[3].path, "b/p");
    fs::rename(root.join("b"), dir.path().join("away")).unwrap();
    assert_eq!(half.expect(5)[4].kind, EventKind::Removed);
    write(&dir.path().join("away/p"), PHASE, r#"{"n":3}"#);
    half.settle(&root, 5);
    half.mailbox.raise(Flag::Check);
    // The root itself and the marker's two directories.
    eventually("no watch is left over", || half.root().watches == 3);
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
fn a_root_that_does_not_exist_yet_is_awaited_step_by_step() {
    let (_dir, root, state) = place();
    let deep = root.join("not/yet/there");
    let half = Half::start(&state, &[&deep]);
    assert_eq!(half.root().state, RootState::Missing);
    write(&deep.join("p"), PHASE, r#"{"n":1}"#);
    assert!(!half.expect(1)[0].found);
    eventually("watching", || half.root().state == RootState::Watching);
    fs::remove_dir_all(root.join("not")).unwrap();
    eventually("missing", || half.root().state == RootState::Missing);
    assert_eq!(half.expect(2)[1].kind, EventKind::Removed);
    write(&deep.join("p"), PHASE, r#"{"n":2}"#);
    assert!(half.expect(3)[2].recreated);
}

#[test]
fn a_root_that_is_moved_away_and_back_changes_nothing() {
    let (dir, root, state) = place();
    write(&root.join("p"), PHASE, r#"{"n":1}"#);
    let half = Half::start(&state, &[&root]);
    half.expect(1);
    let aside = dir.path().join("aside");
    fs::rename(&root, &aside).unwrap();
    eventually("missing", || half.root().state == RootState::Missing);
    fs::rename(&aside, &root).unwrap();
    eventually("back", || half.root().state == RootState::Watching);
    half.settle(&root, 1);
}

#[test]
fn a_directory_far_above_a_root_that_moves_is_noticed_by_the_check() {
    let (dir, root, state) = place();
    let deep = root.join("a/b");
    write(&deep.join("p"), PHASE, r#"{"n":1}"#);
    let half = Half::start(&state, &[&deep]);
    half.expect(1);
    fs::rename(&root, dir.path().join("elsewhere")).unwrap();
    half.mailbox.raise(Flag::Check);
    eventually("missing", || half.root().state == RootState::Missing);
}

#[test]
fn pruned_and_foreign_directories_are_left_alone() {
    let (dir, root, state) = place();
    let half = Half::start(&state, &[&root]);
    let elsewhere = dir.path().join("elsewhere");
    write(&elsewhere.join("p"), PHASE, r#"{"n":1}"#);
    symlink(&elsewhere, root.join("link")).unwrap();
    for pruned in ["node_modules/x", "x/.git/y", ".cargo/registry/z"] {
        write(&root.join(pruned), PHASE, r#"{"n":1}"#);
    }
    write(&root.join("rust"), "Cargo.toml", "");
    write(&root.join("rust/target/p"), PHASE, r#"{"n":1}"#);
    write(&root.join("target/p"), PHASE, r#"{"n":1}"#);
    assert_eq!(half.expect(1)[0].path, "target/p");
    half.settle(&root, 1);
}

#[test]
fn the_agents_own_directory_beneath_a_root_is_not_watched() {
    let (_dir, root, _) = place();
    let state = root.join("state");
    write(&state.join("p"), PHASE, r#"{"n":1}"#);
    let half = Half::start(&state, &[&root]);
    half.settle(&root, 0);
}

#[test]
fn an_inner_root_is_walked_on_its_own() {
    let (_dir, root, state) = place();
    let inner = root.join("node_modules/inner");
    write(&inner.join("p"), PHASE, r#"{"n":1}"#);
    let half = Half::start(&state, &[&root, &inner]);
    let event = half.expect(1).remove(0);
    assert_eq!((event.root.as_str(), event.path.as_str()), ("inner", "p"));
    write(&inner, PHASE, r#"{"n":2}"#);
    assert_eq!(half.expect(2)[1].path, ".");
}

#[test]
fn lost_hints_lead_to_one_walk_that_finds_everything() {
    let (_dir, root, state) = place();
    let project = root.join("p");
    write(&project, PHASE, r#"{"n":1}"#);
    let half = Half::start(&state, &[&root]);
    half.expect(1);
    for i in 0..300 {
        write(&root.join(format!("x{i}")), PHASE, r#"{"n":1}"#);
        if i % 100 == 50 {
            half.mailbox.raise(Flag::Rescan);
        }
    }
    fs::remove_file(project.join(PHASE)).unwrap();
    half.mailbox.raise(Flag::Rescan);
    half.expect(302);
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

#[test]
fn a_directory_that_becomes_readable_is_walked() {
    if rustix::process::geteuid().is_root() {
        // Nothing is unreadable to root.
        return;
    }
    let (_dir, root, state) = place();
    let locked = root.join("locked");
    write(&locked, PHASE, r#"{"n":1}"#);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let half = Half::start(&state, &[&root]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
    half.expect(1);
}
