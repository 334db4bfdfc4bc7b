//! What the lines of one file add up to: attempts, todos, tool calls. Pure;
//! everything in it is bounded and can be saved.

use protocol::json::Json;
use protocol::{ContentHash, Timestamp};
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, State};
use super::digest;
use super::line::{self, Call, Kind, Said, Todos};
use super::lines::{self, Line};
use super::seen::Seen;
use super::texts::Calls;

/// Attempts that are told one by one: more retries than any orchestrator makes.
/// The oldest beyond it become one.
const MAX_ATTEMPTS: usize = 16;

/// The figures of one file, over its restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(super) attempts: Vec<Attempt>,
    /// The attempt that lines belong to.
    current: usize,
    /// The file was begun anew and has not said of which attempt it is.
    restarted: bool,
    pub(super) todos: Option<Todos>,
    pub(super) tools: Tools,
    pub(super) lines: u64,
    pub(super) bad_lines: u64,
    messages: Seen,
    calls: Seen,
    outputs: Seen,
    /// The directory that the first line with one names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cwd: Option<String>,
    /// The newest calls, with their texts where those may leave the host.
    #[serde(default, skip_serializing_if = "Calls::is_empty")]
    pub(super) told: Calls,
    /// When the lines that are read now were written, where that is known.
    #[serde(skip)]
    pub(super) at: Option<Timestamp>,
    #[serde(skip)]
    pub(super) options: Options,
}

/// What kind of file it is, and what of it may be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Tool inputs and outputs may leave the host.
    pub(crate) texts: bool,
    /// It is a transcript: it never has a result line.
    pub(crate) transcript: bool,
    /// Its path says of which workflow it is.
    pub(crate) one_workflow: bool,
}

/// Calls of tools, over all attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tools {
    pub(super) calls: u64,
    pub(super) errors: u64,
    /// Name of the last one.
    pub(super) last: Option<String>,
}

impl Figures {
    /// Takes over one line.
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
        match line::read(text, self.options.texts) {
            Ok(said) => self.take(said),
            Err(_) => self.bad_lines += 1,
        }
    }

    /// The file begins anew: what is known of it stays, what follows is of
    /// another attempt unless it says otherwise.
    pub(super) fn restart(&mut self) {
        self.restarted = !self.attempts.is_empty();
    }

    /// What is told of it.
    pub(crate) fn digest(&self) -> Json {
        digest::of(self)
    }

    /// What of it is told at once when it changes, in one value.
    pub(super) fn headline(&self) -> ContentHash {
        let mut text = String::new();
        for attempt in &self.attempts {
            text.push_str(attempt.session.as_deref().unwrap_or_default());
            text.push_str(attempt.model.as_deref().unwrap_or_default());
            text.push_str(attempt.state.word());
            text.push('\n');
        }
        for todo in self.todos.iter().flat_map(|todos| &todos.list) {
            text.extend([todo.state.as_str(), todo.text.as_str(), "\n"]);
        }
        ContentHash::of(text.as_bytes())
    }

    fn take(&mut self, said: Said) {
        if said.kind == Kind::Other {
            return;
        }
        if self.cwd.is_none() {
            self.cwd.clone_from(&said.cwd);
        }
        self.choose_attempt(&said);
        let is_new = self.messages.insert(said.message);
        let Some(attempt) = self.attempts.get_mut(self.current) else {
            return;
        };
        match said.kind {
            Kind::Init => attempt.model = said.model.or(attempt.model.take()),
            Kind::Assistant => {
                attempt.message(&said, is_new);
                for call in said.calls {
                    self.call(call, said.is_nested);
                }
            }
            Kind::User => {
                for output in said.outputs {
                    self.told.output(&output, self.at);
                    // An output may come before its input; each is counted once, by its own id.
                    if self.outputs.insert(output.id) && output.is_error {
                        self.tools.errors += 1;
                    }
                }
            }
            Kind::Result => attempt.close(said.closing),
            Kind::Other => {}
        }
    }

    /// Finds the attempt that a line belongs to, or begins one.
    fn choose_attempt(&mut self, said: &Said) {
        let is_first = said.kind == Kind::Init;
        let same_line =
            |attempt: &Attempt| is_first && said.uuid.is_some() && attempt.first_line == said.uuid;
        if let Some(known) = self.attempts.iter().position(same_line) {
            // The same line again: the file was copied or rewritten, and nothing new was spent.
            self.current = known;
            self.restarted = false;
            return;
        }
        let begins = match self.attempts.get(self.current) {
            None => true,
            Some(attempt) if attempt.is_blank() => false,
            Some(attempt) => {
                let other = said.session.is_some()
                    && attempt.session.is_some()
                    && said.session != attempt.session;
                let anew = self.restarted && (is_first || said.session.is_none());
                // A session that goes on tells what it spent in all, so that its results grow.
                let below = said.kind == Kind::Result && attempt.is_below(&said.closing);
                other || anew || below
            }
        };
        self.restarted = false;
        if begins {
            self.begin();
        }
        let Some(attempt) = self.attempts.get_mut(self.current) else {
            return;
        };
        if attempt.session.is_none() {
            attempt.session.clone_from(&said.session);
        }
        if is_first && attempt.first_line.is_none() {
            attempt.first_line = said.uuid;
        }
    }

    fn begin(&mut self) {
        self.attempts.push(Attempt::default());
        if self.attempts.len() > MAX_ATTEMPTS {
            let second = self.attempts.remove(1);
            if let Some(first) = self.attempts.first_mut() {
                first.absorb(second);
            }
        }
        self.current = self.attempts.len() - 1;
    }

    fn call(&mut self, call: Call, is_nested: bool) {
        if !self.calls.insert(call.id) {
            return;
        }
        self.tools.calls += 1;
        self.tell(&call);
        self.tools.last = call.name.or(self.tools.last.take());
        match call.todos {
            // A sub-agent's list is its own.
            Some(todos) if !is_nested => self.replace_todos(todos),
            Some(_) => {}
            None => {
                let list = self.todos.iter_mut().flat_map(|todos| &mut todos.list);
                let at_work = list.into_iter().find(|todo| todo.state == "in_progress");
                if let Some(todo) = at_work {
                    todo.tools += 1;
                }
            }
        }
    }

    /// Keeps the call with the point it is for.
    fn tell(&mut self, call: &Call) {
        if call.todos.is_none() {
            let list = self.todos.iter().flat_map(|todos| &todos.list);
            let mut at_work = list.filter(|todo| todo.state == "in_progress");
            let todo = at_work.next().map(|todo| todo.text.as_str());
            self.told.call(call, todo, self.at);
        }
    }

    /// What may be told from here on.
    pub(super) fn allow(&mut self, options: Options) {
        self.options = options;
        if !options.texts {
            self.told.forget_texts();
        }
    }

    /// Each list is whole: what was counted under a point stays with its text.
    fn replace_todos(&mut self, mut todos: Todos) {
        let mut before = self.todos.take().unwrap_or_default().list;
        for todo in &mut todos.list {
            // Taken out, so that two points of the same text keep their own.
            if let Some(at) = before.iter().position(|old| old.text == todo.text) {
                todo.tools = before.remove(at).tools;
            }
        }
        self.todos = Some(todos);
    }

    /// Whether the last attempt has not told its result.
    pub(super) fn is_running(&self) -> bool {
        let last = self.attempts.last();
        last.is_some_and(|attempt| attempt.state == State::Running)
    }
}
