//! How long a phase may be silent before its build counts as stalled: learned
//! from past visits of that phase in that project, a default before that.

use std::collections::BTreeMap;

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

use super::limits::{MAX_VISITED_PHASES, MAX_VISITS};

/// Before enough is known: whole phases of 13 minutes without a write are normal.
pub(super) const DEFAULT_LIMIT_MS: i64 = 15 * 60_000;
/// Never call a build stalled earlier than this, however quick its past was.
pub(super) const LEAST_LIMIT_MS: i64 = 10 * 60_000;
/// Visits of a phase after which the past is trusted.
pub(super) const TRUSTED_VISITS: usize = 20;

/// How long a build may be silent now, and how we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Milliseconds after the last sign of life.
    pub limit_ms: i64,
    /// For people.
    pub evidence: String,
}

/// The longest silences of past visits, per phase, and of the visit that goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Silences {
    past: BTreeMap<String, Vec<i64>>,
    visit: Option<Visit>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Visit {
    phase: String,
    last: Timestamp,
    longest_ms: i64,
}

impl Silences {
    /// A sign of life in a phase: goes on with its visit, or ends the one before.
    pub(super) fn seen(&mut self, phase: &str, at: Timestamp) {
        match &mut self.visit {
            Some(visit) if visit.phase == phase => {
                visit.longest_ms = visit.longest_ms.max(at.millis_since(visit.last));
                visit.last = at;
            }
            _ => {
                self.leave(at);
                self.visit = Some(Visit {
                    phase: phase.to_owned(),
                    last: at,
                    longest_ms: 0,
                });
            }
        }
    }

    /// The visit is over, at the sign of life that ended it.
    pub(super) fn leave(&mut self, at: Timestamp) {
        let Some(visit) = self.visit.take() else {
            return;
        };
        if self.past.len() >= MAX_VISITED_PHASES && !self.past.contains_key(&visit.phase) {
            return;
        }
        let past = self.past.entry(visit.phase).or_default();
        past.push(visit.longest_ms.max(at.millis_since(visit.last)));
        if past.len() > MAX_VISITS {
            past.remove(0);
        }
    }

    /// Forgets a visit whose end was not seen.
    pub(super) fn abandon(&mut self) {
        self.visit = None;
    }

    /// What is usual in this phase.
    pub(super) fn limit(&self, phase: Option<&str>) -> Silence {
        let past = phase
            .and_then(|phase| self.past.get(phase))
            .map_or(&[][..], Vec::as_slice);
        if past.len() < TRUSTED_VISITS {
            return Silence {
                limit_ms: DEFAULT_LIMIT_MS,
                evidence: format!(
                    "the limit is {} until {TRUSTED_VISITS} visits of this phase are known ({} so far)",
                    minutes(DEFAULT_LIMIT_MS),
                    past.len()
                ),
            };
        }
        let mut sorted = past.to_vec();
        sorted.sort_unstable();
        // Nearest rank: the smallest value that at least 95 % do not exceed.
        let rank = (sorted.len() * 95).div_ceil(100);
        let usual = sorted[rank - 1];
        let limit_ms = usual.max(LEAST_LIMIT_MS);
        let evidence = format!(
            "this phase was silent for at most {} in {rank} of {} past visits",
            minutes(usual),
            sorted.len()
        );
        Silence { limit_ms, evidence }
    }
}

/// A span for people: `40 s`, `6 min`, `2 h 5 min`.
pub(super) fn minutes(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn the_default_holds_until_twenty_visits_are_known() {
        let mut silences = Silences::default();
        for visit in 0..19 {
            silences.seen("Test", at(visit * 1000));
            silences.leave(at(visit * 1000 + 900));
        }
        assert_eq!(silences.limit(Some("Test")).limit_ms, DEFAULT_LIMIT_MS);
        silences.seen("Test", at(50_000));
        silences.leave(at(50_000 + 900));
        let learned = silences.limit(Some("Test"));
        assert_eq!(learned.limit_ms, 900_000);
        assert!(
            learned.evidence.contains("at most 15 min in 19 of 20"),
            "{}",
            learned.evidence
        );
        assert_eq!(silences.limit(Some("Scout")).limit_ms, DEFAULT_LIMIT_MS);
        assert_eq!(silences.limit(None).limit_ms, DEFAULT_LIMIT_MS);
    }

    #[test]
    fn a_quick_past_never_lowers_the_limit_below_ten_minutes() {
        let mut silences = Silences::default();
        for visit in 0..40 {
            silences.seen("Scout", at(visit * 10));
            silences.seen("Scout", at(visit * 10 + 2));
            silences.leave(at(visit * 10 + 3));
        }
        assert_eq!(silences.limit(Some("Scout")).limit_ms, LEAST_LIMIT_MS);
    }

    #[test]
    fn one_hung_visit_in_twenty_does_not_count() {
        let mut silences = Silences::default();
        for visit in 0..20 {
            let length = if visit == 7 { 9 * 3600 } else { 660 };
            silences.seen("Builder", at(visit * 100_000));
            silences.leave(at(visit * 100_000 + length));
        }
        assert_eq!(silences.limit(Some("Builder")).limit_ms, 660_000);
    }
}
