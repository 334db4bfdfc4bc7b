//! A time on a page: machine-readable, exact on hover, and told how it moves on.

use protocol::Timestamp;

use crate::format;

/// A `<time>`. Without `datetime` it stands for an unknown time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// RFC 3339; empty when unknown.
    pub(crate) datetime: String,
    /// On our clock, milliseconds since the epoch: what the script counts from.
    pub(crate) epoch_ms: i64,
    /// How the script moves it on: `age`, `ago`, `elapsed`; empty when it stands still.
    pub(crate) tick: &'static str,
    /// How the script says it in local time: `clock`, `seconds`, `exact`, `ended`; empty when it counts.
    pub(crate) local: &'static str,
    /// What is read.
    pub(crate) text: String,
    /// Exact times, shown on hover.
    pub(crate) title: String,
    /// `fresh`, `aging`, `old`, `final`, or empty.
    pub(crate) class: &'static str,
}

impl Stamp {
    /// An unknown time.
    pub(crate) fn unknown() -> Self {
        Self {
            text: format::UNKNOWN.to_owned(),
            ..Self::default()
        }
    }

    /// `3 s` with its colour, counting.
    pub(crate) fn age(time: Timestamp, now: Timestamp) -> Self {
        let age_ms = now.millis_since(time);
        Self {
            tick: "age",
            text: format::short(age_ms),
            class: format::age_class(age_ms),
            ..Self::at(time)
        }
    }

    /// `3 s ago` with its colour, counting.
    pub(crate) fn ago(time: Timestamp, now: Timestamp) -> Self {
        let age = Self::age(time, now);
        Self {
            tick: "ago",
            text: format!("{} ago", age.text),
            ..age
        }
    }

    /// When something ended: never an angry age.
    pub(crate) fn ended(time: Timestamp, now: Timestamp) -> Self {
        Self {
            local: "ended",
            text: format::ended(time, now),
            class: "final",
            ..Self::at(time)
        }
    }

    /// The exact time, standing still.
    pub(crate) fn exact(time: Option<Timestamp>) -> Self {
        time.map_or_else(Self::unknown, |time| Self {
            local: "exact",
            text: format::exact(time),
            ..Self::at(time)
        })
    }

    /// The time of day, standing still.
    pub(crate) fn clock(time: Timestamp) -> Self {
        Self {
            local: "clock",
            text: format::clock(time),
            ..Self::at(time)
        }
    }

    /// The time of day with seconds, standing still.
    pub(crate) fn clock_seconds(time: Timestamp) -> Self {
        Self {
            local: "seconds",
            text: format::clock_seconds(time),
            ..Self::at(time)
        }
    }

    /// A running duration since `since` (our clock).
    pub(crate) fn elapsed(since: Timestamp, now: Timestamp) -> Self {
        Self {
            tick: "elapsed",
            text: format::short(now.millis_since(since)),
            ..Self::at(since)
        }
    }

    /// The same, standing still: a moment has no clock that goes on.
    pub(crate) fn still(self) -> Self {
        Self { tick: "", ..self }
    }

    fn at(time: Timestamp) -> Self {
        Self {
            datetime: time.to_string(),
            epoch_ms: time.as_millis(),
            title: format::exact(time),
            ..Self::default()
        }
    }
}
