//! Builds and hosts that never were.

use protocol::{Build, Host, Timestamp};
use serde_json::{Value, json};

/// What is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// A working day.
    Normal,
    /// Three hundred builds.
    Many,
    /// What no producer should write.
    Hostile,
    /// Hosts, but no build yet.
    NoBuilds,
    /// Nothing at all.
    NoHosts,
    /// Postgres is away.
    Away,
}

impl Scene {
    /// The scene of this name; a working day when there is none.
    pub(crate) fn named(name: Option<&str>) -> Self {
        match name {
            Some("many") => Self::Many,
            Some("hostile") => Self::Hostile,
            Some("no-builds") => Self::NoBuilds,
            Some("no-hosts") => Self::NoHosts,
            Some("away") => Self::Away,
            _ => Self::Normal,
        }
    }

    /// Its builds at `now`.
    pub(crate) fn builds(self, now: Timestamp) -> Vec<Build> {
        match self {
            Self::Normal | Self::Away => ROWS
                .iter()
                .enumerate()
                .map(|(i, row)| build(i, row, now))
                .collect(),
            Self::Many => (0..300)
                .map(|i| build(i, ROWS[i % ROWS.len()], now))
                .collect(),
            Self::Hostile => hostile(now),
            Self::NoBuilds | Self::NoHosts => Vec::new(),
        }
    }

    /// Its hosts at `now`.
    pub(crate) fn hosts(self, now: Timestamp) -> Vec<Host> {
        let names: &[&str] = match self {
            Self::NoHosts => &[],
            Self::Hostile => &["<b>host</b>", "..", "\u{202e}tsoh"],
            _ => &[
                "build-01", "build-02", "build-03", "build-04", "build-05", "build-06", "build-07",
            ],
        };
        names.iter().map(|name| host(name, now)).collect()
    }
}

/// Project, host, state, phase, number, test runs, minutes running, seconds silent, dollars, branch.
const ROWS: [&str; 14] = [
    "checkout-api|build-03|stalled|3|4/7|3|52|1080|4.12|feature/idempotency",
    "weather-web|build-01|failed|3|4/6|5|64|720|6.80|main",
    "tennis-scoring|build-06|unknown|1|2/6|0|21|540|0.94|main",
    "phaseline-docs|build-02|running|2|3/7|0|14|2|1.37|docs/tour",
    "adw-3af4a34d|build-02|running|3|4/8|1|31|1|3.05|feature-issue-83",
    "billing-worker|build-04|running|0|1/6|0|1|4|0.08|fix/rounding",
    "landing-page|build-05|running|4|4.5/8|2|26|11|2.44|main",
    "parser-fuzz|build-05|running|2|3/5|0|100|3|9.71|nightly",
    "etl-backfill|build-07|running|3|3/4|1|8|95||main",
    "auth-service|build-04|completed|6|7/7|2|42|1200|5.16|release/2.3",
    "todo-cli|build-01|completed|5|6/6|1|19|2100|1.20|main",
    "image-resizer|build-03|cancelled|2|3/6|0|6|3100|0.61|main",
    "invoice-pdf|build-07|completed|6|7/7|1|33|5100|3.90|main",
    "old-notes|build-01|unknown|1|2/7|0|10|900000||main",
];

const PHASES: [&str; 7] = [
    "Scout",
    "Architect",
    "Builder",
    "Test",
    "Documentation",
    "Deploy",
    "Feedback",
];

