//! Reading a file that grows, shrinks and is replaced.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::beneath::Beneath;

struct Growing {
    dir: tempfile::TempDir,
    stream: Stream,
}

impl Growing {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            stream: Stream::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("raw_output.jsonl")
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path())
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn add(&self, lines: &[Value]) {
        for line in lines {
            self.append(&format!("{line}\n"));
        }
    }

    /// Bytes of the file that a turn took.
    fn follow(&mut self) -> u64 {
        let beneath = Beneath::open(self.dir.path()).unwrap();
        let before = self.stream.offset();
        while self
            .stream
            .follow(&beneath, Path::new("raw_output.jsonl"))
            .unwrap()
            .more
        {}
        self.stream.offset().saturating_sub(before)
    }

    fn digest(&self) -> Value {
        serde_json::from_str(&self.stream.document().text).unwrap()
    }

    fn costs(&self) -> Vec<Value> {
        let digest = self.digest();
        let attempts = digest["attempts"].as_array().unwrap();
        attempts
            .iter()
            .map(|attempt| attempt["total_cost_usd"].clone())
            .collect()
    }

    /// As a start of the agent does: all that is kept is what was saved.
    fn restart_agent(&mut self) {
        self.stream = Stream::restore(Kind::StreamJson, &self.stream.saved()).unwrap();
    }
}

#[test]
fn half_a_line_waits_for_its_other_half_also_over_a_restart() {
    let mut file = Growing::new();
    let line = result("s1", &json!(0.5)).to_string();
    file.add(&[init("s1")]);
    file.append(&line[..40]);
    file.follow();
    assert_eq!(file.costs(), [Value::Null]);
    file.restart_agent();
    file.append(&line[40..]);
    file.follow();
    // Whole but for its line break: the writer may have died right there.
    assert_eq!(file.costs(), [json!("0.5")]);
    file.append("\n");
    file.add(&[json!({"type":"other"})]);
    file.follow();
    let digest = file.digest();
    assert_eq!(
        (&digest["lines"], &digest["bad_lines"]),
        (&json!(3), &json!(0))
    );
}

#[test]
fn what_was_added_up_is_never_read_again() {
    let mut file = Growing::new();
    file.add(&[init("s1"), uses("s1", "t1", "Bash")]);
    let size = fs::metadata(file.path()).unwrap().len();
    assert_eq!(file.follow(), size);
    file.restart_agent();
    assert_eq!(file.follow(), 0);
    // Other bytes in the place of those that were read: nobody looks.
    let line = format!("{}\n", result("s1", &json!(0.5)));
    file.append(&line);
    assert_eq!(file.follow(), line.len() as u64);
    assert_eq!(file.costs(), [json!("0.5")]);
}

#[test]
fn a_file_that_was_cut_off_and_filled_anew_is_a_second_attempt() {
    let mut file = Growing::new();
    file.add(&[init("s1"), result("s1", &json!(0.5))]);
    file.follow();
    fs::write(file.path(), "").unwrap();
    file.follow();
    assert_eq!(file.costs(), [json!("0.5")]);
    file.add(&[init("s2"), result("s2", &json!(0.25))]);
    file.follow();
    assert_eq!(file.costs(), [json!("0.5"), json!("0.25")]);
}

#[test]
fn a_file_that_was_filled_beyond_its_old_length_unseen_is_a_second_attempt_too() {
    let mut file = Growing::new();
    file.add(&[init("s1"), result("s1", &json!(0.5))]);
    file.follow();
    file.restart_agent();
    fs::write(file.path(), "").unwrap();
    file.add(&[
        init("s2"),
        says("s2", "m1"),
        says("s2", "m2"),
        result("s2", &json!(0.25)),
        says("s2", "m3"),
    ]);
    file.follow();
    assert_eq!(file.costs(), [json!("0.5"), json!("0.25")]);
}

#[test]
fn a_file_that_was_rotated_is_a_second_attempt() {
    let mut file = Growing::new();
    file.add(&[init("s1"), result("s1", &json!(0.5))]);
    file.follow();
    fs::rename(file.path(), file.dir.path().join("raw_output.jsonl.1")).unwrap();
    file.add(&[init("s2"), result("s2", &json!(0.25))]);
    file.follow();
    assert_eq!(file.costs(), [json!("0.5"), json!("0.25")]);
}

#[test]
fn an_empty_file_says_nothing() {
    let mut file = Growing::new();
    file.append("");
    file.follow();
    assert!(!file.stream.has_lines());
}

#[test]
fn a_link_is_not_followed() {
    let file = Growing::new();
    std::os::unix::fs::symlink("/etc/passwd", file.path()).unwrap();
    let beneath = Beneath::open(file.dir.path()).unwrap();
    let mut stream = Stream::default();
    assert!(
        stream
            .follow(&beneath, Path::new("raw_output.jsonl"))
            .is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn figures_are_the_same_wherever_the_pieces_end_and_the_agent_restarts(
        cuts in proptest::collection::vec((0_usize..4000, any::<bool>()), 0..12),
    ) {
        let image = json!({"type":"user","session_id":"s1","message":{"content":[{"type":"tool_result",
            "content":[{"type":"image","source":{"data":"A\\\"".repeat(3_000)}}],"tool_use_id":"t1","is_error":true}]}});
        let lines = [
            init("s1"),
            todo_list("s1", "l1", &json!([{"content":"ä\u{1F980} \"quoted\"","status":"in_progress"}])),
            uses("s1", "t1", "Bash"), image, says("s1", "m1"), result("s1", &json!(0.1)),
        ];
        let text: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
        let mut whole = Accumulator::default();
        whole.feed(&text);
        let mut pieces = Accumulator::default();
        let mut at = 0;
        for (length, restarts) in cuts {
            let end = (at + length).min(text.len());
            pieces.feed(&text[at..end]);
            pieces.at_end();
            at = end;
            if restarts {
                // Half a line is read again.
                at -= usize::try_from(pieces.lines.spans).unwrap();
                let saved = serde_json::to_string(&pieces.sums).unwrap();
                pieces = Accumulator { sums: Sums::restore(Kind::StreamJson, &saved).unwrap(), ..Accumulator::default() };
            }
        }
        pieces.feed(&text[at..]);
        prop_assert_eq!(pieces.sums, whole.sums);
    }

    #[test]
    fn any_bytes_are_counted(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut sums = Accumulator::default();
        sums.feed(&bytes);
        sums.at_end();
        let _ = sums.sums.digest();
    }
}
