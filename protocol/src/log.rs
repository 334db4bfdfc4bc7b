//! Lines of logs: what an agent ships of a file that grows, and what the API
//! and the stream tell of a build's log. Not events: lines are bounded, may be
//! dropped (counted), and nothing is folded from them.

pub mod clean;

use serde::{Deserialize, Serialize};

use crate::event::MAX_TEXT_BYTES;
use crate::{AgentId, ContentHash, ProjectToken, Timestamp};

/// Version of the batch's wire format.
pub const LOG_VERSION: u32 = 1;

/// Longest line that leaves a host, characters. Log lines of people's programs are under 500; a longer
/// one is cut and says so.
pub const MAX_LINE_CHARS: usize = 2_000;

/// Most lines of one batch.
pub const MAX_BATCH_LINES: usize = 500;

/// Largest batch on the wire, bytes: what is read at once, each byte escaped, with the fields around it.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// Some lines of one file, as its agent read them. (`agent`, `project_token`, `file`, `generation`, offset)
/// is a line's identity: one that comes again is known by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBatch {
    /// [`LOG_VERSION`].
    pub v: u32,
    /// Random id of the agent's state directory.
    pub agent: AgentId,
    /// The host's name.
    pub host: String,
    /// Whose build the lines belong to; none: of whichever producer's build is the newest in the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// As in `Event::project_token`.
    pub project_token: ProjectToken,
    /// The file relative to the project's directory.
    pub file: String,
    /// Random; another one when the file was begun anew (cut off, or replaced). Below 2^63.
    pub generation: u64,
    /// Bytes directly before `from` that were not read: the file grew faster than lines are shipped.
    #[serde(default)]
    pub skipped: u64,
    /// Offset of the first byte that the batch covers.
    pub from: u64,
    /// Offset behind the last one.
    pub to: u64,
    /// When they were read (host clock).
    pub observed_at: Timestamp,
    /// Whole lines, in order.
    pub lines: Vec<ShippedLine>,
}

/// A line as it leaves its host: valid text without control characters or colours, secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippedLine {
    /// Where it begins in the file, bytes.
    pub offset: u64,
    /// Without its line break; at most [`MAX_LINE_CHARS`].
    pub text: String,
    /// It was longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// A message that is no batch of lines.
#[derive(Debug, thiserror::Error)]
pub enum BadBatch {
    /// No JSON of this shape.
    #[error("not a batch of log lines: {0}")]
    NotABatch(#[from] serde_json::Error),
    /// Another wire version.
    #[error("log version {0} is not {LOG_VERSION}")]
    Version(u32),
    /// A field is empty, too long, out of range or holds a NUL.
    #[error("field {0} is out of its bounds")]
    Field(&'static str),
}

impl LogBatch {
    /// The same for the same lines sent again: the broker knows it as a duplicate.
    #[must_use]
    pub fn message_id(&self) -> String {
        let file = ContentHash::of(format!("{} {}", self.project_token, self.file).as_bytes());
        let (generation, from, to) = (self.generation, self.from, self.to);
        format!("{}:{file}:{generation}:{from}-{to}", self.agent)
    }

    /// Decodes and checks a batch from the wire.
    ///
    /// # Errors
    /// See [`BadBatch`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BadBatch> {
        let batch: Self = serde_json::from_slice(bytes)?;
        if batch.v != LOG_VERSION {
            return Err(BadBatch::Version(batch.v));
        }
        batch.check()?;
        Ok(batch)
    }

    fn check(&self) -> Result<(), BadBatch> {
        let producer = self.producer.as_ref().map(|name| ("producer", name));
        let texts = [("host", &self.host), ("file", &self.file)];
        for (name, text) in texts.into_iter().chain(producer) {
            if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.contains('\0') {
                return Err(BadBatch::Field(name));
            }
        }
        let storable = |n: u64| i64::try_from(n).is_ok();
        let numbers = [self.generation, self.from, self.to, self.skipped];
        if !numbers.into_iter().all(storable) || self.from > self.to || self.skipped > self.from {
            return Err(BadBatch::Field("from"));
        }
        let mut before = self.from;
        for line in &self.lines {
            let plain = !line.text.contains(char::is_control);
            if !plain || line.text.chars().count() > MAX_LINE_CHARS {
                return Err(BadBatch::Field("text"));
            }
            if line.offset < before || line.offset >= self.to {
                return Err(BadBatch::Field("offset"));
            }
            before = line.offset + 1;
        }
        if self.lines.len() > MAX_BATCH_LINES {
            return Err(BadBatch::Field("lines"));
        }
        Ok(())
    }
}

/// A line of a build's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Counts from 1 in the build, over all its files, without gaps.
    pub number: i64,
    /// The file, relative to the project; `http/stdout` or `http/stderr` of a runner's programs.
    pub file: String,
    /// When the agent read it (host clock).
    pub observed_at: Timestamp,
    /// Its text without colours and control characters, secrets masked.
    pub text: String,
    /// It was longer than 2,000 characters: the rest was left out.
    pub cut: bool,
}

/// A page of a build's log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Pass as `after` for the next page; null at the end.
    pub next: Option<i64>,
    /// Lines of this build that came and are not kept any more: the oldest go first.
    pub dropped: u64,
    /// Bytes of its files that were never read, because they grew faster than lines are shipped.
    pub skipped_bytes: u64,
}

/// Data of a `log` frame: lines that were just committed. Where their numbers do not follow what was
/// received before, the API has what is between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogNews {
    /// The build.
    pub id: String,
    /// New lines, the newest of them when there were many.
    pub lines: Vec<LogLine>,
    /// As in [`LogPage::dropped`].
    pub dropped: u64,
    /// As in [`LogPage::skipped_bytes`].
    pub skipped_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> serde_json::Value {
        serde_json::json!({
            "v": 1, "agent": "00000000c0ffee01", "host": "build-01", "producer": "adw",
            "project_token": "00000000000000aa", "file": "agents/x/execution.log", "generation": 7,
            "from": 10, "to": 20, "observed_at": "2026-11-20T10:00:00.000Z",
            "lines": [{"offset": 10, "text": "one"}, {"offset": 14, "text": "two", "cut": true}],
        })
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut value = batch();
        change(&mut value);
        LogBatch::decode(value.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_batch_is_read_and_what_breaks_its_rules_is_refused() {
        let good = LogBatch::decode(batch().to_string().as_bytes()).unwrap();
        assert!(good.lines[1].cut && !good.lines[0].cut && good.skipped == 0);
        assert!(refused(|b| b["v"] = 2.into()).contains("version 2"));
        assert!(refused(|b| b["host"] = "".into()).contains("host"));
        assert!(refused(|b| b["file"] = "a\0b".into()).contains("file"));
        assert!(refused(|b| b["generation"] = u64::MAX.into()).contains("from"));
        assert!(refused(|b| b["from"] = 21.into()).contains("from"));
        assert!(refused(|b| b["lines"][1]["offset"] = 10.into()).contains("offset"));
        assert!(refused(|b| b["lines"][1]["offset"] = 20.into()).contains("offset"));
        assert!(refused(|b| b["lines"][0]["text"] = "a\u{1b}[1m".into()).contains("text"));
        assert!(refused(|b| b["lines"][0]["text"] = "x".repeat(2_001).into()).contains("text"));
        assert!(refused(|b| b["lines"] = 5.into()).contains("not a batch"));
    }
}
