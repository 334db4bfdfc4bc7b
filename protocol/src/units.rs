//! Sizes and ages as people write them in settings: a whole number and a unit,
//! e.g. `512MiB`, `90d`. Every program reads them alike.

use std::time::Duration;

/// A century: beyond it dates in Postgres and in our own type would overflow.
const LONGEST_AGE_SECONDS: u64 = 100 * 365 * 86_400;

/// Reads a size in bytes: `512MiB`, `2 GB`, or without a unit. None for anything else.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Reads an age: `90d`; units are s, m, h, d and w. None for anything else, and beyond a century.
#[must_use]
pub fn age(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let seconds = number.checked_mul(factor)?;
    (seconds <= LONGEST_AGE_SECONDS).then(|| Duration::from_secs(seconds))
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text[..text.len() - unit.len()].parse().ok()?;
    Some((number, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_or_decimal_as_written() {
        assert_eq!(bytes("512MiB"), Some(512 << 20));
        assert_eq!(bytes(" 2 GB "), Some(2_000_000_000));
        assert_eq!(bytes("7"), Some(7));
        for bad in [
            "",
            "MiB",
            "-1",
            "1.5G",
            "1TiBx",
            "99999999999999999999",
            "99999999999G",
        ] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ages_need_a_unit() {
        assert_eq!(age("90d"), Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(age(" 2w "), Some(Duration::from_secs(14 * 86_400)));
        for bad in [
            "",
            "90",
            "d",
            "-1d",
            "+1d",
            "1.5h",
            "1y",
            "99999999w",
            "99999999999999999999d",
            "9e9d",
            "١d",
            "1é",
        ] {
            assert_eq!(age(bad), None, "{bad:?}");
        }
    }
}
