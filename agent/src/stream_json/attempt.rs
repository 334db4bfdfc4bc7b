//! One attempt: a process that wrote from its first line to its result. While
//! it runs its tokens are counted by message, after its result they are what
//! the result says. Costs are only ever taken from results.

use std::collections::VecDeque;

use protocol::Money;
use serde::{Deserialize, Serialize};

use super::line::{Closing, Id, MAX_MODELS, ModelUse, Said, Usage};

/// Messages whose usage is remembered to be corrected by their later blocks;
/// blocks of one message follow each other, interleaved with those of a few sub-agents.
const MAX_OPEN_MESSAGES: usize = 64;

/// How an attempt stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// No result yet.
    #[default]
    Running,
    /// Its result says so.
    Success,
    /// Its result says so.
    Error,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

/// One attempt, or several old ones in one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// As the producer names it; none of several in one.
    pub(super) session: Option<String>,
    /// Of its first line: the same line read again is the same attempt.
    pub(super) first_line: Option<Id>,
    /// How many attempts were put together in it, when more than one.
    pub(super) merged: u64,
    pub(super) model: Option<String>,
    pub(super) state: State,
    pub(super) is_error: Option<bool>,
    pub(super) subtype: Option<String>,
    pub(super) turns: Option<u64>,
    pub(super) duration_ms: Option<u64>,
    pub(super) cost: Option<Money>,
    pub(super) models: Vec<ModelUse>,
    pub(super) tokens: Usage,
    /// Tokens in the model's context at its last message.
    pub(super) context: Option<u64>,
    messages: VecDeque<Message>,
}

/// What a message was counted with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Message {
    id: Id,
    usage: Usage,
}

impl Attempt {
    /// Whether it was told nothing yet.
    pub(super) fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over a message of the model. `is_new`: its id was not seen before.
    pub(super) fn message(&mut self, said: &Said, is_new: bool) {
        if !said.is_nested {
            self.model = said.model.clone().or(self.model.take());
            let held = said.usage.map(|u| [u.input, u.cache_read, u.cache_write]);
            let held = held.map(|parts| parts.into_iter().flatten().sum());
            self.context = held.or(self.context);
        }
        let (Some(usage), State::Running) = (said.usage, self.state) else {
            return;
        };
        let before = match said.message {
            // The same message in another block: only what its usage grew by is counted.
            Some(id) => match self.messages.iter_mut().find(|message| message.id == id) {
                Some(message) => {
                    let before = message.usage;
                    message.usage = before.at_least(usage);
                    before
                }
                None if !is_new => return,
                None => {
                    self.remember(id, usage);
                    Usage::default()
                }
            },
            None => Usage::default(),
        };
        let grown = before.at_least(usage).less(before);
        self.tokens.add(grown);
        if let Some(name) = &said.model {
            self.of_model(name).usage.add(grown);
        }
    }

    fn remember(&mut self, id: Id, usage: Usage) {
        if self.messages.len() == MAX_OPEN_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(Message { id, usage });
    }

    fn of_model(&mut self, name: &str) -> &mut ModelUse {
        let place = self.models.iter().position(|model| model.name == name);
        // Beyond the limit the last one takes the rest: the sums stay right.
        let place = place.unwrap_or_else(|| {
            if self.models.len() < MAX_MODELS {
                self.models.push(ModelUse {
                    name: name.to_owned(),
                    ..ModelUse::default()
                });
            }
            self.models.len() - 1
        });
        &mut self.models[place]
    }

    /// A result that cannot be of the same process: what it spent cannot become less.
    pub(super) fn is_below(&self, closing: &Closing) -> bool {
        self.state != State::Running && self.cost.zip(closing.cost).is_some_and(|(a, b)| b < a)
    }

    /// Takes over its result: what was counted before is replaced.
    pub(super) fn close(&mut self, closing: Closing) {
        let failed = closing.is_error == Some(true)
            || closing
                .subtype
                .as_deref()
                .is_some_and(|word| word != "success");
        self.state = if failed { State::Error } else { State::Success };
        self.is_error = closing.is_error;
        self.subtype = closing.subtype;
        self.turns = closing.turns;
        self.duration_ms = closing.duration_ms;
        let of_models = closing
            .models
            .iter()
            .fold(Usage::default(), |mut sum, model| {
                sum.add(model.usage);
                sum
            });
        let told = closing
            .usage
            .or((!closing.models.is_empty()).then_some(of_models));
        self.tokens = told.unwrap_or(self.tokens);
        let by_model = || {
            let costs: Option<Vec<Money>> = closing.models.iter().map(|model| model.cost).collect();
            costs.filter(|costs| !costs.is_empty())
        };
        let cost = closing
            .cost
            .or_else(|| by_model().map(|costs| costs.into_iter().sum()));
        self.cost = cost.or(self.cost);
        if !closing.models.is_empty() {
            self.models = closing.models;
        }
        self.messages.clear();
    }

    /// Whether its figures are counted, not told.
    pub(super) fn is_estimated(&self) -> bool {
        self.state == State::Running
    }

    /// Puts a later attempt into this one; what cannot be added is left out.
    pub(super) fn absorb(&mut self, later: Self) {
        self.merged = self.merged.max(1) + later.merged.max(1);
        self.session = None;
        self.first_line = None;
        self.subtype = None;
        self.is_error = None;
        self.context = None;
        self.model = later.model.or(self.model.take());
        if later.state != State::Success {
            self.state = State::Error; // one that never told its result did not succeed
        }
        self.turns = sum(self.turns, later.turns);
        self.duration_ms = sum(self.duration_ms, later.duration_ms);
        self.cost = match (self.cost, later.cost) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (a, b) => a.or(b),
        };
        self.tokens.add(later.tokens);
        for model in later.models {
            let mine = self.of_model(&model.name);
            mine.usage.add(model.usage);
            mine.cost = match (mine.cost, model.cost) {
                (Some(a), Some(b)) => Some(a.plus(b)),
                (a, b) => a.or(b),
            };
            mine.window = model.window.or(mine.window);
        }
        self.messages.clear();
    }
}

impl Usage {
    fn each(self, other: Self, with: impl Fn(Option<u64>, Option<u64>) -> Option<u64>) -> Self {
        Self {
            input: with(self.input, other.input),
            output: with(self.output, other.output),
            cache_read: with(self.cache_read, other.cache_read),
            cache_write: with(self.cache_write, other.cache_write),
        }
    }

    fn add(&mut self, more: Self) {
        *self = self.each(more, sum);
    }

    fn at_least(self, other: Self) -> Self {
        self.each(other, Option::max)
    }

    fn less(self, before: Self) -> Self {
        self.each(before, |now, before| {
            Some(now?.saturating_sub(before.unwrap_or(0)))
        })
    }
}

/// The sum of what is known; unknown when nothing is.
fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}
