//! Claude Code's hook events, as ADW's scripts append them to
//! `.claude/logs/hook_events.jsonl`. A worktree's file is of one workflow; that
//! of the main tree has the lines of several, each with its `workflow_id`, and
//! tells one of them at a time. Events are counted; of texts only the points of
//! the todo list are taken, and tools' inputs, outputs and notifications where the settings allow it.

use std::collections::{BTreeMap, VecDeque};

use protocol::json::Json;
use protocol::{ContentHash, Timestamp};
use serde::{Deserialize, Serialize};

use super::cursor::{Broken, Cursor};
use super::digest;
use super::figures::{Options, Tools};
use super::foundry::{count, maybe_text, object};
use super::line::{self, Call, Output, Todos};
use super::lines::{self, Line};
use super::texts::{self, Calls};

/// Characters of a name (event, tool, workflow) that are kept.
const MAX_NAME: usize = 120;
/// Kinds of events that are counted by name: twice as many as Claude Code has.
const MAX_KINDS: usize = 24;
/// Workflows of one file that are remembered, those with the newest lines: as many as work side by side.
const MAX_WORKFLOWS: usize = 8;

/// What the lines of a file say, by workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HookLog {
    /// Lines that are of a workflow.
    pub(super) lines: u64,
    bad_lines: u64,
    /// Those with the newest lines last.
    workflows: VecDeque<Workflow>,
    /// Of which was told last.
    last: String,
    #[serde(skip)]
    options: Options,
    /// When the lines that are read now were written, where that is known.
    #[serde(skip)]
    pub(super) at: Option<Timestamp>,
}

/// What the lines of one workflow add up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Workflow {
    /// Empty where the file is of one workflow, whose id is in its path.
    id: String,
    /// It has lines that were not told.
    is_due: bool,
    events: u64,
    kinds: BTreeMap<String, u64>,
    /// Calls that were announced, and those that came back: a hook may be set for one of them alone.
    before: u64,
    after: u64,
    tools: Tools,
    todos: Option<Todos>,
    /// The newest notification, where texts may leave the host.
    notice: Option<String>,
    #[serde(default, skip_serializing_if = "Calls::is_empty")]
    told: Calls,
}

/// One line.
#[derive(Default)]
struct Said<'a> {
    kind: String,
    workflow: Option<String>,
    tool: Option<String>,
    id: Option<line::Id>,
    input: &'a [u8],
    output: &'a [u8],
    message: &'a [u8],
}

impl HookLog {
    pub(super) fn line(&mut self, line: Line<'_>) {
        let Line::Text(text) = line else {
            self.bad_lines += 1;
            return;
        };
        if lines::is_blank(text) {
            return;
        }
        let Ok(said) = read(text) else {
            self.bad_lines += 1;
            return;
        };
        let id = match (self.options.one_workflow, &said.workflow) {
            (true, _) => "",
            (false, Some(workflow)) => workflow,
            // A session of a person, of whom no workflow is known.
            (false, None) => return,
        };
        let texts = self.options.texts;
        let known = self.workflows.iter().position(|known| known.id == id);
        let known = known.and_then(|place| self.workflows.remove(place));
        let mut workflow = known.unwrap_or_else(|| Workflow {
            id: id.to_owned(),
            ..Workflow::default()
        });
        // Half of a broken line counts as nothing.
        let taken = workflow.take(&said, texts, self.at);
        self.lines += u64::from(taken.is_ok());
        self.bad_lines += u64::from(taken.is_err());
        if workflow.events > 0 {
            self.workflows.push_back(workflow);
        }
        if self.workflows.len() > MAX_WORKFLOWS {
            self.workflows.pop_front();
        }
    }

    pub(super) fn restart(&mut self) {
        *self = Self {
            options: self.options,
            at: self.at,
            ..Self::default()
        };
    }

    /// What may be told from here on.
    pub(super) fn allow(&mut self, options: Options) {
        self.options = options;
        if !options.texts {
            for workflow in &mut self.workflows {
                workflow.told.forget_texts();
                workflow.notice = None;
            }
        }
    }

