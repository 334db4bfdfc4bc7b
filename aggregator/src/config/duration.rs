//! Ages in settings: a whole number and a unit, e.g. `90d`.

use std::time::Duration;

/// Reads `90d`; units are s, m, h, d and w. None for anything else.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number = &text[..text.len() - unit.len_utf8()];
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    // A century: beyond it dates in Postgres and in our own type would overflow.
    (seconds <= 100 * 365 * 86_400).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_whole_number_and_a_unit() {
        assert_eq!(parse("90d"), Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(parse(" 2w "), Some(Duration::from_secs(14 * 86_400)));
        for bad in [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "1.5h",
            "1y",
            "99999999999999999999d",
            "9e9d",
            "١d",
            "1é",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
