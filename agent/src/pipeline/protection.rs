//! Walks that protect from something: each can be left out, by tests that show
//! what it is for.

use super::Setup;

/// A walk that protects from something, by the name that switches it off in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Of a directory that appeared.
    OfNew,
    /// Of the same a moment later.
    SecondLook,
    /// Of all roots, when events were lost.
    AfterOverflow,
    /// Of all roots, when the outbox was damaged.
    AfterDamage,
}

impl Walk {
    /// Each, and what it is called.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::OfNew, "walk_of_new"),
        (Self::SecondLook, "second_look"),
        (Self::AfterOverflow, "walk_after_overflow"),
        (Self::AfterDamage, "walk_after_damage"),
    ];
}

impl Setup {
    /// Whether this walk is not left out.
    pub(super) fn does(&self, walk: Walk) -> bool {
        !self.without.contains(&walk)
    }
}
