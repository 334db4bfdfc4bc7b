//! What a report of a test run says in figures. Such reports are written by
//! language models and by test runners, in words without a fixed form; a
//! figure that is not told is absent, never 0. The text itself stays on the host.

use serde_json::{Value, json};

/// Lines of a report that are looked at: ten times the longest real one.
const MAX_LINES: usize = 20_000;
/// Longer numbers are no counts of tests.
const MAX_DIGITS: usize = 7;
/// Words before `passed` among which its number is looked for.
const NEAR: usize = 4;

/// Figures of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Figures {
    passed: Option<u64>,
    failed: Option<u64>,
    skipped: Option<u64>,
    total: Option<u64>,
}

/// What one word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Passed,
    Failed,
    Skipped,
    Total,
}

/// What is told of a report; `None`: it was too long to be looked through.
pub(crate) fn digest(text: Option<&str>, bytes: u64) -> Value {
    let figures = text.map(figures).unwrap_or_default();
    json!({
        "digest": "test-report", "v": 1, "bytes": bytes,
        "passed": figures.passed, "failed": figures.failed,
        "skipped": figures.skipped, "total": figures.total,
        "success": text.and_then(verdict),
    })
}

/// The figures of the first section that has any: reports begin with their
/// summary, and what follows says the same again in detail. A line that is
/// about all of it counts alone; else the lines of the section are added up.
fn figures(text: &str) -> Figures {
    let mut sum = Figures::default();
    for line in text.lines().take(MAX_LINES) {
        if line.starts_with('#') && sum != Figures::default() {
            break;
        }
        let told = of_line(line);
        if told == Figures::default() {
            continue;
        }
        if is_about_all(line) && (told.passed.is_some() || told.failed.is_some()) {
            return told;
        }
        sum.add(told);
    }
    sum
}

fn is_about_all(line: &str) -> bool {
    let lower = line.to_lowercase();
    let first = lower.trim_start_matches(|c: char| !c.is_alphabetic());
    let whole = ["tests:", "overall", "all tests", "total:", "test result:"];
    whole.iter().any(|word| first.starts_with(word)) || lower.starts_with("===")
}

/// Figures of one line: `12 passed, 3 failed`, `Passed: 12`, `| Failed | 3 |`, `10/12 PASSED`.
fn of_line(line: &str) -> Figures {
    let mut told = Figures::default();
    let lower = line.to_lowercase();
    // Files with tests in them are no tests.
    if lower.contains("suite") || lower.contains("test files") || lower.contains("coverage") {
        return told;
    }
    let words = words(&lower);
    for (at, word) in words.iter().enumerate() {
        let Word::Text(text, labels) = word else {
            continue;
        };
        let Some(counts) = counts(text) else {
            continue;
        };
        let value = if *labels {
            words[at + 1..].first()
        } else {
            // Before it, with nothing between but what is counted: `13 unit tests passed`.
            let mut before = words[..at].iter().rev().take(NEAR);
            before.find(|word| !matches!(word, Word::Text(text, false) if is_noun(text)))
        };
        match value {
            Some(Word::Number(n)) => told.take(counts, *n),
            Some(Word::Of(n, all)) => {
                told.take(counts, *n);
                told.total.get_or_insert(*all);
            }
            _ => {}
        }
    }
    told
}

/// A word of a line.
#[derive(Debug, PartialEq)]
enum Word {
    /// In lower case; whether it labels what follows (`passed:`, `| passed |`).
    Text(String, bool),
    /// `12`.
    Number(u64),
    /// `10/12`.
    Of(u64, u64),
}

fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(|c: char| c.is_alphanumeric()) {
        rest = &rest[at..];
        let is_number = rest.starts_with(|c: char| c.is_ascii_digit());
        let inside = |c: char| match is_number {
            // A version, a time or a percentage is no count.
            true => c.is_ascii_digit() || matches!(c, '/' | '.' | '%') || c.is_alphabetic(),
            false => c.is_alphanumeric() || matches!(c, '_' | '-'),
        };
        let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if is_number {
            words.extend(number(word.trim_end_matches('.')));
        } else {
            let labels = after
                .trim_start_matches(['*', '_', ' '])
                .starts_with([':', '|']);
            words.push(Word::Text(word.to_owned(), labels));
        }
    }
    words
}

fn number(word: &str) -> Option<Word> {
    let count = |text: &str| match text.len() {
        1..=MAX_DIGITS => text.parse::<u64>().ok(),
        _ => None,
    };
    match word.split_once('/') {
        Some((n, all)) => Some(Word::Of(count(n)?, count(all)?)),
        None => count(word).map(Word::Number),
    }
}