    /// The one that is told now: of which something is due, else the last.
    fn chosen(&self) -> Option<&Workflow> {
        let is_last = |workflow: &&Workflow| workflow.id == self.last;
        let mut due = self.workflows.iter().filter(|workflow| workflow.is_due);
        due.next().or_else(|| self.workflows.iter().find(is_last))
    }

    /// Its id, where the path does not say it.
    pub(super) fn workflow(&self) -> Option<&str> {
        let id = self.chosen().map(|workflow| workflow.id.as_str());
        id.filter(|id| !id.is_empty())
    }

    /// It was told as it is.
    pub(super) fn was_told(&mut self) {
        let id = self.chosen().map(|workflow| workflow.id.clone());
        self.last = id.unwrap_or_default();
        self.set_due(false);
    }

    /// What was told last did not get anywhere.
    pub(super) fn was_not_told(&mut self) {
        self.set_due(true);
    }

    fn set_due(&mut self, is_due: bool) {
        let last = &self.last;
        let mut of_last = self
            .workflows
            .iter_mut()
            .filter(|workflow| workflow.id == *last);
        if let Some(workflow) = of_last.next() {
            workflow.is_due = is_due;
        }
    }

    /// Something of another workflow is to be told.
    pub(super) fn is_due(&self) -> bool {
        self.workflows.iter().any(|workflow| workflow.is_due)
    }

    pub(super) fn digest(&self) -> Json {
        let empty = Workflow::default();
        let told = self.chosen().unwrap_or(&empty);
        let kinds = told.kinds.iter();
        let calls = digest::calls(&told.told);
        let notice = told.notice.as_deref();
        let notice = notice.map(|notice| ("notice", Json::String(notice.to_owned())));
        let members = [
            ("digest", Json::String("claude-hooks".to_owned())),
            ("v", count(1)),
            ("workflow", maybe_text(self.workflow())),
            ("events", count(told.events)),
            (
                "kinds",
                Json::Object(kinds.map(|(kind, n)| (kind.clone(), count(*n))).collect()),
            ),
            (
                "tools",
                digest::tools(&Tools {
                    calls: told.before.max(told.after),
                    ..told.tools.clone()
                }),
            ),
            (
                "todos",
                told.todos.as_ref().map_or(Json::Null, digest::todos),
            ),
            ("lines", count(self.lines)),
            ("bad_lines", count(self.bad_lines)),
        ];
        object(members.into_iter().chain(calls).chain(notice))
    }

    pub(super) fn headline(&self) -> ContentHash {
        let Some(told) = self.chosen() else {
            return ContentHash::of(b"");
        };
        let mut text = told.id.clone();
        for todo in told.todos.iter().flat_map(|todos| &todos.list) {
            text.extend(["\n", todo.state.as_str(), " ", todo.text.as_str()]);
        }
        for (kind, n) in told.kinds.iter().filter(|(kind, _)| !is_of_tool(kind)) {
            text.push_str(&format!("\n{kind} {n}"));
        }
        ContentHash::of(text.as_bytes())
    }
}

fn is_of_tool(kind: &str) -> bool {
    kind.ends_with("ToolUse")
}

impl Workflow {
    fn take(&mut self, said: &Said<'_>, texts: bool, at: Option<Timestamp>) -> Result<(), Broken> {
        let of_todos = said.tool.as_deref() == Some("TodoWrite");
        let todos = match of_todos && !said.input.is_empty() {
            true => line::todos(said.input)?,
            false => None,
        };
        let is_error = failed(said.output)?;
        self.events += 1;
        self.is_due = true;
        if self.kinds.len() < MAX_KINDS || self.kinds.contains_key(&said.kind) {
            *self.kinds.entry(said.kind.clone()).or_default() += 1;
        }
        match said.kind.as_str() {
            "PreToolUse" => self.before += 1,
            "PostToolUse" => {
                self.after += 1;
                self.tools.errors += u64::from(is_error);
            }
            "Notification" if texts => self.notice = texts::output(said.message)?,
            _ => {}
        }
        if is_of_tool(&said.kind) {
            self.tools.last = said.tool.clone().or(self.tools.last.take());
        }
        self.todos = todos.or(self.todos.take());
        if is_of_tool(&said.kind) && !of_todos {
            self.tell(said, is_error, texts, at)?;
        }
        Ok(())
    }

