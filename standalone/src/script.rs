//! The play of `phaseline demo`: what two builds of Context Foundry write, as
//! data. One goes through a failing test loop and completes, one gives up.

use std::time::Duration;

use protocol::Timestamp;
use serde_json::{Value, json};

/// One write of a producer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// Pause before it at normal speed.
    pub(crate) pause: Duration,
    /// File in `.context-foundry`.
    pub(crate) file: &'static str,
    /// Its content, still without times.
    content: Value,
    /// What the terminal says about it.
    pub(crate) line: String,
}

impl Step {
    /// The file's text, as it would be written now.
    pub(crate) fn text(&self, started: Timestamp, now: Timestamp) -> String {
        let mut content = self.content.clone();
        content["started_at"] = Value::from(started.to_string());
        content["last_updated"] = Value::from(now.to_string());
        format!("{content:#}\n")
    }
}

/// A build on one host.
pub(crate) struct Play {
    pub(crate) host: &'static str,
    pub(crate) project: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// Both builds; each takes about a minute.
pub(crate) fn plays() -> [Play; 2] {
    [completes(), fails()]
}

const PHASE_FILE: &str = "current-phase.json";
const SUMMARY_FILE: &str = "session-summary.json";

struct Writer {
    project: &'static str,
    phases_completed: Vec<&'static str>,
    test_iteration: u32,
    steps: Vec<Step>,
}

impl Writer {
    fn new(project: &'static str) -> Self {
        Self {
            project,
            phases_completed: Vec::new(),
            test_iteration: 0,
            steps: Vec::new(),
        }
    }

    /// The phase file says this, so many tenths of a second after the last write.
    fn says(&mut self, tenths: u64, phase: &'static str, number: &str, status: &str, detail: &str) {
        if status == "completed" {
            self.phases_completed.push(phase);
        }
        let content = json!({
            "session_id": self.project,
            "current_phase": phase,
            "phase_number": number,
            "status": status,
            "progress_detail": detail,
            "test_iteration": self.test_iteration,
            "phases_completed": self.phases_completed,
        });
        let line = format!("{phase} {number} {status}: {detail}");
        self.push(tenths, PHASE_FILE, content, line);
    }

    fn summary(&mut self, tenths: u64, status: &str, tests_passed: bool, note: &str) {
        let content = json!({
            "session_id": self.project,
            "status": status,
            "phases_completed": self.phases_completed,
            "test_iterations": self.test_iteration,
            "tests_passed": tests_passed,
            "notes": note,
        });
        self.push(tenths, SUMMARY_FILE, content, format!("{status}: {note}"));
    }

    fn push(&mut self, tenths: u64, file: &'static str, content: Value, line: String) {
        self.steps.push(Step {
            pause: Duration::from_millis(tenths * 100),
            file,
            content,
            line,
        });
    }

    fn begin(&mut self, builder_details: [&str; 3]) {
        self.says(10, "Scout", "1/7", "researching", "Reading the code base");
        self.says(
            40,
            "Scout",
            "1/7",
            "researching",
            "Comparing three approaches",
        );
        self.says(30, "Scout", "1/7", "completed", "Scout report written");
        self.says(
            15,
            "Architect",
            "2/7",
            "designing",
            "Drawing up the modules",
        );
        self.says(
            40,
            "Architect",
            "2/7",
            "planning",
            "Splitting the work into tasks",
        );
        self.says(20, "Architect", "2/7", "completed", "7 tasks planned");
        for (tenths, detail) in [15, 45, 40].into_iter().zip(builder_details) {
            self.says(tenths, "Builder", "3/7", "building", detail);
        }
        self.says(35, "Builder", "3/7", "completed", "7 of 7 tasks built");
    }

    fn test_round(&mut self, outcome: &str) {
        self.test_iteration += 1;
        let detail = format!("Running 148 tests, round {}", self.test_iteration);
        self.says(15, "Test", "4/7", "testing", &detail);
        if !outcome.is_empty() {
            self.says(40, "Test", "4/7", "self-healing", outcome);
        }
    }
}

fn completes() -> Play {
    let mut writer = Writer::new("storefront");
    writer.begin([
        "Task 1 of 7: data model",
        "Task 4 of 7: checkout page",
        "Task 6 of 7: discount codes",
    ]);
    writer.test_round("9 of 148 tests fail, correcting the rounding");
    writer.test_round("2 of 148 tests fail, correcting a date");
    writer.test_round("");
    writer.says(40, "Test", "4/7", "completed", "148 of 148 tests pass");
    writer.says(
        15,
        "Documentation",
        "5/7",
        "documenting",
        "Writing the guide",
    );
    writer.says(35, "Documentation", "5/7", "completed", "Guide written");
    writer.says(15, "Deploy", "6/7", "deploying", "Publishing the branch");
    writer.says(30, "Deploy", "6/7", "completed", "Branch published");
    writer.says(15, "Feedback", "7/7", "analyzing", "What can be learned");
    writer.says(30, "Feedback", "7/7", "completed", "3 lessons kept");
    writer.summary(10, "completed", true, "Checkout with discount codes");
    Play {
        host: "demo-1",
        project: writer.project,
        steps: writer.steps,
    }
}

fn fails() -> Play {
    let mut writer = Writer::new("ledger-api");
    writer.begin([
        "Task 1 of 7: accounts",
        "Task 3 of 7: double entry",
        "Task 7 of 7: monthly report",
    ]);
    writer.test_round("31 of 148 tests fail, correcting the time zone");
    writer.test_round("12 of 148 tests fail, correcting the balance");
    writer.test_round("12 of 148 tests fail, trying another way");
    let detail = "12 of 148 tests still fail after 3 rounds";
    writer.says(40, "Test", "4/7", "failed", detail);
    writer.summary(10, "tests_failed_max_iterations", false, detail);
    Play {
        host: "demo-2",
        project: writer.project,
        steps: writer.steps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_build_takes_about_a_minute_and_ends_with_its_summary() {
        for play in plays() {
            let total: Duration = play.steps.iter().map(|step| step.pause).sum();
            assert!((40..=90).contains(&total.as_secs()), "{total:?}");
            assert_eq!(play.steps.last().unwrap().file, SUMMARY_FILE);
        }
    }

    #[test]
    fn one_build_completes_and_the_other_gives_up_after_three_rounds() {
        let [good, bad] = plays();
        let last_phase = |play: &Play| play.steps[play.steps.len() - 2].content.clone();
        assert_eq!(last_phase(&good)["phase_number"], "7/7");
        assert_eq!(last_phase(&good)["status"], "completed");
        assert_eq!(last_phase(&bad)["status"], "failed");
        assert_eq!(last_phase(&bad)["test_iteration"], 3);
    }

    #[test]
    fn the_text_is_what_context_foundry_writes() {
        let [good, _] = plays();
        let time = Timestamp::from_millis(0);
        let text = good.steps[2].text(time, time);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["phases_completed"], json!(["Scout"]));
        assert_eq!(value["last_updated"], "1970-01-01T00:00:00.000Z");
    }
}
