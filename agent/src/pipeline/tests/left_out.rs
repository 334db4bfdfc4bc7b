//! What is seen and not watched on purpose is said, and watched when the reason ends.

use super::*;

/// What the root's page says; empty while it is watched whole.
fn said(half: &Half) -> String {
    half.root().reason.unwrap_or_default()
}

#[test]
fn directories_below_the_deepest_are_said_and_found_when_they_move_up() {
    let (_dir, root, state) = place();
    let deepest = root.join("a/b/c");
    write(&deepest, PHASE, r#"{"n":1}"#);
    write(&deepest.join("d/e"), PHASE, r#"{"n":1}"#);
    let half = Half::start_with(&state, &[&root], Prune::default(), 3);
    assert_eq!(half.expect(1)[0].path, "a/b/c");
    assert_eq!(half.root().state, RootState::Degraded);
    assert!(
        said(&half).contains("a/b/c/d is deeper than 3"),
        "{}",
        said(&half)
    );
    fs::rename(deepest.join("d"), root.join("d")).unwrap();
    assert_eq!(half.expect(2)[1].path, "d/e");
    eventually("watching", || half.root().state == RootState::Watching);
    // One that comes later is said as well.
    fs::create_dir(deepest.join("late")).unwrap();
    eventually("said", || said(&half).contains("a/b/c/late"));
}

#[test]
fn a_state_directory_that_is_a_link_is_said_and_watched_when_it_becomes_real() {
    let (dir, root, state) = place();
    let elsewhere = dir.path().join("elsewhere");
    write(&elsewhere, PHASE, r#"{"n":1}"#);
    let link = |project: &str| {
        let project = root.join(project);
        fs::create_dir_all(&project).unwrap();
        symlink(
            elsewhere.join(".context-foundry"),
            project.join(".context-foundry"),
        )
        .unwrap();
    };
    link("before");
    let half = Half::start(&state, &[&root]);
    assert!(said(&half).contains("before/.context-foundry is a symbolic link"));
    link("later");
    eventually("both said", || said(&half).contains("1 more"));
    for project in ["before", "later"] {
        fs::remove_file(root.join(project).join(".context-foundry")).unwrap();
        write(&root.join(project), PHASE, r#"{"n":2}"#);
    }
    half.expect(2);
    eventually("nothing said", || said(&half).is_empty());
}

#[test]
fn a_directory_without_rights_is_said_until_they_return() {
    if needs_no_rights() {
        return;
    }
    let (_dir, root, state) = place();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    // One that may not be listed, and one that may be listed and not passed.
    let (locked, listed) = (root.join("locked"), root.join("listed"));
    for project in [&locked, &listed] {
        write(project, PHASE, r#"{"n":1}"#);
    }
    mode(&locked, 0o000);
    mode(&listed, 0o444);
    let half = Half::start(&state, &[&root]);
    assert_eq!(half.root().state, RootState::Degraded);
    let both = said(&half);
    assert!(
        both.contains("listed/.context-foundry cannot be looked into: Permission denied"),
        "{both}"
    );
    assert!(both.contains("and 1 more like it"), "{both}");
    mode(&listed, 0o755);
    half.expect(1);
    eventually("one is left", || said(&half).contains("/locked cannot"));
    mode(&locked, 0o755);
    half.expect(2);
    eventually("watching", || half.root().state == RootState::Watching);
}

/// As root, unless its capabilities were taken away.
fn needs_no_rights() -> bool {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o000)).unwrap();
    fs::read_dir(dir.path()).is_ok()
}

#[test]
fn one_directory_under_two_roots_is_watched_once_and_said() {
    let (dir, root, state) = place();
    let project = root.join("p");
    write(&project, PHASE, r#"{"n":1}"#);
    let other = dir.path().join("other");
    symlink(&root, &other).unwrap();
    let half = Half::start(&state, &[&root, &other]);
    assert_eq!(half.expect(1)[0].root, "root");
    let states =
        || -> Vec<RootState> { half.board.roots().iter().map(|root| root.state).collect() };
    // The event of the first root may be there before the second was looked at.
    eventually("the second root is said to be the first", || {
        states().get(1) == Some(&RootState::Degraded)
    });
    let second = half.board.roots().remove(1);
    let reason = second.reason.unwrap_or_default();
    assert!(reason.contains("is the same directory as"), "{reason}");
    // Events still come under the one name.
    write(&project, PHASE, r#"{"n":2}"#);
    assert_eq!(half.expect(2)[1].root, "root");
    // The other root is led elsewhere: it is one of its own now.
    let own = dir.path().join("own");
    write(&own.join("q"), PHASE, r#"{"n":1}"#);
    fs::remove_file(&other).unwrap();
    symlink(&own, &other).unwrap();
    half.mailbox.raise(Flag::Check);
    assert_eq!(half.expect(3)[2].root, "other");
    eventually("both are watched", || {
        states().iter().all(|state| *state == RootState::Watching)
    });
}

#[test]
fn a_root_inside_another_by_a_link_is_watched_once() {
    let (dir, root, state) = place();
    write(&root.join("inner/p"), PHASE, r#"{"n":1}"#);
    let inner = dir.path().join("link");
    symlink(root.join("inner"), &inner).unwrap();
    for roots in [[&root, &inner], [&inner, &root]] {
        let state = state.join(roots[0].file_name().unwrap());
        fs::create_dir(&state).unwrap();
        let half = Half::start(&state, &[roots[0], roots[1]]);
        half.expect(1);
        write(&root.join("inner/p"), PHASE, r#"{"n":2}"#);
        half.expect(2);
        let degraded = half.board.roots();
        let degraded: Vec<_> = degraded.iter().map(|root| root.state).collect();
        assert_eq!(degraded, [RootState::Watching, RootState::Degraded]);
        write(&root.join("inner/p"), PHASE, r#"{"n":1}"#);
        half.expect(3);
    }
}

#[test]
fn a_pruned_ending_is_left_out_and_its_parts_are_not() {
    let (_dir, root, state) = place();
    for project in ["a/b", "b", "x/a/b/c", "a/c"] {
        write(&root.join(project), PHASE, r#"{"n":1}"#);
    }
    let prune = Prune::parse("a/b").unwrap();
    let half = Half::start_with(&state, &[&root], prune, 32);
    let events = half.expect(2);
    let mut found: Vec<&str> = events.iter().map(|event| event.path.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["a/c", "b"]);
    for project in ["late/a/b", "late/b"] {
        write(&root.join(project), PHASE, r#"{"n":1}"#);
    }
    assert_eq!(half.expect(3)[2].path, "late/b");
}
