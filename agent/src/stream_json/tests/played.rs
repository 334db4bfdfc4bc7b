//! The figures of real runs, played line by line: their messages repeat as they
//! did there, the texts and ids are ours. What is counted while a run lasts is
//! compared with a sum made here, what it tells at its end with its result line as it is spelled.

use std::collections::BTreeMap;

use super::*;

const RUNS: [(&str, &str); 4] = [
    (
        "opus-and-haiku",
        include_str!("../../../../tests/fixtures/claude-code/opus-and-haiku.jsonl"),
    ),
    (
        "sonnet-and-haiku",
        include_str!("../../../../tests/fixtures/claude-code/sonnet-and-haiku.jsonl"),
    ),
    (
        "opus-alone",
        include_str!("../../../../tests/fixtures/claude-code/opus-alone.jsonl"),
    ),
    (
        "no-result",
        include_str!("../../../../tests/fixtures/claude-code/no-result.jsonl"),
    ),
];

/// Input, output, read from the cache, written to it.
type Tokens = [u64; 4];

/// As lines and results spell them, as a result spells them for each model, and as a digest does.
const OF_LINES: [&str; 4] = [
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
];
const OF_MODELS: [&str; 4] = [
    "inputTokens",
    "outputTokens",
    "cacheReadInputTokens",
    "cacheCreationInputTokens",
];
const OF_DIGESTS: [&str; 4] = ["input", "output", "cache_read", "cache_write"];

fn tokens(object: &Value, names: [&str; 4]) -> Tokens {
    names.map(|name| object[name].as_u64().unwrap())
}

fn sum<'a>(of: impl IntoIterator<Item = &'a Tokens>) -> Tokens {
    let add = |sum: Tokens, more: &Tokens| std::array::from_fn(|n| sum[n] + more[n]);
    of.into_iter().fold([0; 4], add)
}

/// A number as it is spelled behind its name.
fn spelled<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\"{name}\":")).unwrap();
    rest.split([',', '}']).next().unwrap()
}

#[test]
fn a_run_that_lasts_counts_each_message_of_a_real_run_once_after_every_line() {
    for (name, text) in RUNS {
        let mut feed = Feed::default();
        let mut messages: BTreeMap<String, Tokens> = BTreeMap::new();
        let mut lines: Vec<Tokens> = Vec::new();
        for line in text.lines() {
            let said: Value = serde_json::from_str(line).unwrap();
            if said["type"] == "result" {
                break;
            }
            feed.text(&format!("{line}\n"));
            if said["type"] == "assistant" {
                let message = &said["message"];
                let used = tokens(&message["usage"], OF_LINES);
                let id = message["id"].as_str().unwrap();
                messages.insert(id.to_owned(), used);
                lines.push(used);
            }
            if !messages.is_empty() {
                let counted = tokens(&feed.attempt(0)["tokens"], OF_DIGESTS);
                assert_eq!(counted, sum(messages.values()), "{name}: {line}");
            }
        }
        assert!(lines.len() > messages.len(), "{name}: messages repeat");
        assert_ne!(sum(&lines), sum(messages.values()), "{name}");
        let attempt = feed.attempt(0);
        assert_eq!(attempt["estimated"], true, "{name}");
        assert_eq!(attempt["total_cost_usd"], Value::Null, "{name}");
    }
}

#[test]
fn at_the_end_of_a_real_run_its_totals_are_those_of_its_result_line_to_the_last_digit() {
    let mut ended = 0;
    for (name, text) in RUNS {
        let mut feed = Feed::default();
        for line in text.lines() {
            feed.text(&format!("{line}\n"));
        }
        let digest = feed.digest();
        assert_eq!(digest["attempts"].as_array().unwrap().len(), 1, "{name}");
        assert_eq!(digest["bad_lines"], 0, "{name}");
        let attempt = &digest["attempts"][0];
        let last = text.lines().last().unwrap();
        let result: Value = serde_json::from_str(last).unwrap();
        if result["type"] != "result" {
            assert_eq!(attempt["state"], "running", "{name}");
            continue;
        }
        ended += 1;
        assert_eq!(attempt["state"], "success", "{name}");
        assert_eq!(attempt["estimated"], false, "{name}");
        let told = tokens(&attempt["tokens"], OF_DIGESTS);
        assert_eq!(told, tokens(&result["usage"], OF_LINES), "{name}");
        let cost = spelled(last, "total_cost_usd");
        assert_eq!(attempt["total_cost_usd"], cost, "{name}");
        let models = result["modelUsage"].as_object().unwrap();
        assert_eq!(
            attempt["models"].as_object().unwrap().len(),
            models.len(),
            "{name}"
        );
        for (model, used) in models {
            let told = &attempt["models"][model];
            let (_, of_model) = last.split_once(&format!("\"{model}\":")).unwrap();
            assert_eq!(told["cost_usd"], spelled(of_model, "costUSD"), "{model}");
            let tokens_of = (tokens(told, OF_DIGESTS), tokens(used, OF_MODELS));
            assert_eq!(tokens_of.0, tokens_of.1, "{name}: {model}");
        }
    }
    assert_eq!(ended, 3);
}

#[test]
fn what_was_counted_of_a_real_run_is_its_result_but_for_the_output() {
    for (name, text) in &RUNS[..3] {
        let (before, last) = text.trim_end().rsplit_once('\n').unwrap();
        let mut feed = Feed::default();
        feed.text(&format!("{before}\n"));
        let counted = tokens(&feed.attempt(0)["tokens"], OF_DIGESTS);
        let result: Value = serde_json::from_str(last).unwrap();
        let told = tokens(&result["usage"], OF_LINES);
        assert_eq!(
            (counted[0], &counted[2..]),
            (told[0], &told[2..]),
            "{name}: input and cache"
        );
        assert!(
            counted[1] < told[1] / 10,
            "{name}: a line's output is a placeholder"
        );
    }
}
