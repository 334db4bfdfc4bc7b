//! A producer's status words and what each means.

use std::collections::{BTreeMap, BTreeSet};

use crate::BuildState;

/// Stands for every other word.
pub const ANY: &str = "*";

/// What each status word means. Words are compared without case and without
/// what is neither letter nor digit: programs write `self-healing`, others `SelfHealing`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    known: BTreeMap<String, Meaning>,
    others: Option<BuildState>,
    /// `ends` was given: no other word ends a build.
    only_these_end: bool,
}

/// What one word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Of the build where it ends it, else of its current phase.
    pub state: BuildState,
    /// Nothing more is expected after it.
    pub ends: bool,
}

/// Why words cannot be used: which, and what was expected.
#[derive(Debug, PartialEq, Eq)]
pub struct BadWords {
    /// `states` or `ends`.
    pub key: &'static str,
    /// The word that cannot be used.
    pub word: String,
    /// What it is set to; none for a word of `ends`.
    pub value: Option<String>,
    /// What would be right.
    pub expected: String,
}

/// A word as it is compared.
fn bare(word: &str) -> String {
    word.chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn is_end(state: BuildState) -> bool {
    matches!(
        state,
        BuildState::Completed | BuildState::Failed | BuildState::Cancelled
    )
}

impl Words {
    /// From pairs of a word and a state's word, and those that end a build;
    /// none: each that means completed, failed or cancelled.
    ///
    /// # Errors
    /// The first word that cannot be used.
    pub fn new<'a>(
        states: impl IntoIterator<Item = (&'a str, &'a str)>,
        ends: Option<&[&str]>,
    ) -> Result<Self, BadWords> {
        let mut words = Self::default();
        for (word, state) in states {
            let bad = |expected: String| BadWords {
                key: "states",
                word: word.to_owned(),
                value: Some(state.to_owned()),
                expected,
            };
            let Some(known) = BuildState::from_word(state) else {
                let all: Vec<&str> = BuildState::ALL.iter().map(|state| state.word()).collect();
                return Err(bad(format!("one of {}", all.join(", "))));
            };
            if word == ANY {
                if is_end(known) {
                    return Err(bad("a state that ends no build: any word would".to_owned()));
                }
                words.others = Some(known);
                continue;
            }
            let key = bare(word);
            if key.is_empty() {
                return Err(bad("a word with letters or digits, or *".to_owned()));
            }
            let meaning = Meaning {
                state: known,
                ends: is_end(known),
            };
            if words.known.insert(key, meaning).is_some() {
                return Err(bad("each word once; case, - and _ do not count".to_owned()));
            }
        }
        if let Some(ends) = ends {
            words.end_with(ends)?;
        }
        Ok(words)
    }

    fn end_with(&mut self, ends: &[&str]) -> Result<(), BadWords> {
        let named: BTreeSet<String> = ends.iter().map(|word| bare(word)).collect();
        for word in ends {
            if !self.known.get(&bare(word)).is_some_and(|known| known.ends) {
                return Err(BadWords {
                    key: "ends",
                    word: (*word).to_owned(),
                    value: None,
                    expected: "words that states calls completed, failed or cancelled".to_owned(),
                });
            }
        }
        self.only_these_end = true;
        for (word, meaning) in &mut self.known {
            meaning.ends = meaning.ends && named.contains(word);
        }
        Ok(())
    }

    /// What a word means: by the table, else as any other (`*`), else as one of
    /// our own words. None: nobody said.
    #[must_use]
    pub fn of(&self, word: &str) -> Option<Meaning> {
        let word = bare(word);
        if let Some(meaning) = self.known.get(&word) {
            return Some(*meaning);
        }
        let state = self.others.or_else(|| BuildState::from_word(&word))?;
        Some(Meaning {
            state,
            ends: is_end(state) && !self.only_these_end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [(&str, &str); 3] = [("OK", "completed"), ("broken", "failed"), ("*", "running")];

    #[test]
    fn words_are_compared_without_case_and_signs() {
        let words = Words::new([("self-healing", "waiting")], None).unwrap();
        for word in ["SelfHealing", "self_healing", " SELF HEALING "] {
            let meaning = words.of(word).unwrap();
            assert_eq!((meaning.state, meaning.ends), (BuildState::Waiting, false));
        }
        assert_eq!(words.of("other"), None);
    }

    #[test]
    fn only_the_words_of_ends_end_a_build() {
        let all = Words::new(STATES, None).unwrap();
        assert!(all.of("ok").unwrap().ends && all.of("broken").unwrap().ends);
        let one = Words::new(STATES, Some(&["broken"])).unwrap();
        assert!(!one.of("ok").unwrap().ends && one.of("broken").unwrap().ends);
        assert_eq!(one.of("linting").unwrap().state, BuildState::Running);
    }

    #[test]
    fn what_no_table_names_are_our_own_words() {
        let words = Words::new([("ok", "completed")], None).unwrap();
        assert_eq!(words.of("Failed").unwrap().state, BuildState::Failed);
        assert!(words.of("Failed").unwrap().ends);
        assert_eq!(words.of("doing"), None);
        let only = Words::new([("ok", "completed")], Some(&["ok"])).unwrap();
        assert!(!only.of("failed").unwrap().ends);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let bad = |states: &[(&'static str, &'static str)], ends: Option<&[&str]>| {
            Words::new(states.iter().copied(), ends).unwrap_err()
        };
        assert!(
            bad(&[("ok", "fine")], None)
                .expected
                .starts_with("one of queued")
        );
        assert_eq!(bad(&[("a-b", "queued"), ("AB", "queued")], None).word, "AB");
        assert_eq!(bad(&[("*", "failed")], None).word, "*");
        assert_eq!(bad(&[("--", "failed")], None).key, "states");
        assert_eq!(bad(&[("ok", "running")], Some(&["ok"])).key, "ends");
        assert_eq!(bad(&STATES, Some(&["never"])).word, "never");
    }
}
