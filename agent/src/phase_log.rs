//! ADW's log of a workflow's phases (`logs/structured/workflow_<id>.jsonl`): a
//! line when a phase starts, is completed, fails or is skipped. Read whole from
//! its end at each change (it has a few lines a phase) and shipped as a digest:
//! each phase's newest members, and what its visits took and cost together.
//! Messages and whatever is no plain value stay on the host; secrets are masked
//! in the rest, such as what an error says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use protocol::Money;
use protocol::canonical::write;
use protocol::event::MAX_DOCUMENT_BYTES;
use protocol::json::Json;
use protocol::mask;
use protocol::text::shorten;

use crate::beneath::{Beneath, ReadError, Reading};
use crate::tail;

/// Phases of one digest: six times as many as a workflow has.
const MAX_PHASES: usize = 64;
/// Members of one phase: five times as many as it has.
const MAX_MEMBERS: usize = 64;
/// Characters of one member; an error's message is the longest.
const MAX_CHARS: usize = 4096;
/// Members that are no figures, or tell one line from another.
const LEFT_OUT: [&str; 3] = ["message", "event_id", "source"];

type Members = BTreeMap<String, Json>;

/// What a log adds up to.
#[derive(Default)]
struct Digest {
    /// In the order of their newest lines.
    phases: Vec<(String, Phase)>,
    /// The newest line about the whole workflow.
    workflow: Option<Members>,
    seen: BTreeSet<String>,
    bad_lines: u64,
}

#[derive(Default)]
struct Phase {
    members: Members,
    visits: u64,
    cost: Option<Money>,
    tokens: Option<u64>,
    seconds: Option<f64>,
}

/// Reads the log; none while it has no whole line.
///
/// # Errors
/// See [`ReadError`].
pub(crate) fn digest(beneath: &Beneath, relative: &Path) -> Result<Option<Reading>, ReadError> {
    let tail = tail::read(beneath, relative, MAX_DOCUMENT_BYTES)?;
    Ok(digest_of(&tail.bytes, tail.is_cut).map(|bytes| Reading {
        bytes,
        meta: tail.meta,
    }))
}

fn digest_of(bytes: &[u8], is_cut: bool) -> Option<Vec<u8>> {
    let mut lines: Vec<tail::Line> = tail::lines(bytes).collect();
    lines.reverse();
    let mut digest = Digest::default();
    for line in lines {
        match Json::parse(line.text) {
            Ok(Json::Object(members)) => digest.line(members),
            // The last line is still being written.
            _ if !line.is_whole => {}
            _ => digest.bad_lines += 1,
        }
    }
    (!digest.is_empty()).then(|| write(&digest.json(is_cut)).into_bytes())
}

impl Digest {
    fn is_empty(&self) -> bool {
        self.phases.is_empty() && self.workflow.is_none() && self.bad_lines == 0
    }

    fn line(&mut self, mut members: Members) {
        // A retry of the writer appends the same event once more.
        if let Some(id) = text(&members, "event_id")
            && !self.seen.insert(id.to_owned())
        {
            return;
        }
        members.retain(|key, value| {
            let is_plain = !matches!(value, Json::Object(_) | Json::Array(_) | Json::Null);
            is_plain && !LEFT_OUT.contains(&key.as_str())
        });
        while members.len() > MAX_MEMBERS {
            members.pop_last();
        }
        for (key, value) in &mut members {
            if let Json::String(text) = value {
                *text = match mask::is_secret(key) {
                    true => mask::MASKED.to_owned(),
                    false => mask::text(text),
                };
                shorten(text, MAX_CHARS);
            }
        }
        match text(&members, "phase_name").map(str::to_owned) {
            Some(name) => self.phase(name, members),
            None => self.workflow = Some(members),
        }
    }

    fn phase(&mut self, name: String, members: Members) {
        let status = text(&members, "phase_status").unwrap_or_default();
        let place = self.phases.iter().position(|(known, _)| *known == name);
        // Back at the first phase: what went before is of an earlier try.
        let is_first =
            self.phases.len() > 1 && members.get("phase_number") == Some(&Json::Number("1".into()));
        let mut phase = match place {
            _ if is_first && status == "started" => {
                self.phases.clear();
                self.workflow = None;
                Phase::default()
            }
            Some(place) => self.phases.remove(place).1,
            None if self.phases.len() >= MAX_PHASES => return,
            None => Phase::default(),
        };
        if status != "started" {
            phase.visits += 1;
            let number = |key: &str| match members.get(key) {
                Some(Json::Number(text) | Json::String(text)) => Some(text.trim()),
                _ => None,
            };
            let cost = number("cost_usd").and_then(|text| text.parse::<Money>().ok());
            if let Some(cost) = cost {
                phase.cost = Some(phase.cost.into_iter().chain([cost]).sum());
            }
            let tokens = number("tokens_used").and_then(|text| text.parse::<u64>().ok());
            if let Some(tokens) = tokens {
                phase.tokens = Some(phase.tokens.unwrap_or(0).saturating_add(tokens));
            }
            let seconds = number("duration_seconds").and_then(|text| text.parse::<f64>().ok());
            if let Some(seconds) = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            {
                phase.seconds = Some(phase.seconds.unwrap_or(0.0) + seconds);
            }
        }
        // What an earlier line told and this one does not stays known, but for what went wrong.
        phase.members.remove("error_message");
        phase.members.extend(members);
        self.phases.push((name, phase));
    }

