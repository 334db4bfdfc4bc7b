//! An outbox that is damaged while the agent runs: every state is read again,
//! and what stands on the disk is in the new one.

use super::*;

/// A file's event waits, the outbox is spoiled behind the agent's back, and
/// another file changes; the documents that wait then.
fn after_damage(without: Vec<Walk>) -> Vec<String> {
    let (_dir, root, state) = place();
    let producers = Producers::built_in();
    let walks_anew = without.is_empty();
    let half = Half::start_setup(&state, &[&root], producers, Prune::default(), 32, without);
    write(&root.join("a"), PHASE, r#"{"n":1}"#);
    half.expect(1);
    let other = rusqlite::Connection::open(state.join("outbox.db")).unwrap();
    let spoil = "UPDATE event SET payload = x'7B7D'";
    assert_eq!(other.execute(spoil, []), Ok(1));
    drop(other);
    // Reading it from the disk finds the damage: an empty one is begun.
    assert!(half.outbox.load(-1, usize::MAX, usize::MAX).is_err());
    write(&root.join("b"), PHASE, r#"{"n":2}"#);
    let shown = |event: &Event| document(event).to_owned();
    let has = |text: &str| half.events().iter().any(|event| document(event) == text);
    eventually("what changed after it is there", || has(r#"{"n":2}"#));
    if walks_anew {
        eventually("what stood before it is there", || has(r#"{"n":1}"#));
    }
    // Everything that was hinted before this has been looked at.
    write(&root.join("marker"), PHASE, r#"{"marker":1}"#);
    eventually("the marker", || has(r#"{"marker":1}"#));
    let mut documents: Vec<String> = half.events().iter().map(shown).collect();
    documents.sort();
    documents
}

#[test]
fn an_outbox_that_is_damaged_meanwhile_hides_no_state() {
    let all = [r#"{"marker":1}"#, r#"{"n":1}"#, r#"{"n":2}"#];
    assert_eq!(after_damage(Vec::new()), all);
}

#[test]
fn control_without_the_walk_after_damage_a_state_stays_hidden() {
    assert_eq!(
        after_damage(vec![Walk::AfterDamage]),
        [r#"{"marker":1}"#, r#"{"n":2}"#]
    );
}
