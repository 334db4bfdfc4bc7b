//! Durations, times, money and counts as people read them. `static/format.js`
//! says the same in the browser, where times are local; here they are UTC.

use protocol::{Money, Timestamp};

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day, milliseconds.
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// What stands where a value is unknown.
pub(crate) const UNKNOWN: &str = "—";

/// Younger is green, milliseconds.
const FRESH_MS: i64 = 5 * SECOND_MS;
/// Younger is yellow, older red, milliseconds.
const AGING_MS: i64 = 30 * SECOND_MS;

/// The class of an age: `fresh`, `aging` or `old`.
pub(crate) fn age_class(age_ms: i64) -> &'static str {
    match age_ms {
        ms if ms < FRESH_MS => "fresh",
        ms if ms < AGING_MS => "aging",
        _ => "old",
    }
}

/// A duration of any length in at most seven characters: `48 s`, `14 min`, `1 h 04`, `3 d`.
pub(crate) fn short(ms: i64) -> String {
    let ms = ms.max(0);
    match ms {
        ms if ms < MINUTE_MS => format!("{} s", ms / SECOND_MS),
        ms if ms < HOUR_MS => format!("{} min", ms / MINUTE_MS),
        ms if ms < DAY_MS => format!("{} h {:02}", ms / HOUR_MS, ms % HOUR_MS / MINUTE_MS),
        ms => format!("{} d", ms / DAY_MS),
    }
}

/// A duration that is compared with others: `120 ms`, `4.2 s`, `48 s`, `3 min 05 s`, `1 h 04`.
pub(crate) fn precise(ms: i64) -> String {
    let ms = ms.max(0);
    match ms {
        ms if ms < SECOND_MS => format!("{ms} ms"),
        ms if ms < 10 * SECOND_MS => format!("{}.{} s", ms / SECOND_MS, ms % SECOND_MS / 100),
        ms if ms < MINUTE_MS => format!("{} s", ms / SECOND_MS),
        ms if ms < HOUR_MS => {
            format!("{} min {:02} s", ms / MINUTE_MS, ms % MINUTE_MS / SECOND_MS)
        }
        ms => short(ms),
    }
}

/// US dollars, as [`Money::to_cents`] rounds them; `~` marks an estimate.
pub(crate) fn money(usd: Money, estimated: bool) -> String {
    let mark = if estimated { "~" } else { "" };
    match usd.to_cents().as_str() {
        "0.00" if usd != Money::ZERO => format!("{mark}<$0.01"),
        cents => format!("{mark}${cents}"),
    }
}

/// A count: `940`, `41 k`, `1.9 M`.
#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
pub(crate) fn count(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..10_000 => format!("{:.1} k", n as f64 / 1e3),
        10_000..1_000_000 => format!("{} k", n / 1_000),
        _ => format!("{:.1} M", n as f64 / 1e6),
    }
}

/// A size: `940 B`, `12 KiB`, `1.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} B"),
        1_024..1_048_576 => format!("{} KiB", n / 1_024),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

/// `14:02Z`: the time of day in UTC.
pub(crate) fn clock(time: Timestamp) -> String {
    time.to_string()
        .get(11..16)
        .map_or_else(String::new, |hhmm| format!("{hhmm}Z"))
}

/// `14:02:11Z`: the time of day in UTC, with seconds.
pub(crate) fn clock_seconds(time: Timestamp) -> String {
    time.to_string()
        .get(11..19)
        .map_or_else(String::new, |text| format!("{text}Z"))
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Older days are told with their year, milliseconds.
const YEAR_MATTERS_MS: i64 = 300 * DAY_MS;

/// `20 Nov`, or `Nov 2025` when that is long ago: the day in UTC.
fn day(time: Timestamp, now: Timestamp) -> String {
    let text = time.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().unwrap_or(1);
    let month = MONTHS
        .get(month.wrapping_sub(1))
        .copied()
        .unwrap_or_default();
    if now.millis_since(time) < YEAR_MATTERS_MS {
        format!("{} {month}", part(8..10).trim_start_matches('0'))
    } else {
        format!("{month} {}", part(0..4))
    }
}

/// `2026-11-20 14:02:11.042 UTC`.
pub(crate) fn exact(time: Timestamp) -> String {
    let text = time.to_string();
    let day = text.get(..10).unwrap_or_default();
    let rest = text.get(11..23).unwrap_or_default();
    format!("{day} {rest} UTC")
}

/// [`exact`] of milliseconds since the epoch.
pub(crate) fn exact_ms(ms: &i64) -> String {
    exact(Timestamp::from_millis(*ms))
}

/// When something ended: the time of day within the last 24 h, else the day.
pub(crate) fn ended(time: Timestamp, now: Timestamp) -> String {
    if now.millis_since(time) < DAY_MS {
        clock(time)
    } else {
        day(time, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_length() {
        let cases = [
            (-5, "0 s"),
            (48_900, "48 s"),
            (14 * MINUTE_MS, "14 min"),
            (HOUR_MS + 4 * MINUTE_MS, "1 h 04"),
            (23 * HOUR_MS, "23 h 00"),
            (3 * DAY_MS, "3 d"),
        ];
        for (ms, text) in cases {
            assert_eq!(short(ms), text);
        }
        assert_eq!(precise(120), "120 ms");
        assert_eq!(precise(4_250), "4.2 s");
        assert_eq!(precise(185_000), "3 min 05 s");
    }

    #[test]
    fn an_age_is_green_below_5_s_yellow_below_30_s_and_red_beyond() {
        assert_eq!(age_class(4_999), "fresh");
        assert_eq!(age_class(5_000), "aging");
        assert_eq!(age_class(29_999), "aging");
        assert_eq!(age_class(30_000), "old");
    }

    #[test]
    fn times_are_cut_from_the_written_form() {
        let time = Timestamp::from_millis(1_795_169_297_042);
        assert_eq!(clock(time), "10:08Z");
        assert_eq!(exact(time), "2026-11-20 10:08:17.042 UTC");
        assert_eq!(ended(time, time.plus_millis(DAY_MS - 1)), "10:08Z");
        assert_eq!(ended(time, time.plus_millis(DAY_MS)), "20 Nov");
        assert_eq!(ended(time, time.plus_millis(400 * DAY_MS)), "Nov 2026");
    }

    #[test]
    fn money_and_counts_are_short() {
        let money = |usd: &str, estimated| money(usd.parse().unwrap(), estimated);
        assert_eq!(money("4.123", false), "$4.12");
        assert_eq!(money("0.125", false), "$0.13");
        assert_eq!(money("0.001", true), "~<$0.01");
        assert_eq!(money("0", false), "$0.00");
        assert_eq!(count(41_234), "41 k");
        assert_eq!(count(1_900_000), "1.9 M");
        assert_eq!(bytes(12_400), "12 KiB");
    }
}
