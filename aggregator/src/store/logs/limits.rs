//! What is kept of one build's log.

/// What is kept of one build's log; the oldest lines give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Lines.
    pub lines: u32,
    /// Bytes of text.
    pub bytes: u64,
}

impl Default for LogLimits {
    /// More than anybody reads, and what a database holds of ten thousand builds.
    fn default() -> Self {
        Self {
            lines: 10_000,
            bytes: 4 * 1024 * 1024,
        }
    }
}

impl LogLimits {
    /// What is expected of `PHASELINE_BUILD_LOG_LINES`.
    pub const LINES_EXPECTED: &str = "a number from 1 to 1000000";
    /// What is expected of `PHASELINE_BUILD_LOG_BYTES`.
    pub const BYTES_EXPECTED: &str = "a size from 16KiB to 1GiB such as 4MiB";

    /// Reads the one.
    #[must_use]
    pub fn read_lines(text: &str) -> Option<u32> {
        let lines = text.trim().parse().ok()?;
        (1..=1_000_000).contains(&lines).then_some(lines)
    }

    /// Reads the other: bytes, or with a unit.
    #[must_use]
    pub fn read_bytes(text: &str) -> Option<u64> {
        let bytes = protocol::units::bytes(text)?;
        (16 << 10..=1 << 30).contains(&bytes).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_and_sizes_within_reason() {
        assert_eq!(LogLimits::read_lines("20000"), Some(20_000));
        assert_eq!(LogLimits::read_bytes("8 MiB"), Some(8 << 20));
        for bad in ["", "0", "-1", "x", "1000001"] {
            assert_eq!(LogLimits::read_lines(bad), None, "{bad}");
        }
        for bad in ["", "1", "2GiB", "4 TB", "99999999999999999999"] {
            assert_eq!(LogLimits::read_bytes(bad), None, "{bad}");
        }
    }
}
