//! The play of `phaseline demo`: what two builds of Context Foundry and a workflow
//! of ADW (`workflow`) write, as data. One build goes through a failing test loop and completes,
//! one gives up; the workflow has a to-do list and costs something.

mod workflow;

use std::time::Duration;

use protocol::Timestamp;
use serde_json::{Value, json};

/// One write of a producer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// Pause before it at normal speed.
    pub(crate) pause: Duration,
    /// File in the project.
    pub(crate) file: String,
    /// What is written.
    content: Content,
    /// What the terminal says about it; empty for what comes along with another step.
    pub(crate) line: String,
}

/// How a file is written.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    /// A state, still without times.
    State(Value),
    /// All of the file.
    Whole(String),
    /// The next lines of it.
    More(String),
}

impl Step {
    /// What is written now, and whether behind what is there.
    pub(crate) fn text(&self, started: Timestamp, now: Timestamp) -> (String, bool) {
        match &self.content {
            Content::State(state) => {
                let mut state = state.clone();
                state["started_at"] = Value::from(started.to_string());
                state["last_updated"] = Value::from(now.to_string());
                (format!("{state:#}\n"), false)
            }
            Content::Whole(text) => (text.clone(), false),
            Content::More(text) => (text.clone(), true),
        }
    }
}

/// A build on one host.
pub(crate) struct Play {
    pub(crate) host: &'static str,
    pub(crate) project: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// All builds; each takes about a minute.
pub(crate) fn plays() -> [Play; 3] {
    [completes(), fails(), workflow::play()]
}

const PHASE_FILE: &str = ".context-foundry/current-phase.json";
const SUMMARY_FILE: &str = ".context-foundry/session-summary.json";
/// Tasks of a build.
const TASKS: [&str; 7] = [
    "Data model",
    "Its migrations",
    "List and search",
    "Main page",
    "Forms",
    "Rules and exceptions",
    "Monthly report",
];
/// Tests of a build.
const TESTS: u32 = 148;

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

    fn push(&mut self, tenths: u64, file: &str, content: Value, line: String) {
        self.steps.push(Step {
            pause: Duration::from_millis(tenths * 100),
            file: file.to_owned(),
            content: Content::State(content),
            line,
        });
    }

    /// Something beside the state, at the same moment as the last step.
    fn beside(&mut self, file: &str, content: Content) {
        self.steps.push(Step {
            pause: Duration::ZERO,
            file: format!(".context-foundry/{file}"),
            content,
            line: String::new(),
        });
    }

    fn plan(&mut self) {
        let task = |(number, description): (usize, &&str)| {
            let before: Vec<String> = (1..number.min(2)).map(|n| format!("task-{n}")).collect();
            json!({"id": format!("task-{number}"), "description": description, "files": [format!("src/{number}.rs")], "dependencies": before})
        };
        let tasks: Vec<Value> = (1..).zip(&TASKS).map(task).collect();
        let plan = json!({"parallel_mode": true, "total_tasks": tasks.len(), "tasks": tasks});
        self.beside("build-tasks.json", Content::Whole(plan.to_string()));
    }

    /// These tasks are built, each with its log.
    fn built(&mut self, tasks: std::ops::RangeInclusive<usize>) {
        for number in tasks {
            let log = format!("builder-logs/task-{number}.log");
            let text = format!(
                "[task-{number}] {}: reading the plan\n[task-{number}] \u{1b}[32mok\u{1b}[0m 3 files written, 21 tests added\n",
                TASKS[number - 1]
            );
            self.beside(&log, Content::More(text));
            self.beside(
                &format!("builder-logs/task-{number}.done"),
                Content::Whole(String::new()),
            );
        }
    }

    /// A run of the tests, of which so many failed.
    fn tested(&mut self, failed: u32) {
        let report = format!(
            "# Test results\n- Passed: {}\n- Failed: {failed}\n",
            TESTS - failed
        );
        let file = format!("test-results-iteration-{}.md", self.test_iteration);
        self.beside(&file, Content::Whole(report));
    }

    fn decided(&mut self) {
        let feedback = json!({"decisions": [
            {"decision_type": "storage", "decision_description": "Amounts as integers of cents, never as floats", "quality_rating": 5, "used_lessons_learned": true},
            {"decision_type": "testing", "decision_description": "A property test for each rounding rule", "quality_rating": 4, "used_lessons_learned": false}
        ]});
        self.beside(
            "feedback/build-feedback-1.json",
            Content::Whole(feedback.to_string()),
        );
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
        let built = [0, 3, 5];
        for ((tenths, detail), built) in [15, 45, 40].into_iter().zip(builder_details).zip(built) {
            self.says(tenths, "Builder", "3/7", "building", detail);
            match built {
                0 => self.plan(),
                3 => self.built(1..=3),
                _ => self.built(4..=5),
            }
        }
        self.says(35, "Builder", "3/7", "completed", "7 of 7 tasks built");
        self.built(6..=7);
    }

    /// A round of the test loop, and what is done about those that fail.
    fn test_round(&mut self, failed: u32, then: &str) {
        self.test_iteration += 1;
        let detail = format!("Running {TESTS} tests, round {}", self.test_iteration);
        self.says(15, "Test", "4/7", "testing", &detail);
        if failed > 0 {
            let outcome = format!("{failed} of {TESTS} tests fail, {then}");
            self.says(40, "Test", "4/7", "self-healing", &outcome);
        }
        self.tested(failed);
    }
}

fn completes() -> Play {
    let mut writer = Writer::new("storefront");
    writer.begin([
        "Task 1 of 7: data model",
        "Task 4 of 7: checkout page",
        "Task 6 of 7: discount codes",
    ]);
    writer.test_round(9, "correcting the rounding");
    writer.test_round(2, "correcting a date");
    writer.test_round(0, "");
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
    writer.decided();
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
    writer.test_round(31, "correcting the time zone");
    writer.test_round(12, "correcting the balance");
    writer.test_round(12, "trying another way");
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
        }
        for play in &plays()[..2] {
            assert_eq!(play.steps.last().unwrap().file, SUMMARY_FILE);
        }
    }

    #[test]
    fn one_build_completes_and_the_other_gives_up_after_three_rounds() {
        let [good, bad, _] = plays();
        let last_phase = |play: &Play| {
            let mut states = play
                .steps
                .iter()
                .rev()
                .filter(|step| step.file == PHASE_FILE);
            match &states.next().unwrap().content {
                Content::State(state) => state.clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(last_phase(&good)["phase_number"], "7/7");
        assert_eq!(last_phase(&good)["status"], "completed");
        assert_eq!(last_phase(&bad)["status"], "failed");
        assert_eq!(last_phase(&bad)["test_iteration"], 3);
    }

    #[test]
    fn the_text_is_what_context_foundry_writes() {
        let [good, ..] = plays();
        let time = Timestamp::from_millis(0);
        let (text, _) = good.steps[2].text(time, time);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["phases_completed"], json!(["Scout"]));
        assert_eq!(value["last_updated"], "1970-01-01T00:00:00.000Z");
    }
}
