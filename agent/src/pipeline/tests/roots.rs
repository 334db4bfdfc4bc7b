//! Roots that come, go and lie in each other.

use super::*;

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
