//! A point in time as Phaseline writes it everywhere: RFC 3339, UTC, with
//! milliseconds, e.g. `2026-11-20T10:08:17.042Z`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch, UTC. Serialised as RFC 3339 (section 5.6)
/// with exactly three fractional digits; finer input is cut, not rounded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime, example = "2026-11-20T10:08:17.042Z"))]
pub struct Timestamp(i64);

/// The text was no RFC 3339 time between the years 0000 and 9999.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time such as 2026-11-20T10:08:17.042Z")]
pub struct BadTimestamp(String);

/// 0000-01-01T00:00:00.000Z: RFC 3339 has no years before it.
const EARLIEST_MS: i64 = -62_167_219_200_000;
/// 9999-12-30T21:59:59.999Z: the last second that jiff can print; RFC 3339 ends a day later.
const LATEST_MS: i64 = 253_402_207_199_999;

impl Timestamp {
    /// Reads what people and forms write: RFC 3339, and without an offset a date
    /// (`2026-11-20`, its beginning) or a time to the minute or finer
    /// (`2026-11-20T10:08`), which are UTC.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn read(text: &str) -> Result<Self, BadTimestamp> {
        let text = text.trim();
        let is_date = text.len() == 10;
        // `2026-11-20T10:08` to `2026-11-20T10:08:17.042`: nothing behind it tells an offset.
        let is_local = (16..=29).contains(&text.len())
            && text.get(16..).is_some_and(|rest| {
                rest.chars()
                    .all(|c| c.is_ascii_digit() || matches!(c, ':' | '.'))
            });
        match (is_date, is_local) {
            (true, _) => format!("{text}T00:00:00Z").parse(),
            (_, true) => format!("{text}Z").parse(),
            _ => text.parse(),
        }
    }

    /// From milliseconds since the Unix epoch; beyond the years 0000 to 9999 it is clamped.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(EARLIEST_MS, LATEST_MS))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// From the system's representation (file times, Postgres).
    #[must_use]
    pub fn from_system_time(time: SystemTime) -> Self {
        let millis = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(LATEST_MS),
            Err(before) => {
                i64::try_from(before.duration().as_millis()).map_or(EARLIEST_MS, |ms| -ms)
            }
        };
        Self::from_millis(millis)
    }

    /// To the system's representation (Postgres).
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        let span = Duration::from_millis(self.0.unsigned_abs());
        if self.0 >= 0 {
            UNIX_EPOCH + span
        } else {
            UNIX_EPOCH - span
        }
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// This time plus a number of milliseconds, which may be negative.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => Err(fmt::Error),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|time| Self::from_millis(time.as_millisecond()))
            .map_err(|_| BadTimestamp(text.chars().take(64).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_sends_is_utc() {
        for (text, expected) in [
            ("2026-11-20", "2026-11-20T00:00:00.000Z"),
            ("2026-11-20T10:08", "2026-11-20T10:08:00.000Z"),
            ("2026-11-20T10:08:17", "2026-11-20T10:08:17.000Z"),
            ("2026-11-20T10:08:17.042", "2026-11-20T10:08:17.042Z"),
            ("2026-11-20T10:08:17.042Z", "2026-11-20T10:08:17.042Z"),
            ("2026-11-20T11:08:17+01:00", "2026-11-20T10:08:17.000Z"),
        ] {
            assert_eq!(
                Timestamp::read(text).unwrap().to_string(),
                expected,
                "{text}"
            );
        }
        for bad in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-20T25:00",
            "2026-11-2é",
            "10:08:17.042:.:.:.:.",
        ] {
            assert!(Timestamp::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn is_written_with_three_digits_and_z() {
        assert_eq!(
            Timestamp::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_millis(1_795_169_297_042).to_string(),
            "2026-11-20T10:08:17.042Z"
        );
    }

    #[test]
    fn reads_offsets_and_finer_digits() {
        let time: Timestamp = "2026-11-20T11:08:17.0429+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-20T10:08:17.042Z");
        assert!("2026-11-20".parse::<Timestamp>().is_err());
        assert!("2025-01-14T00:25:00".parse::<Timestamp>().is_err());
    }

    #[test]
    fn extremes_are_clamped_and_still_printable() {
        for extreme in [i64::MIN, i64::MAX] {
            let time = Timestamp::from_millis(extreme);
            let text = time.to_string();
            assert_eq!(text.parse::<Timestamp>().unwrap(), time, "{text}");
        }
        let time = Timestamp::from_millis(-1);
        assert_eq!(Timestamp::from_system_time(time.to_system_time()), time);
    }
}
