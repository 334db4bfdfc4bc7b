//! Logs of Context Foundry's older loop. Of `session.jsonl` only the figures of
//! each call's `metadata` are taken, never its prompt or response; of
//! `events.jsonl` the newest events themselves, without lines of logs and details
//! of errors, and with secrets masked.

use std::collections::{BTreeMap, VecDeque};

use protocol::json::Json;
use protocol::text::shorten;
use protocol::{ContentHash, mask};
use serde::{Deserialize, Serialize};

use super::cursor::{Broken, Cursor};
use super::lines::{self, Line};

/// Characters of a name (model, type of an event) that are kept.
const MAX_NAME: usize = 120;
/// Characters of a text of an event that are kept: a task, a message, a summary.
const MAX_TEXT: usize = 500;
/// Characters that are looked at: more than are kept, so that a secret across the border is seen whole.
const MAX_LOOKED_AT: usize = 4_000;
/// Events that are told at once, again with each new one: a loop of five
/// minutes has some ten, so that nothing is lost while an hour's are gathered.
const MAX_EVENTS: usize = 50;

/// Whether a text is one JSON object.
pub(super) fn is_whole(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    let object = cursor.object(|_, cursor| cursor.skip());
    object == Ok(true) && cursor.end().is_ok()
}

/// What the calls of a session add up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SessionLog {
    pub(super) lines: u64,
    bad_lines: u64,
    /// Tokens, added up over the calls.
    input: Option<u64>,
    output: Option<u64>,
    /// The producer's own sums, where it tells nothing else.
    total_input: Option<u64>,
    total_output: Option<u64>,
    /// Per cent of the context, of the newest call; may exceed 100.
    context_percent: Option<f64>,
    context_health: Option<String>,
    compactions: Option<u64>,
    model: Option<String>,
}

impl SessionLog {
    pub(super) fn line(&mut self, line: Line<'_>) {
        let Line::Text(text) = line else {
            self.lines += 1;
            self.bad_lines += 1;
            return;
        };
        if lines::is_blank(text) {
            return;
        }
        self.lines += 1;
        // Into a copy: half of a broken line counts as nothing.
        let mut after = self.clone();
        match after.read(text) {
            Ok(()) => *self = after,
            Err(Broken) => self.bad_lines += 1,
        }
    }

    fn read(&mut self, text: &[u8]) -> Result<(), Broken> {
        let mut cursor = Cursor::new(text);
        let is_object = cursor.object(|key, cursor| match key {
            b"metadata" => cursor
                .object(|key, cursor| self.metadata(key, cursor))
                .map(|_| ()),
            _ => Ok(()),
        })?;
        cursor.end()?;
        if is_object { Ok(()) } else { Err(Broken) }
    }

    fn metadata(&mut self, key: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        match key {
            b"input_tokens" => self.input = sum(self.input, cursor.count()?),
            b"output_tokens" => self.output = sum(self.output, cursor.count()?),
            b"total_input" => self.total_input = cursor.count()?.or(self.total_input),
            b"total_output" => self.total_output = cursor.count()?.or(self.total_output),
            b"context_percentage" => {
                let percent = cursor.number()?.and_then(|text| text.parse().ok());
                let percent =
                    percent.filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
                self.context_percent = percent.or(self.context_percent);
            }
            b"context_health" => {
                self.context_health = cursor.text(MAX_NAME)?.or(self.context_health.take());
            }
            b"compaction_count" => self.compactions = cursor.count()?.or(self.compactions),
            b"model" => self.model = cursor.text(MAX_NAME)?.or(self.model.take()),
            _ => {}
        }
        Ok(())
    }

    /// The lines of another file add up to another session.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    pub(super) fn digest(&self) -> Json {
        let percent = self.context_percent.map(|percent| percent.to_string());
        object([
            ("digest", Json::String("foundry-session".to_owned())),
            ("v", count(1)),
            (
                "tokens",
                object([
                    ("input", maybe_count(self.input.or(self.total_input))),
                    ("output", maybe_count(self.output.or(self.total_output))),
                ]),
            ),
            ("context_percent", percent.map_or(Json::Null, Json::Number)),
            ("context_health", maybe_text(self.context_health.as_deref())),
            ("compactions", maybe_count(self.compactions)),
            ("model", maybe_text(self.model.as_deref())),
            ("lines", count(self.lines)),
            ("bad_lines", count(self.bad_lines)),
        ])
    }

    pub(super) fn headline(&self) -> ContentHash {
        let model = self.model.as_deref().unwrap_or_default();
        ContentHash::of(format!("{model} {:?}", self.compactions).as_bytes())
    }
}