    fn json(self, is_cut: bool) -> Json {
        let text = |text: &str| Json::String(text.to_owned());
        let phases = self.phases.into_iter().map(|(_, phase)| phase.json());
        let mut members = Members::from([
            ("digest".to_owned(), text("phase-log")),
            ("v".to_owned(), Json::Number("1".to_owned())),
            ("phases".to_owned(), Json::Array(phases.collect())),
            (
                "bad_lines".to_owned(),
                Json::Number(self.bad_lines.to_string()),
            ),
            ("is_cut".to_owned(), Json::Bool(is_cut)),
        ]);
        if let Some(workflow) = self.workflow {
            members.insert("workflow".to_owned(), Json::Object(workflow));
        }
        Json::Object(members)
    }
}

impl Phase {
    /// Its members, with the sums in the place of one visit's figures. An
    /// amount is text: a number would be a double on its way.
    fn json(self) -> Json {
        let mut members = self.members;
        members.insert("visits".to_owned(), Json::Number(self.visits.to_string()));
        if let Some(cost) = self.cost {
            members.insert("cost_usd".to_owned(), Json::String(cost.to_string()));
        }
        if let Some(tokens) = self.tokens {
            members.insert("tokens_used".to_owned(), Json::Number(tokens.to_string()));
        }
        if let Some(seconds) = self.seconds {
            members.insert(
                "duration_seconds".to_owned(),
                Json::Number(seconds.to_string()),
            );
        }
        Json::Object(members)
    }
}

fn text<'a>(members: &'a Members, key: &str) -> Option<&'a str> {
    match members.get(key)? {
        Json::String(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(lines: &[Value], half: &str) -> Option<Value> {
        let dir = tempfile::tempdir().unwrap();
        let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        text.push_str(half);
        std::fs::write(dir.path().join("f"), text).unwrap();
        let beneath = Beneath::open(dir.path()).unwrap();
        let reading = digest(&beneath, Path::new("f")).unwrap()?;
        serde_json::from_slice(&reading.bytes).ok()
    }

    fn line(id: u32, phase: &str, number: u32, status: &str, more: &Value) -> Value {
        let mut line = json!({"event_id": format!("evt_{id}"), "event_type": "phase", "message": "secret",
            "phase_name": phase, "phase_number": number, "phase_status": status, "level": "info"});
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more.clone());
        }
        line
    }

    #[test]
    fn visits_of_a_phase_are_added_up_digit_for_digit() {
        let spent =
            |usd: &str| json!({"cost_usd": usd, "duration_seconds": 60.5, "tokens_used": 400});
        let told = told(
            &[
                line(1, "Plan", 1, "started", &json!({})),
                line(2, "Plan", 1, "completed", &spent("0.1")),
                line(
                    3,
                    "Test",
                    5,
                    "failed",
                    &json!({"cost_usd": 0.2, "error_message": "2 failed", "tokens_used": "50"}),
                ),
                line(4, "Test", 5, "completed", &spent("0.1")),
                line(4, "Test", 5, "completed", &spent("0.1")),
            ],
            "{\"phase_name\":",
        )
        .unwrap();
        assert_eq!(told["phases"][1]["cost_usd"], "0.3");
        assert_eq!(told["phases"][1]["tokens_used"], 450);
        assert_eq!(told["phases"][1]["visits"], 2, "the same event counts once");
        assert_eq!(
            told["phases"][1]["error_message"],
            Value::Null,
            "it went well since"
        );
        assert_eq!(told["phases"][0]["duration_seconds"], 60.5);
        assert_eq!(told["bad_lines"], 0, "half a line waits");
        assert!(!told.to_string().contains("secret"));
    }

    #[test]
    fn secrets_in_what_an_error_says_are_masked() {
        let error = format!(
            "{} psql postgres://app:hunter2@db/shop",
            "x".repeat(MAX_CHARS - 30)
        );
        let more = json!({"error_message": error, "api_key": "hunter2"});
        let told = told(&[line(1, "Test", 5, "failed", &more)], "").unwrap();
        let said = told["phases"][0]["error_message"].as_str().unwrap();
        assert!(said.contains("postgres://app:[masked]"), "{said}");
        assert!(!told.to_string().contains("hunter2"), "{told}");
    }

    #[test]
    fn a_workflow_that_begins_anew_forgets_its_earlier_try() {
        let told = told(
            &[
                line(1, "Plan", 1, "completed", &json!({"cost_usd": 1})),
                line(2, "Build", 3, "failed", &json!({})),
                line(3, "Plan", 1, "started", &json!({})),
            ],
            "",
        )
        .unwrap();
        assert_eq!(told["phases"].as_array().unwrap().len(), 1);
        assert_eq!(told["phases"][0]["cost_usd"], Value::Null);
    }

    #[test]
    fn unknown_members_are_kept_and_lines_of_other_shapes_counted() {
        let more = json!({"retry_of": "evt_0", "tool_calls": [{"parameters": "secret"}]});
        let told = told(
            &[line(1, "Plan", 1, "started", &more), json!("x"), json!(7)],
            "",
        )
        .unwrap();
        assert_eq!(told["phases"][0]["retry_of"], "evt_0");
        assert_eq!(told["bad_lines"], 2);
        assert!(!told.to_string().contains("secret"));
        assert_eq!(self::told(&[], ""), None);
        let whole = self::told(&[json!({"event_type":"workflow","status":"failed"})], "").unwrap();
        assert_eq!(whole["workflow"]["status"], "failed");
    }

    proptest::proptest! {
        #[test]
        fn any_lines_give_a_digest_or_none(text in "([{}\\[\\]\",:0-9a-z_. ]{0,40}\n){0,6}", bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            for input in [text.as_bytes(), &bytes] {
                if let Some(digest) = digest_of(input, false) {
                    proptest::prop_assert!(serde_json::from_slice::<Value>(&digest).is_ok());
                }
            }
        }
    }
}