fn build(i: usize, row: &str, now: Timestamp) -> Build {
    let cells: Vec<&str> = row.split('|').collect();
    let text = |at: usize| cells.get(at).copied().unwrap_or_default();
    let number = |at: usize| text(at).parse::<i64>().unwrap_or_default();
    let (project, host, state, branch) = (text(0), text(1), text(2), text(9));
    let (tests, minutes, silent) = (number(5), number(6), number(7));
    let at = usize::try_from(number(3)).unwrap_or_default();
    let cost: Option<f64> = text(8).parse().ok();
    let number = text(4);
    let changed = now.plus_millis(-silent * 1000);
    let started = changed.plus_millis(-minutes * 60_000);
    let ended = matches!(state, "completed" | "failed" | "cancelled").then_some(changed);
    let part = minutes * 60_000 / i64::try_from(at + 1).unwrap_or(1);
    let phases: Vec<Value> = PHASES[..=at]
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let from = started.plus_millis(part * i64::try_from(n).unwrap_or(0));
            let last = n == at;
            let phase_state = match (last, state) {
                (true, "failed") => "failed",
                (true, "completed") | (false, _) => "completed",
                _ => "running",
            };
            let end = if last && ended.is_none() {
                Value::Null
            } else {
                json!(from.plus_millis(part))
            };
            json!({"name": name, "state": phase_state, "started_at": from, "ended_at": end,
               "iterations": if last && tests > 1 { tests } else { 1 }})
        })
        .collect();
    let mut whole = json!({
        "id": format!("{host}-{:016x}-{}", i * 7919, i % 5 + 1), "host": host, "producer": "context-foundry",
        "project": project, "root": "~", "path": format!("src/{project}"), "session_id": project,
        "run": i % 5 + 1, "origin": "live", "found": project == "old-notes", "state": state,
        "state_reason": reason(project, state, PHASES[at]), "status": "testing", "phase": PHASES[at],
        "phase_number": number, "phases": phases
    });
    let rest = json!({
        "progress": (state == "running").then_some(f64::from(u32::try_from(at).unwrap_or(0)) / 7.0),
        "detail": format!("Re-running 3 failing tests of {project} after self-healing"),
        "test_iteration": tests, "started_at": started, "ended_at": ended, "changed_at": changed,
        "observed_at": if project == "old-notes" { now } else { changed.plus_millis(1) }, "last_updated": changed.plus_millis(3), "alive_at": changed,
        "seq": i + 1, "branch": branch, "issue": null,
        "pr_url": (at > 4).then(|| format!("https://example.com/team/{project}/pull/214")),
        "commit": "0c3571f9a2b44d0e8f7c6b5a4938271605f4e3d2", "coding_agent": null, "model": null,
        "cost_usd": cost, "cost_estimated": cost.map(|_| state == "running"),
        "tokens": cost.map(|_| json!({"input": 1_900_000, "output": 41_000, "cache_read": 1_700_000, "cache_write": null})),
        "context": cost.map(|_| json!({"used": 61_000, "limit": 200_000})),
        "todos": cost.map(|_| json!([
            {"text": "Read the failing tests", "state": "completed", "tools": 4},
            {"text": format!("Mend the parser of {project}, and all that depends on its answer being ordered"), "state": if state == "running" { "in_progress" } else { "completed" }, "tools": 17},
            {"text": "Run all tests once more", "state": "pending", "tools": 0}])),
        "agents": cost.map(|usd| json!([
            {"name": "sdlc_planner", "state": "success", "cost_usd": "0.24176750000000002", "cost_estimated": false, "tokens": {"output": 1832}, "attempts": 1, "tools": {"calls": 9}},
            {"name": "sdlc_implementor", "state": "running", "cost_usd": usd, "cost_estimated": true, "tokens": {"output": 39_100}, "attempts": 2, "tools": {"calls": 122}}])),
        "tests": (tests > 0).then(|| json!({"passed": 61, "failed": if state == "failed" { 3 } else { 0 }})),
        "decisions": null, "tasks": null,
        "summary": (state == "completed").then(|| json!({"files_created": 12, "files_modified": ["src/main.rs", "README.md"], "success_summary": "Everything works."})),
        "error": (state == "failed").then_some("tests_failed_max_iterations: 3 of 64 tests still fail after 5 iterations"),
        "fields": {"current_phase": PHASES[at], "phase_number": number, "progress_detail": "Re-running 3 failing tests", "parallel_execution": true, "phases_completed": PHASES[..at], "last_updated": "2025-01-14T00:25:00Z"}
    });
    if let (Value::Object(whole), Value::Object(rest)) = (&mut whole, rest) {
        whole.extend(rest);
        whole.extend(crate::metrics::metrics(i));
    }
    value(whole)
}

