//! A workflow of ADW: its phases with what each took and cost, Claude Code's
//! stream-JSON with a to-do list and calls of tools, and the log of its script.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Content, Play, Step};

const ID: &str = "8f3a1c2e";
const MODEL: &str = "claude-sonnet-4-5-20250929";
/// The points of its to-do list.
const POINTS: [&str; 4] = [
    "Read the ticket and the code around it",
    "Write the import",
    "Test it with last year's files",
    "Describe it in the guide",
];
/// Phases, what each took (tenths of a second here) and cost.
const PHASES: [(&str, u64, &str); 10] = [
    ("Plan", 80, "0.21"),
    ("Validate", 30, "0.04"),
    ("Build", 140, "0.87"),
    ("Lint", 25, "0.03"),
    ("Test", 90, "0.34"),
    ("Review", 60, "0.18"),
    ("Document", 40, "0.09"),
    ("Ship", 30, "0.05"),
    ("Cleanup", 15, "0.01"),
    ("Verify", 20, "0.02"),
];

struct Writer {
    /// Claude Code's session: what one cost is paid once, however often the play is seen.
    session: String,
    steps: Vec<Step>,
    pause: u64,
    messages: u32,
}

impl Writer {
    fn push(&mut self, file: &str, content: Content, line: String) {
        let tenths = std::mem::take(&mut self.pause);
        self.steps.push(Step {
            pause: Duration::from_millis(tenths * 100),
            file: file.to_owned(),
            content,
            line,
        });
    }

    fn in_agents(&mut self, file: &str, content: Content) {
        self.push(&format!("agents/{ID}/{file}"), content, String::new());
    }

    fn phase(&mut self, number: usize, status: &str) {
        let (name, tenths, cost) = PHASES[number];
        let mut line = json!({"event_id": format!("evt_{number}_{status}"), "source": "adw_workflow", "event_type": "phase",
            "adw_id": ID, "issue_number": 83, "phase_name": name, "phase_number": number + 1, "phase_status": status});
        if status == "completed" {
            line["duration_seconds"] = json!(tenths / 10);
            line["cost_usd"] = json!(cost);
        }
        let file = format!("logs/structured/workflow_{ID}.jsonl");
        let said = format!("{name} {}/{}: {status}", number + 1, PHASES.len());
        self.push(&file, Content::More(format!("{line}\n")), said);
    }

    fn log(&mut self, text: &str) {
        let file = "adw_sdlc_complete_iso/execution.log";
        self.in_agents(file, Content::More(format!("{text}\n")));
    }

    fn claude(&mut self, line: &Value) {
        let file = "sdlc_implementor/raw_output.jsonl";
        self.in_agents(file, Content::More(format!("{line}\n")));
    }

    fn message(&mut self, block: &Value) {
        self.messages += 1;
        let usage = json!({"input_tokens": 4, "output_tokens": 7, "cache_creation_input_tokens": 2_400,
            "cache_read_input_tokens": 18_000 + 5_200 * self.messages});
        self.claude(&json!({"type": "assistant", "session_id": self.session, "parent_tool_use_id": null, "message": {
            "id": format!("msg_{}", self.messages), "model": MODEL, "role": "assistant", "content": [block], "usage": usage}}));
    }

    /// The list, of which so many points are done.
    fn todos(&mut self, done: usize) {
        let state = |place: usize| match place {
            place if place < done => "completed",
            place if place == done => "in_progress",
            _ => "pending",
        };
        let points = POINTS.iter().enumerate();
        let points: Vec<Value> = points
            .map(|(place, text)| json!({"content": text, "activeForm": text, "status": state(place)}))
            .collect();
        let id = format!("todo_{done}");
        self.message(
            &json!({"type": "tool_use", "id": id, "name": "TodoWrite", "input": {"todos": points}}),
        );
    }

    fn tool(&mut self, name: &str, input: &Value, output: &str, is_error: bool) {
        let id = format!("toolu_{}", self.messages);
        self.message(&json!({"type": "tool_use", "id": id, "name": name, "input": input}));
        self.claude(
            &json!({"type": "user", "session_id": self.session, "message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": id, "content": output, "is_error": is_error}]}}),
        );
    }

    fn build(&mut self) {
        self.claude(&json!({"type": "system", "subtype": "init", "session_id": self.session, "model": MODEL, "tools": ["Bash", "Edit", "TodoWrite"]}));
        self.todos(0);
        self.tool(
            "Read",
            &json!({"file_path": "src/import.rs"}),
            "struct Import;",
            false,
        );
        self.pause = 30;
        self.todos(1);
        self.tool(
            "Edit",
            &json!({"file_path": "src/import.rs"}),
            "3 places changed",
            false,
        );
        self.pause = 40;
        self.todos(2);
        self.tool(
            "Bash",
            &json!({"command": "cargo test import"}),
            "2 tests failed: a date before 1970",
            true,
        );
        self.log("\u{1b}[31mERROR\u{1b}[0m 2 tests failed: a date before 1970");
        self.pause = 30;
        self.tool(
            "Bash",
            &json!({"command": "cargo test import"}),
            "41 tests passed",
            false,
        );
        self.todos(3);
        self.pause = 40;
        self.todos(4);
        let usage = json!({"inputTokens": 41, "outputTokens": 6_214, "cacheReadInputTokens": 402_311, "cacheCreationInputTokens": 31_200,
            "costUSD": 0.87, "contextWindow": 200_000});
        self.claude(&json!({"type": "result", "subtype": "success", "is_error": false, "session_id": self.session, "num_turns": 9, "duration_ms": 14_000,
            "total_cost_usd": 0.87, "modelUsage": {MODEL: usage}}));
    }
}

/// It completes.
pub(super) fn play() -> Play {
    let mut writer = Writer {
        session: uuid::Uuid::new_v4().to_string(),
        steps: Vec::new(),
        pause: 5,
        messages: 0,
    };
    let state = json!({"adw_id": ID, "issue_number": "83", "issue_class": "/feature", "branch_name": "feature-issue-83-import",
        "plan_file": "specs/issue-83-import.md", "model_set": "base", "all_adws": ["adw_sdlc_complete_iso"], "estimated_cost_total": 2.5});
    writer.in_agents("adw_state.json", Content::Whole(format!("{state:#}\n")));
    for (number, (name, tenths, _)) in PHASES.into_iter().enumerate() {
        writer.phase(number, "started");
        writer.log(&format!("INFO {name} begins"));
        if name == "Build" {
            writer.build();
        } else {
            writer.pause = tenths;
        }
        writer.log(&format!("INFO {name} is done"));
        writer.phase(number, "completed");
    }
    Play {
        host: "demo-2",
        project: "ticket-desk",
        steps: writer.steps,
    }
}
