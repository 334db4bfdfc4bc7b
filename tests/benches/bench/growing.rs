//! (e) Files that grow: 300 MB of stream-JSON appended at 20 MB/s to the output
//! of one agent of a workflow, with a result line each second; and 500 projects
//! of five watched files each, found at a start.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use harness::adw::{Tree, Workflow, planned};
use harness::claude::{Claude, Spent, output_of};
use harness::fixtures;
use harness::system::{Agent, HOST, System};
use harness::wait::{check, eventually};
use harness::writer::Project;
use protocol::{FrameType, Money};
use serde_json::{Value, json};

use crate::procfs;
use crate::report::{Report, Spans};

/// Bytes of the whole file, in the end.
const TOTAL: usize = 300_000_000;
/// Bytes a second.
const RATE: usize = 20_000_000;
/// The writer writes this often, whole lines as Claude Code does.
const BEAT: Duration = Duration::from_millis(5);
/// Of this many beats the last ends with a result line.
const BEATS_OF_A_RESULT: usize = 200;

/// The model that the result lines name and no other line does, so that no estimate is taken for a result.
const OF_RESULTS: &str = "claude-opus-4-5-20251101";

const PROJECTS: usize = 500;

pub(crate) async fn run(report: &mut Report) {
    followed(report).await;
    found_at_a_start(report).await;
}

async fn followed(report: &mut Report) {
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |_| true).await;
    let client = system.client_with(&format!("?build={id}")).await;
    let path = output_of(&workflow.dir(Tree::Main), "sdlc_implementor");
    drop(Claude::start(&path, "s0"));
    let pid = system.agents[0].process.pid();

    let (written, results) = mpsc::sync_channel(64);
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || append(&path, &written))
    };
    let (began, ticks) = (Instant::now(), procfs::cpu_ticks(pid));
    let (mut resident, mut spans) = (0, Spans::new());
    let mut waiting: Vec<(Instant, Money)> = Vec::new();
    while !writer.is_finished() || !waiting.is_empty() {
        waiting.extend(results.try_iter());
        // What was told when, of the result lines alone: an estimate is of another model.
        let told = {
            let seen = client.seen();
            let updates = seen.of(FrameType::BuildUpdate);
            let frames = updates.chain(seen.of(FrameType::Build));
            frames.filter_map(|frame| by_results(&frame.data)).max()
        };
        waiting.retain(|(at, expected)| {
            let is_shown = told.is_some_and(|told| told >= *expected);
            if is_shown {
                spans.add(at.elapsed());
            }
            !is_shown
        });
        resident = resident.max(procfs::resident_kib(pid));
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{} results were not shown",
            waiting.len()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let spent = procfs::cpu_ticks(pid) - ticks;
    let lasted = writer.join().expect("the writer ends").as_secs_f64();
    let core = float(spent) / 100.0 / lasted;
    println!(
        "{} MB appended in {lasted:.1} s: {:.1} % of a core, at most {resident} KiB resident",
        TOTAL / 1_000_000,
        core * 100.0
    );
    spans.line("result line to cost on the stream");
    report.at_most(
        "300 MB stream-JSON at 20 MB/s, CPU",
        core * 100.0,
        10.0,
        "%",
    );
    report.at_most(
        "the same, resident memory",
        float(resident) / 1024.0,
        24.0,
        "MiB",
    );
    report.at_most(
        "result line to cost on the page, max",
        spans.ms(1.0),
        100.0,
        "ms",
    );
}

