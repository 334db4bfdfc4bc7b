//! Ids that were seen, the newest so many of them.

use std::collections::{HashSet, VecDeque};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::line::Id;

/// Ids that are remembered of one kind: ten times what the longest real run
/// has. Where one returns after more others, it is counted again, and the
/// result line corrects it.
const MAX_IDS: usize = 8_192;

/// Ids, in the order in which they were first seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    order: VecDeque<Id>,
    ids: HashSet<Id>,
}

impl Seen {
    /// Remembers an id; true when it is new. One without an id always is.
    pub(super) fn insert(&mut self, id: Option<Id>) -> bool {
        let Some(id) = id else { return true };
        if !self.ids.insert(id) {
            return false;
        }
        if self.order.len() == MAX_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.order.push_back(id);
        true
    }
}

/// As one text of 16 hex digits per id: it is saved often.
impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(self.order.len() * 16);
        for id in &self.order {
            let _ = write!(text, "{id:016x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut seen = Self::default();
        for digits in text.as_bytes().chunks(16) {
            let digits = std::str::from_utf8(digits).map_err(D::Error::custom)?;
            let id = Id::from_str_radix(digits, 16).map_err(D::Error::custom)?;
            seen.insert(Some(id));
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_again_also_after_saving_and_the_oldest_give_way() {
        let mut seen = Seen::default();
        for id in 0..=MAX_IDS as u64 {
            assert!(seen.insert(Some(id)));
        }
        let text = serde_json::to_string(&seen).unwrap();
        let mut back: Seen = serde_json::from_str(&text).unwrap();
        assert_eq!(back, seen);
        assert!(!back.insert(Some(1)));
        assert!(back.insert(Some(0)));
        assert!(back.insert(None) && back.insert(None));
        assert_eq!(back.ids.len(), MAX_IDS);
    }
}
