//! The figures of real runs of `claude -p`, played line by line from the file
//! to the API: what a build says at the end is what the result lines say, as they spell it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use harness::adw::{Tree, Workflow, planned};
use harness::claude::output_of;
use harness::system::{HOST, System};
use protocol::Money;
use serde_json::Value;

const RUNS: [(&str, &str); 3] = [
    (
        "planner",
        include_str!("../../fixtures/claude-code/opus-and-haiku.jsonl"),
    ),
    (
        "reviewer",
        include_str!("../../fixtures/claude-code/sonnet-and-haiku.jsonl"),
    ),
    (
        "shipper",
        include_str!("../../fixtures/claude-code/opus-alone.jsonl"),
    ),
];

/// A number as it is spelled behind its name, where that stands first.
fn spelled<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\"{name}\":")).unwrap();
    rest.split([',', '}']).next().unwrap()
}

#[tokio::test]
async fn real_runs_add_up_to_their_result_lines_to_the_last_digit() {
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    for (agent, text) in RUNS {
        let path = output_of(&workflow.dir(Tree::Main), agent);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        for line in text.lines() {
            file.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }
    let results: Vec<&str> = RUNS
        .iter()
        .map(|(_, text)| text.lines().last().unwrap())
        .collect();
    let whole: Money = results
        .iter()
        .map(|line| spelled(line, "total_cost_usd").parse::<Money>().unwrap())
        .sum();
    let build = system
        .build_by_id(&workflow.build_id(HOST, 1), |build| {
            build.cost_usd == Some(whole) && build.cost_estimated == Some(false)
        })
        .await;
    let sum = |key: &str| -> u64 {
        let each = results.iter().map(|line| spelled(line, key).parse::<u64>());
        each.map(Result::unwrap).sum()
    };
    let tokens = build.tokens.unwrap();
    assert_eq!(tokens.input, Some(sum("input_tokens")));
    assert_eq!(tokens.output, Some(sum("output_tokens")));
    assert_eq!(tokens.cache_read, Some(sum("cache_read_input_tokens")));
    assert_eq!(tokens.cache_write, Some(sum("cache_creation_input_tokens")));
    let agents = build.agents.unwrap();
    for ((name, _), line) in RUNS.iter().zip(results) {
        let agents = agents.as_array().unwrap();
        let agent = agents.iter().find(|agent| agent["name"] == *name).unwrap();
        assert_eq!(agent["cost_usd"], spelled(line, "total_cost_usd"), "{name}");
        let result: Value = serde_json::from_str(line).unwrap();
        let models = result["modelUsage"].as_object().unwrap();
        assert_eq!(agent["models"].as_object().unwrap().len(), models.len());
        for (model, used) in models {
            let told = &agent["models"][model];
            let (_, of_model) = line.split_once(&format!("\"{model}\":")).unwrap();
            assert_eq!(told["cost_usd"], spelled(of_model, "costUSD"), "{model}");
            assert_eq!(told["cost_estimated"], false, "{model}");
            assert_eq!(told["tokens"]["output"], used["outputTokens"], "{model}");
        }
    }
}