    fn tell(
        &mut self,
        said: &Said<'_>,
        is_error: bool,
        texts: bool,
        at: Option<Timestamp>,
    ) -> Result<(), Broken> {
        let told = &mut self.told;
        let begins = said.kind == "PreToolUse";
        // Without an id what comes back is of the newest call of that tool that waits.
        let waits = |call: &&texts::Told| !call.is_done && call.name == said.tool;
        let waiting = told.0.iter().rev().find(waits).filter(|_| !begins);
        let id = said.id.or_else(|| waiting.and_then(|call| call.id));
        let id = id.or_else(|| Some(line::id_of(self.events.to_string().as_bytes())));
        let is_known = told.0.iter().any(|call| call.id == id);
        if begins || !is_known {
            let at_work = self.todos.iter().flat_map(|todos| &todos.list);
            let mut at_work = at_work.filter(|todo| todo.state == "in_progress");
            let call = Call {
                id,
                name: said.tool.clone(),
                todos: None,
                input: match texts {
                    true => texts::input(said.input)?,
                    false => None,
                },
            };
            let todo = at_work.next().map(|todo| todo.text.as_str());
            told.call(&call, todo, at.filter(|_| begins));
        }
        if !begins {
            let text = match texts {
                true => texts::output(said.output)?,
                false => None,
            };
            told.output(&Output { id, is_error, text }, at);
        }
        Ok(())
    }
}

/// Members may stand in the line itself or in its `payload`.
fn read(text: &[u8]) -> Result<Said<'_>, Broken> {
    let mut said = Said::default();
    let mut payload: &[u8] = b"";
    let mut cursor = Cursor::new(text);
    let is_object = cursor.object(|key, cursor| match key {
        b"payload" => {
            payload = cursor.spelling()?;
            Ok(())
        }
        _ => member(&mut said, key, cursor),
    })?;
    cursor.end()?;
    if !payload.is_empty() {
        Cursor::new(payload).object(|key, cursor| member(&mut said, key, cursor))?;
    }
    match is_object && !said.kind.is_empty() {
        true => Ok(said),
        false => Err(Broken),
    }
}

fn member<'a>(said: &mut Said<'a>, key: &[u8], cursor: &mut Cursor<'a>) -> Result<(), Broken> {
    match key {
        b"event_type" | b"hook_event_name" => {
            said.kind = cursor
                .text(MAX_NAME)?
                .unwrap_or_else(|| std::mem::take(&mut said.kind));
        }
        b"workflow_id" => {
            let id = cursor.text(MAX_NAME)?;
            // `wf-<adw id>`
            let id = id.and_then(|id| id.strip_prefix("wf-").map(str::to_owned));
            said.workflow = id.filter(|id| !id.is_empty()).or(said.workflow.take());
        }
        b"tool_name" => said.tool = cursor.text(MAX_NAME)?.or(said.tool.take()),
        b"tool_use_id" => said.id = line::id(cursor)?,
        b"tool_input" => said.input = cursor.spelling()?,
        b"tool_response" => said.output = cursor.spelling()?,
        b"message" => said.message = cursor.spelling()?,
        _ => {}
    }
    Ok(())
}

/// Whether what a tool gave says of itself that it failed.
fn failed(output: &[u8]) -> Result<bool, Broken> {
    let mut failed = false;
    if output.starts_with(b"{") {
        Cursor::new(output).object(|key, cursor| {
            match key {
                b"is_error" => failed |= cursor.flag()? == Some(true),
                b"success" => failed |= cursor.flag()? == Some(false),
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(failed)
}