fn reason(project: &str, state: &str, phase: &str) -> Option<String> {
    match state {
        "running" if project == "parser-fuzz" => Some(
            ".context-foundry/current-phase.json cannot be read: unexpected character at byte 117"
                .to_owned(),
        ),
        "stalled" => Some(format!(
            "Stalled in {phase}. No sign of life for 18 min; this phase is silent for at most 6 min in 19 of 20 past builds."
        )),
        "failed" => Some("Failed: the last status is tests_failed_max_iterations.".to_owned()),
        "unknown" => Some("Its host is gone: no presence for 9 min.".to_owned()),
        _ => None,
    }
}

fn hostile(now: Timestamp) -> Vec<Build> {
    let words = [
        "<script>alert(1)</script><img src=x onerror=alert(1)>".to_owned(),
        "\u{202e}desrever \u{2067}and isolated".to_owned(),
        "x".repeat(10_000),
        "line\nbreaks\r\tand \u{0}\u{7}\u{1b}[31m controls".to_owned(),
        "\"quotes' & <entities> \" onmouseover=alert(1) x=\"".to_owned(),
        "../../etc/passwd".to_owned(),
    ];
    words
        .iter()
        .enumerate()
        .map(|(i, word)| {
            let mut build = build(i, ROWS[i + 2], now);
            build.project.clone_from(word);
            build.host.clone_from(word);
            build.branch = Some(word.clone());
            build.detail = Some(word.clone());
            build.phase = Some(word.clone());
            build.phase_number = Some(word.clone());
            build.state_reason = Some(word.clone());
            build.error = Some(word.clone());
            build.session_id = Some(word.clone());
            build.agents = Some(json!([{"name": word, "phase": word, "error": word, "success": false}]));
            build.decisions = Some(json!({"list": [{"text": word, "kind": word, "phase": word}]}));
            build.tasks = Some(json!({"list": [{"text": word, "id": word, "dependencies": [word], "estimate": word}]}));
            build.pr_url = Some(format!("javascript:alert(1)//{word}"));
            for phase in &mut build.phases {
                phase.name.clone_from(word);
            }
            build.tests = match i % 2 {
                0 => Some(json!([word, null, {"a": word}])),
                _ => Some(json!({"runs": [{"file": word}]})),
            };
            build.fields = [
                (word.clone(), json!({word: [word, null, 1e300]})),
                ("null".to_owned(), Value::Null),
            ]
            .into_iter()
            .collect();
            build
        })
        .collect()
}

fn host(name: &str, now: Timestamp) -> Host {
    let gone = name == "build-06";
    let degraded = name == "build-05" || name.contains('<');
    let (state, note) = if degraded {
        (
            "degraded",
            Some(
                "the kernel's watch limit of 8192 is reached; 3 of 41 directories are scanned every 10 s",
            ),
        )
    } else {
        ("watching", None)
    };
    value(json!({
        "name": name, "state": if gone { "gone" } else { "up" },
        "state_reason": gone.then_some("no presence for 9 min"), "agent": "9f86d081884c7d65", "version": "0.1.0",
        "started_at": now.plus_millis(-86_400_000), "last_seen_at": now.plus_millis(if gone { -540_000 } else { -4_000 }),
        "last_updated": now, "clock_offset_ms": 0,
        "outbox": {"events": if name == "build-07" { 12 } else { 0 }, "bytes": 9216, "max_bytes": 536_870_912, "overflowed": false},
        "roots": [{"label": "~", "path": "/home/dev", "state": state, "watches": 1301, "reason": note,
                   "remedy": note.map(|_| "sudo sysctl fs.inotify.max_user_watches=1048576")}],
        "seq": 0
    }))
}

fn value<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("invented data has the shape of real data")
}
