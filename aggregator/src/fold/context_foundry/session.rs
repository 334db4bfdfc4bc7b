//! What the older loop's log of its calls adds up to: tokens, model, and how
//! full the context is.

use protocol::build::{Context, Tokens};
use serde_json::Value;

use super::parts::{Kind, Parts};
use crate::fold::broadcast::context_of;
use crate::fold::run::Run;
use crate::fold::value::{count, name};

/// Brings the figures to the build. What was told later by a broadcast stays.
pub(super) fn apply(run: &mut Run, parts: &Parts) {
    let Some(part) = parts.newest(run, Kind::Session) else {
        return;
    };
    let Value::Object(told) = &part.told else {
        return;
    };
    let tokens = told.get("tokens").and_then(Value::as_object);
    let of = |key: &str| tokens.and_then(|tokens| count(tokens, key));
    let tokens = Tokens {
        input: of("input"),
        output: of("output"),
        ..Tokens::default()
    };
    let percent = told.get("context_percent").and_then(Value::as_f64);
    let context: Option<Context> = percent.and_then(context_of);
    let (model, at) = (name(told, "model"), part.at);
    if tokens != Tokens::default() {
        run.build.tokens = Some(tokens);
    }
    if model.is_some() {
        run.build.model = model;
    }
    if context.is_some() && run.foundry.context_at.is_none_or(|told| at >= told) {
        run.build.context = context;
    }
}
