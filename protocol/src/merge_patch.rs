//! Merge patches (RFC 7396) between two states of a build.

use serde_json::{Map, Value};

/// Members that travel whole whenever anything in them changed.
const WHOLE: [&str; 1] = ["fields"];

/// The patch that turns `before` into `after`, both objects: changed members,
/// removed ones as null. Arrays come whole, and so does `fields`, with a null
/// for each member that it lost, so that a strict RFC 7396 reader loses it too.
#[must_use]
pub fn diff(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, new) in after {
        match (before.get(key), new) {
            (Some(old), new) if old == new => {}
            (None, Value::Null) => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                let inner = if WHOLE.contains(&key.as_str()) {
                    let mut whole = new.clone();
                    add_removed(old, new, &mut whole);
                    whole
                } else {
                    diff(old, new)
                };
                patch.insert(key.clone(), Value::Object(inner));
            }
            (_, new) => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    add_removed(before, after, &mut patch);
    patch
}

fn add_removed(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    patch: &mut Map<String, Value>,
) {
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
}

/// Applies a patch as RFC 7396, section 2, but a top-level null stays a null
/// member: a build always has all its fields.
pub fn apply(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (target.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(patch)) => apply_inner(inner, patch),
            (_, Value::Object(patch)) => {
                let mut inner = Map::new();
                apply_inner(&mut inner, patch);
                target.insert(key.clone(), Value::Object(inner));
            }
            (_, value) => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

fn apply_inner(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (target.get_mut(key), value) {
            (_, Value::Null) => {
                target.remove(key);
            }
            (Some(Value::Object(inner)), Value::Object(patch)) => apply_inner(inner, patch),
            (_, Value::Object(patch)) => {
                let mut inner = Map::new();
                apply_inner(&mut inner, patch);
                target.insert(key.clone(), Value::Object(inner));
            }
            (_, value) => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => unreachable!("test data is an object"),
        }
    }

    #[test]
    fn only_what_changed_is_sent_and_fields_come_whole() {
        let before = object(
            json!({"id":"a","phase":"Scout","tokens":{"input":1,"output":2},"fields":{"x":1,"y":2},"phases":[1]}),
        );
        let after = object(
            json!({"id":"a","phase":"Test","tokens":{"input":1,"output":3},"fields":{"x":1,"z":3},"phases":[1,2]}),
        );
        assert_eq!(
            Value::Object(diff(&before, &after)),
            json!({"phase":"Test","tokens":{"output":3},"fields":{"x":1,"z":3,"y":null},"phases":[1,2]})
        );
        assert!(diff(&after, &after).is_empty());
    }

    fn flat() -> impl Strategy<Value = Map<String, Value>> {
        let leaf = prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!([1, 2]))];
        let inner = proptest::collection::btree_map("[a-c]", leaf.clone(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()));
        let any = prop_oneof![leaf, inner.clone(), Just(Value::Null)];
        let members = ["fields", "tokens", "a", "b"]
            .map(|key| any.clone().prop_map(move |value| (key.to_owned(), value)));
        members.prop_map(|pairs| pairs.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_patch_leads_from_one_state_to_the_next(before in flat(), after in flat()) {
            let mut state = before.clone();
            apply(&mut state, &diff(&before, &after));
            prop_assert_eq!(state, after);
        }
    }
}
