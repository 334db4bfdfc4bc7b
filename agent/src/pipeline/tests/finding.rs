//! Directories and files that appear, move and vanish.

use super::*;

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
fn states_around_lost_hints_say_that_others_may_be_missing() {
    let (_dir, root, state) = place();
    write(&root.join("old"), PHASE, r#"{"n":1}"#);
    drop(Half::start(&state, &[&root]));
    let half = Half::start(&state, &[&root]);
    assert!(!half.expect(1)[0].gap);
    write(&root.join("burst"), PHASE, r#"{"n":1}"#);
    assert!(!half.expect(2)[1].gap, "nobody knew yet");
    half.mailbox.raise(Flag::Rescan);
    // What is read in the burst is marked with its next state; what stood all the time is not.
    half.settle(&root, 2);
    write(&root.join("burst"), PHASE, r#"{"n":2}"#);
    assert!(half.expect(4)[3].gap);
    write(&root.join("burst"), PHASE, r#"{"n":3}"#);
    write(&root.join("old"), PHASE, r#"{"n":2}"#);
    assert!(half.expect(6)[4..].iter().all(|event| !event.gap));
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