/// Names of what is counted.
fn is_noun(word: &str) -> bool {
    matches!(
        word,
        "test"
            | "tests"
            | "unit"
            | "integration"
            | "e2e"
            | "specs"
            | "cases"
            | "checks"
            | "assertions"
    )
}

fn counts(word: &str) -> Option<Counts> {
    match word {
        "passed" | "passing" | "pass" => Some(Counts::Passed),
        "failed" | "failing" | "failures" | "fail" => Some(Counts::Failed),
        "skipped" | "ignored" | "pending" => Some(Counts::Skipped),
        "total" => Some(Counts::Total),
        _ => None,
    }
}

impl Figures {
    /// The first figure of a kind in a line stands.
    fn take(&mut self, counts: Counts, n: u64) {
        let place = match counts {
            Counts::Passed => &mut self.passed,
            Counts::Failed => &mut self.failed,
            Counts::Skipped => &mut self.skipped,
            Counts::Total => &mut self.total,
        };
        place.get_or_insert(n);
    }

    fn add(&mut self, more: Self) {
        let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.passed = add(self.passed, more.passed);
        self.failed = add(self.failed, more.failed);
        self.skipped = add(self.skipped, more.skipped);
        self.total = add(self.total, more.total);
    }
}

/// What the first line that is labelled as the outcome says: `Status: PASSED`.
fn verdict(text: &str) -> Option<bool> {
    let lines = text.lines().take(MAX_LINES);
    lines.filter_map(outcome).next()
}

fn outcome(line: &str) -> Option<bool> {
    let lower = line.to_lowercase();
    let (label, told) = lower.split_once(':')?;
    let label = label.trim_matches(|c: char| !c.is_alphabetic());
    if !matches!(
        label,
        "status" | "overall status" | "result" | "overall result" | "test status" | "outcome"
    ) {
        return None;
    }
    let any = |words: &[&str]| words.iter().any(|word| told.contains(word));
    if any(&["partial", "partly", "mixed", "progress"]) {
        return None;
    }
    if any(&["fail", "❌", "✗", "error"]) {
        return Some(false);
    }
    any(&["pass", "success", "✅", "ok"]).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> [Option<u64>; 4] {
        let f = figures(text);
        [f.passed, f.failed, f.skipped, f.total]
    }

    #[test]
    fn figures_are_read_in_every_form_that_is_known() {
        for (text, expected) in [
            (
                "Tests: 2 failed, 20 passed, 22 total",
                [Some(20), Some(2), None, Some(22)],
            ),
            (
                "Test Suites: 1 failed, 3 passed\nTests:       4 passed, 4 total",
                [Some(4), None, None, Some(4)],
            ),
            (
                "===== 5 failed, 12 passed, 3 skipped in 1.25s =====",
                [Some(12), Some(5), Some(3), None],
            ),
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured",
                [Some(12), Some(0), Some(1), None],
            ),
            (
                "- **Passed**: 12\n- **Failed**: 3\n- Total: 15",
                [Some(12), Some(3), None, Some(15)],
            ),
            (
                "✅ Tests Passed: 7\n❌ Tests Failed: 0",
                [Some(7), Some(0), None, None],
            ),
            (
                "| Passed | 12 |\n| Failed | 3 |",
                [Some(12), Some(3), None, None],
            ),
            (
                "Core logic proven correct (13/13 unit tests passed)",
                [Some(13), None, None, Some(13)],
            ),
            (
                "# Results\n## Summary\n- **Banner**: ✅ 10/10 PASSED (100%)\n- **Server**: ⚠️ 3/22 PASSED (14%)\n## Details\n**Failed Tests (5)**:",
                [Some(13), None, None, Some(32)],
            ),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_figure_is_absent_and_never_0() {
        for text in [
            "",
            "All tests passed successfully",
            "Test 3: the server failed to start",
            "passed in 1.25s, 95% passed",
            "Coverage: 80 passed",
            "99999999999999999999 passed",
            "\u{0}\u{ff}|:|:|",
        ] {
            assert_eq!(told(text), [None; 4], "{text}");
        }
    }

    #[test]
    fn an_outcome_is_what_is_labelled_as_one() {
        for (text, expected) in [
            ("**Status**: ✅ ALL PASSING", Some(true)),
            ("# x\nResult: FAILED\nStatus: passed", Some(false)),
            ("Status: ⚠️ PARTIALLY PASSING", None),
            ("the tests passed", None),
            ("Status: unclear", None),
        ] {
            assert_eq!(verdict(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_looked_through(text in "(?s).{0,200}", words in "([0-9]{1,9}|[/:|*# \\n]|passed|failed|total){0,20}") {
            let _ = digest(Some(&text), 0);
            let _ = digest(Some(&words), 0);
        }
    }
}
