//! Percentiles and the table at the end.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Measured spans.
pub(crate) struct Spans(Histogram<u64>);

impl Spans {
    /// None yet; a minute is the longest that counts.
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("sensible bounds"))
    }

    pub(crate) fn add(&mut self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos);
    }

    /// Milliseconds that `quantile` (0 to 1) of the spans did not exceed.
    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        let micros = Duration::from_nanos(self.0.value_at_quantile(quantile)).as_secs_f64();
        micros * 1_000.0
    }

    /// One line for people.
    pub(crate) fn line(&self, what: &str) {
        println!(
            "{what:<38} p50 {:>7.3}  p90 {:>7.3}  p99 {:>7.3}  max {:>8.3} ms  ({})",
            self.ms(0.5),
            self.ms(0.9),
            self.ms(0.99),
            self.ms(1.0),
            self.0.len()
        );
    }
}

/// Rows of the final table.
#[derive(Default)]
pub(crate) struct Report(Vec<Row>);

struct Row {
    what: String,
    measured: f64,
    unit: &'static str,
    target: f64,
    at_least: bool,
}

impl Row {
    fn met(&self) -> bool {
        if self.at_least {
            self.measured >= self.target
        } else {
            self.measured <= self.target
        }
    }
}

impl Report {
    /// A figure that must not exceed `target`.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, target: f64, unit: &'static str) {
        self.add(what, measured, target, unit, false);
    }

    /// A figure that must reach `target`.
    pub(crate) fn at_least(&mut self, what: &str, measured: f64, target: f64, unit: &'static str) {
        self.add(what, measured, target, unit, true);
    }

    fn add(&mut self, what: &str, measured: f64, target: f64, unit: &'static str, at_least: bool) {
        self.0.push(Row {
            what: what.to_owned(),
            measured,
            unit,
            target,
            at_least,
        });
    }

    pub(crate) fn print(&self) {
        println!(
            "\n{:<46} {:>10} {:>12}  verdict",
            "figure", "measured", "target"
        );
        for row in &self.0 {
            let sign = if row.at_least { ">=" } else { "<=" };
            let target = format!("{sign} {}", row.target);
            let verdict = if row.met() { "met" } else { "MISSED" };
            let what = format!("{} [{}]", row.what, row.unit);
            println!("{what:<46} {:>10.2} {target:>12}  {verdict}", row.measured);
        }
    }
}
