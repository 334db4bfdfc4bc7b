//! One attempt of a digest, read.

use std::collections::BTreeMap;

use protocol::Money;
use protocol::build::{Context, Tokens};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fold::limits::MAX_NAME;
use crate::fold::prices;
use crate::fold::value::{count, cut, name};

/// A process that wrote to the file, or several old ones in one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// None of several in one.
    pub(super) session: Option<String>,
    /// How many are in it.
    pub(super) count: u64,
    pub(super) model: Option<String>,
    /// `running`, `success` or `error`.
    pub(super) state: Option<String>,
    pub(super) turns: Option<u64>,
    pub(super) duration_ms: Option<u64>,
    pub(super) spent: Spent,
    pub(super) models: BTreeMap<String, Spent>,
    pub(super) context: Option<Context>,
}

/// Tokens and what they cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spent {
    pub(super) cost: Option<Money>,
    /// Some of it was not told: the cost is a guess, or less than the whole.
    pub(super) is_estimate: bool,
    pub(super) tokens: Tokens,
}

impl Attempt {
    pub(super) fn read(attempt: &Map<String, Value>) -> Self {
        let member = |key| attempt.get(key).and_then(Value::as_object);
        let models: BTreeMap<String, Spent> = member("models")
            .into_iter()
            .flatten()
            .filter_map(|(model, told)| {
                Some((cut(model, MAX_NAME), of_model(model, told.as_object()?)))
            })
            .collect();
        let told = money(attempt, "total_cost_usd");
        // Without a result there is no amount: what list prices say, or nothing.
        let guess = || {
            models
                .values()
                .filter_map(|spent| spent.cost)
                .reduce(Money::plus)
        };
        Self {
            session: name(attempt, "session_id"),
            count: count(attempt, "merged").unwrap_or(1),
            model: name(attempt, "model"),
            state: name(attempt, "state"),
            turns: count(attempt, "num_turns"),
            duration_ms: count(attempt, "duration_ms"),
            spent: Spent {
                cost: told.or_else(guess),
                is_estimate: told.is_none(),
                tokens: tokens(member("tokens")),
            },
            models,
            context: member("context").and_then(context),
        }
    }

    /// The producer's word for its session.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Whether another is of the same session.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.session.is_some() && self.session == other.session
    }

    /// What it spent since an earlier run paid for so much of it; none where nothing came.
    pub(super) fn since(&self, paid: &Self) -> Option<Self> {
        if self == paid {
            return None;
        }
        let mut rest = self.clone();
        rest.spent = self.spent.since(&paid.spent);
        for (model, spent) in &mut rest.models {
            if let Some(paid) = paid.models.get(model) {
                *spent = spent.since(paid);
            }
        }
        Some(rest)
    }

    /// Whether nothing more is expected of it.
    pub(super) fn has_ended(&self) -> bool {
        self.state.as_deref() != Some("running")
    }
}

impl Spent {
    /// Adds what another spent; unknown and nothing add up to what is known.
    pub(super) fn add(&mut self, more: &Self) {
        self.cost = match (self.cost, more.cost) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (a, b) => a.or(b),
        };
        self.is_estimate |= more.is_estimate;
        self.tokens.input = sum(self.tokens.input, more.tokens.input);
        self.tokens.output = sum(self.tokens.output, more.tokens.output);
        self.tokens.cache_read = sum(self.tokens.cache_read, more.tokens.cache_read);
        self.tokens.cache_write = sum(self.tokens.cache_write, more.tokens.cache_write);
    }

    /// What is more than was paid. Where a guess was paid, the rest is one too, and both add up to what is told.
    fn since(&self, paid: &Self) -> Self {
        let usd = paid.cost.unwrap_or_default();
        let (now, before) = (self.tokens, paid.tokens);
        Self {
            cost: self.cost.map(|whole| whole.minus(usd).unwrap_or_default()),
            is_estimate: self.is_estimate || (paid.cost.is_some() && paid.is_estimate),
            tokens: Tokens {
                input: less(now.input, before.input),
                output: less(now.output, before.output),
                cache_read: less(now.cache_read, before.cache_read),
                cache_write: less(now.cache_write, before.cache_write),
                unknown_kind: None,
            },
        }
    }

    /// Null without a cost.
    pub(super) fn estimated(&self) -> Option<bool> {
        self.cost.map(|_| self.is_estimate)
    }
}

fn of_model(model: &str, told: &Map<String, Value>) -> Spent {
    let tokens = tokens(Some(told));
    let cost = money(told, "cost_usd");
    Spent {
        cost: cost.or_else(|| prices::estimate(model, &tokens)),
        is_estimate: cost.is_none(),
        tokens,
    }
}

fn context(object: &Map<String, Value>) -> Option<Context> {
    let (used, limit) = (count(object, "used"), count(object, "limit"));
    used.map(|_| Context { used, limit })
}

fn tokens(object: Option<&Map<String, Value>>) -> Tokens {
    let of = |key| object.and_then(|object| count(object, key));
    Tokens {
        input: of("input"),
        output: of("output"),
        cache_read: of("cache_read"),
        cache_write: of("cache_write"),
        // A line tells the kind of each.
        unknown_kind: None,
    }
}

/// An amount: decimal text. A number came by way of a double and is taken as it is spelled.
fn money(object: &Map<String, Value>, key: &str) -> Option<Money> {
    match object.get(key)? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn less(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now.map(|now| now.saturating_sub(before.unwrap_or(0)))
}

/// The sum of what is known; unknown when nothing is.
pub(super) fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}