/// The newest events of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct EventLog {
    pub(super) lines: u64,
    bad_lines: u64,
    /// Events so far that say something of the build; each has its number from 0.
    next: u64,
    newest: VecDeque<Told>,
}

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    kind: String,
    /// The producer's number, which begins with its process.
    sequence: Option<u64>,
    data: BTreeMap<String, Datum>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Datum {
    Number(String),
    Text(String),
    Flag(bool),
}

impl EventLog {
    pub(super) fn line(&mut self, line: Line<'_>) {
        let told = match line {
            Line::Text(text) if lines::is_blank(text) => return,
            Line::Text(text) => event(text),
            Line::TooLong => Err(Broken),
        };
        self.lines += 1;
        match told {
            Err(Broken) => self.bad_lines += 1,
            // A line of a log says nothing of where the build stands.
            Ok(told) if told.kind == "log_line" || told.kind.is_empty() => {}
            Ok(told) => {
                if self.newest.len() == MAX_EVENTS {
                    self.newest.pop_front();
                }
                self.newest.push_back(told);
                self.next += 1;
            }
        }
    }

    pub(super) fn digest(&self) -> Json {
        let first = self.next - self.newest.len() as u64;
        let events = (first..).zip(&self.newest).map(|(number, told)| {
            let data = told.data.iter().map(|(key, datum)| {
                let value = match datum {
                    Datum::Number(text) => Json::Number(text.clone()),
                    Datum::Text(text) => Json::String(text.clone()),
                    Datum::Flag(flag) => Json::Bool(*flag),
                };
                (key.clone(), value)
            });
            object([
                ("number", count(number)),
                ("type", Json::String(told.kind.clone())),
                ("sequence", maybe_count(told.sequence)),
                ("data", Json::Object(data.collect())),
            ])
        });
        object([
            ("digest", Json::String("foundry-events".to_owned())),
            ("v", count(1)),
            ("events", Json::Array(events.collect())),
            ("next", count(self.next)),
            ("lines", count(self.lines)),
            ("bad_lines", count(self.bad_lines)),
        ])
    }

    pub(super) fn headline(&self) -> ContentHash {
        ContentHash::of(self.next.to_string().as_bytes())
    }
}

fn event(text: &[u8]) -> Result<Told, Broken> {
    let mut cursor = Cursor::new(text);
    let mut told = Told::default();
    let is_object = cursor.object(|key, cursor| {
        match key {
            b"type" => told.kind = cursor.text(MAX_NAME)?.unwrap_or_default(),
            b"sequence" => told.sequence = cursor.count()?,
            b"data" => {
                cursor.object(|key, cursor| datum(&mut told.data, key, cursor))?;
            }
            _ => {}
        }
        Ok(())
    })?;
    cursor.end()?;
    if is_object { Ok(told) } else { Err(Broken) }
}

/// What is taken of an event's data, each of its own type; `details` and `line` are not.
fn datum(
    data: &mut BTreeMap<String, Datum>,
    key: &[u8],
    cursor: &mut Cursor<'_>,
) -> Result<(), Broken> {
    let taken = match key {
        b"phase" | b"task" | b"message" | b"summary" => {
            let text = cursor.text(MAX_LOOKED_AT)?;
            text.map(|text| {
                let mut text = mask::text(&text);
                shorten(&mut text, MAX_TEXT);
                Datum::Text(text)
            })
        }
        b"success" => cursor.flag()?.map(Datum::Flag),
        b"percent" | b"context_percent" | b"iteration" | b"tokens_used" => {
            let number = cursor.number()?.and_then(|text| text.parse().ok());
            let number = number.filter(|number: &f64| number.is_finite());
            number.map(|number| Datum::Number(number.to_string()))
        }
        _ => None,
    };
    if let (Some(taken), Ok(key)) = (taken, std::str::from_utf8(key)) {
        data.insert(key.to_owned(), taken);
    }
    Ok(())
}

pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    let members = members.into_iter();
    Json::Object(
        members
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

pub(super) fn count(n: u64) -> Json {
    Json::Number(n.to_string())
}

fn maybe_count(n: Option<u64>) -> Json {
    n.map_or(Json::Null, count)
}

pub(super) fn maybe_text(text: Option<&str>) -> Json {
    text.map_or(Json::Null, |text| Json::String(text.to_owned()))
}

/// The sum of what is known; unknown when nothing is.
fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}