/// What the results of a build's agents add up to, by the model that only results name.
fn by_results(build: &Value) -> Option<Money> {
    let agents = build.get("agents")?.as_array()?;
    let told = agents
        .iter()
        .filter_map(|agent| agent["models"][OF_RESULTS]["cost_usd"].as_str());
    let told = told.filter_map(|usd| usd.parse::<Money>().ok());
    told.reduce(Money::plus)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, as the producer is a process of its own"
)]
/// Appends at the rate; tells the moment of each result line and what all results
/// up to it add up to. How long it took.
fn append(path: &Path, written: &mpsc::SyncSender<(Instant, Money)>) -> Duration {
    let began = Instant::now();
    let mut file = OpenOptions::new()
        .append(true)
        .open(path)
        .expect("the output");
    let (mut bytes, mut number, mut session) = (0, 0_u64, 0_u32);
    let mut beat = 0;
    let mut spent = Money::ZERO;
    while bytes < TOTAL {
        beat += 1;
        let goal = (RATE / 1_000 * usize::try_from(BEAT.as_millis()).unwrap_or(1)) * beat;
        let mut piece = String::with_capacity(goal - bytes + 4_096);
        while bytes + piece.len() < goal.min(TOTAL) {
            number += 1;
            round(&mut piece, session, number);
        }
        let ends = beat % BEATS_OF_A_RESULT == 0;
        if ends {
            spent = spent.plus(result(&mut piece, session));
            session += 1;
            first(&mut piece, session);
        }
        file.write_all(piece.as_bytes()).expect("a write");
        bytes += piece.len();
        if ends {
            let _ = written.send((Instant::now(), spent));
        }
        let due = BEAT * u32::try_from(beat).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    began.elapsed()
}

/// What one step of a real run writes: a text, a call, its output, in their usual sizes.
fn round(piece: &mut String, session: u32, number: u64) {
    let usage = json!({"input_tokens":2,"cache_creation_input_tokens":3_566,"cache_read_input_tokens":15_430,
        "cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":3_566},
        "output_tokens":5,"service_tier":"standard"});
    let mut say = |content: &serde_json::Value| {
        let line = json!({"type":"assistant","message":{"model":"claude-sonnet-4-5-20250929","id":format!("msg_{number}"),
            "type":"message","role":"assistant","content":[content],"stop_reason":null,"stop_sequence":null,"usage":usage},
            "parent_tool_use_id":null,"session_id":format!("session-{session}"),"uuid":format!("uuid-{number}")});
        piece.push_str(&line.to_string());
        piece.push('\n');
    };
    say(&json!({"type":"text","text":"I will look at the tests of this module first. ".repeat(4)}));
    say(
        &json!({"type":"tool_use","id":format!("toolu_{number}"),"name":"Bash",
        "input":{"command":"cargo test --workspace 2>&1 | tail -40","description":"Run the tests. ".repeat(8)}}),
    );
    let output = "test result: ok. 41 passed; 0 failed\n".repeat(6);
    let line = json!({"type":"user","message":{"role":"user","content":[{"tool_use_id":format!("toolu_{number}"),
        "type":"tool_result","content":output,"is_error":false}]},"parent_tool_use_id":null,
        "session_id":format!("session-{session}"),"uuid":format!("out-{number}"),"tool_use_result":{"stdout":output,"stderr":""}});
    piece.push_str(&line.to_string());
    piece.push('\n');
}

fn first(piece: &mut String, session: u32) {
    let line = json!({"type":"system","subtype":"init","session_id":format!("session-{session}"),
        "model":"claude-sonnet-4-5-20250929","tools":["Bash"],"cwd":"/work"});
    piece.push_str(&line.to_string());
    piece.push('\n');
}

/// What it says that the session cost.
fn result(piece: &mut String, session: u32) -> Money {
    let usd = format!("0.{:04}", 1_000 + session);
    let usage = json!({"input_tokens":12,"cache_creation_input_tokens":9_080,"cache_read_input_tokens":58_582,"output_tokens":1_832});
    let line = format!(
        r#"{{"type":"result","subtype":"success","is_error":false,"session_id":"session-{session}","total_cost_usd":{usd},"usage":{usage},"modelUsage":{{"{OF_RESULTS}":{{"inputTokens":12,"outputTokens":1832,"cacheReadInputTokens":58582,"cacheCreationInputTokens":9080,"costUSD":{usd}}}}}}}"#
    );
    piece.push_str(&line);
    piece.push('\n');
    usd.parse().expect("an amount")
}

/// Each with Context Foundry's phase file and four files of a workflow.
async fn found_at_a_start(report: &mut Report) {
    let mut system = System::start().await;
    system.agents.clear();
    let root = harness::scratch::directory("five");
    for number in 0..PROJECTS {
        let dir = root.join(format!("project-{number}"));
        let project = Project::create(dir.clone());
        project.phase(&fixtures::phase("found", "Scout", "1/7", "researching"));
        let workflow = Workflow::begin(&dir, &format!("{number:08x}"));
        workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
        workflow.phases(Tree::Main, &["Plan"], Some("Build"));
        for agent in ["sdlc_planner", "sdlc_implementor"] {
            let mut claude = Claude::start(&output_of(&workflow.dir(Tree::Main), agent), "s");
            claude.text("m1");
            claude.end(Spent {
                usd: "0.25",
                output: 7,
            });
        }
    }
    let began = Instant::now();
    system
        .agents
        .push(Agent::start("many", &root, &system.nats));
    // Everything was read when the last of its files' events is in the outbox or further.
    let expected = i64::try_from(PROJECTS * 5).unwrap_or(0);
    let mut found = Duration::ZERO;
    eventually("every file is an event in Postgres", async || {
        let said = system.agents[0].process.output();
        if found.is_zero() && said.contains("agent is ready") {
            found = began.elapsed();
        }
        let sql = "SELECT count(DISTINCT (build_id, file)) FROM event WHERE host = 'many'";
        let seen = system.database.number(sql).await?;
        check(seen == expected, || format!("{seen} of {expected}"))
    })
    .await;
    println!(
        "{PROJECTS} projects of five files: ready after {:.2} s, all in Postgres after {:.2} s",
        found.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    report.at_most(
        "500 projects of five files, start",
        found.as_secs_f64(),
        2.0,
        "s",
    );
}

fn float(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
