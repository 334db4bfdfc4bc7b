//! The table itself: which member of a build stands where in a document.

use serde_json::{Map, Value, json};

use super::{Pointer, Words};
use crate::BuildState;

/// Characters of one text that is mapped: as many as a page shows of a sentence.
const MAX_CHARS: usize = 4096;
/// Bytes of one list or object that is mapped; larger ones stay in the document only.
const MAX_BYTES: usize = 16 * 1024;

/// A member of a build that a table may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// As the API names it; `tokens.input` is `input` in `tokens`.
    pub key: &'static str,
    /// What is expected there.
    pub kind: Kind,
}

/// What is expected in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text, or a number taken as one.
    Text,
    /// Several texts.
    Texts,
    /// A whole number from 0, or a text of one.
    Count,
    /// A number from 0 to the whole.
    Share,
    /// US dollars: a number or a text of one.
    Money,
    /// True or false.
    Flag,
    /// An address with `http:` or `https:`.
    Address,
}

const fn of(key: &'static str, kind: Kind) -> Field {
    Field { key, kind }
}

/// Every member of a build that a table may fill, in the order shown.
pub const FIELDS: [Field; 25] = [
    of("project", Kind::Text),
    of("session_id", Kind::Text),
    of("status", Kind::Text),
    of("phase", Kind::Text),
    of("phase_number", Kind::Text),
    of("phases_completed", Kind::Texts),
    of("progress", Kind::Share),
    of("detail", Kind::Text),
    of("error", Kind::Text),
    of("branch", Kind::Text),
    of("commit", Kind::Text),
    of("issue", Kind::Text),
    of("pr_url", Kind::Address),
    of("coding_agent", Kind::Text),
    of("model", Kind::Text),
    of("cost_usd", Kind::Money),
    of("cost_estimated", Kind::Flag),
    of("test_iteration", Kind::Count),
    of("tokens.input", Kind::Count),
    of("tokens.output", Kind::Count),
    of("tokens.cache_read", Kind::Count),
    of("tokens.cache_write", Kind::Count),
    of("tokens.unknown_kind", Kind::Count),
    of("context.used", Kind::Count),
    of("context.limit", Kind::Count),
];

/// The field of this name.
#[must_use]
pub fn field(key: &str) -> Option<Field> {
    FIELDS.into_iter().find(|field| field.key == key)
}

impl Kind {
    /// What is expected, for people.
    #[must_use]
    pub fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text or a number",
            Self::Texts => "a list of texts",
            Self::Count => "a whole number from 0",
            Self::Share => "a number from 0 to the whole",
            Self::Money => "an amount of US dollars",
            Self::Flag => "true or false",
            Self::Address => "an address with http: or https:",
        }
    }

    /// Whether a value is what is expected.
    #[must_use]
    pub fn fits(self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Self::Text => !value.is_object() && !value.is_array(),
            Self::Texts => value
                .as_array()
                .is_some_and(|items| items.iter().all(Value::is_string)),
            Self::Count => {
                value.as_u64().is_some()
                    || text.is_some_and(|text| text.trim().parse::<u64>().is_ok())
            }
            Self::Share => number(value).is_some_and(|share| (0.0..=1.0).contains(&share)),
            Self::Money => match value {
                Value::Number(amount) => amount.to_string().parse::<crate::Money>().is_ok(),
                Value::String(amount) => amount
                    .trim()
                    .trim_start_matches('$')
                    .parse::<crate::Money>()
                    .is_ok(),
                _ => false,
            },
            Self::Flag => value.is_boolean(),
            Self::Address => {
                text.is_some_and(|text| text.starts_with("https://") || text.starts_with("http://"))
            }
        }
    }
}

/// What progress is counted of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whole {
    /// So many; 1 for a share, 100 for percent.
    Number(u32),
    /// What stands at this place.
    At(Pointer),
}

/// Something without a member of its own, shown by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactRow {
    /// For machines.
    pub key: String,
    /// For people.
    pub label: String,
    /// Where it may stand; the first place that holds something counts.
    pub places: Vec<Pointer>,
    /// What is expected there, and how it is shown.
    pub shown: Shown,
}

/// How the value of a fact is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Any value, in words.
    Words,
    /// US dollars.
    Money,
    /// A number, or how many a list has: producers write either.
    Count,
    /// A number of minutes.
    Minutes,
}

impl Shown {
    /// The value as it is mapped; what does not fit stays as it was written.
    fn of(self, value: &Value) -> Value {
        match (self, value) {
            (Self::Count, Value::Array(items)) => items.len().into(),
            _ => value.clone(),
        }
    }

    /// What was expected, where a value is something else.
    fn misfit(self, value: &Value) -> Option<&'static str> {
        match (self, value) {
            (Self::Count, Value::Number(_) | Value::Array(_))
            | (Self::Minutes, Value::Number(_))
            | (Self::Words | Self::Money, _) => None,
            (Self::Count, _) => Some("a number or a list"),
            (Self::Minutes, _) => Some("a number of minutes"),
        }
    }
}

/// Which member of a build stands where, and what status words mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Fields and where each may stand; the first place that holds something counts.
    pub fields: Vec<(Field, Vec<Pointer>)>,
    /// What is shown by name.
    pub facts: Vec<FactRow>,
    /// What status words mean.
    pub words: Words,
    /// What progress is counted of.
    pub progress_of: Whole,
}

/// What a table makes of a document.
#[derive(Debug, Clone, Default)]
pub struct Mapped {
    /// Members of a build by their names; beside them `state` and `ends`, by
    /// the status word, and `facts`.
    pub told: Map<String, Value>,
    /// Names and places that hold nothing here.
    pub missing: Vec<(String, String)>,
    /// Names, what stands there and what was expected.
    pub odd: Vec<(String, String, &'static str)>,
    /// The status word, where nobody said what it means.
    pub unknown_word: Option<String>,
}

impl Mapped {
    fn too_large(&mut self, name: &str) {
        let shown = format!("a list or object of more than {MAX_BYTES} bytes");
        self.odd
            .push((name.to_owned(), shown, "a smaller one; it is kept raw only"));
    }
}

/// What stands at a place.
type Find<'a> = dyn Fn(&Pointer) -> Option<&'a Value> + 'a;

impl Table {
    /// The members of an object in which a field may stand, the first before the others.
    pub fn members(&self, key: &str) -> impl Iterator<Item = &str> {
        let of_field = self
            .fields
            .iter()
            .filter(move |(field, _)| field.key == key);
        of_field.flat_map(|(_, places)| places.iter().filter_map(Pointer::first))
    }

    /// Maps a document.
    #[must_use]
    pub fn apply(&self, document: &Value) -> Mapped {
        self.apply_by(&|place| place.find(document))
    }

    /// Maps an object by its members.
    #[must_use]
    pub fn apply_to(&self, members: &Map<String, Value>) -> Mapped {
        self.apply_by(&|place| place.find_in(members))
    }

    fn apply_by<'a>(&self, find: &Find<'a>) -> Mapped {
        let mut mapped = Mapped::default();
        for (field, places) in &self.fields {
            let Some(value) = first(places, find) else {
                mapped.missing.push((field.key.to_owned(), listed(places)));
                continue;
            };
            let written = value;
            let value = match field.kind {
                Kind::Share => self.share(written, find),
                _ => written.clone(),
            };
            if !field.kind.fits(&value) {
                let shown = cut(&written.to_string(), 80);
                let odd = (field.key.to_owned(), shown, field.kind.expected());
                mapped.odd.push(odd);
            }
            match bounded(value) {
                Some(value) => set(&mut mapped.told, field.key, value),
                None => mapped.too_large(field.key),
            }
        }
        let mut facts = Vec::new();
        for fact in &self.facts {
            let Some(value) = first(&fact.places, find) else {
                mapped
                    .missing
                    .push((fact.label.clone(), listed(&fact.places)));
                continue;
            };
            if let Some(expected) = fact.shown.misfit(value) {
                let odd = (fact.label.clone(), cut(&value.to_string(), 80), expected);
                mapped.odd.push(odd);
            }
            match bounded(fact.shown.of(value)) {
                Some(value) => facts.push(json!({
                    "key": fact.key, "label": fact.label, "value": value,
                    "money": fact.shown == Shown::Money
                })),
                None => mapped.too_large(&fact.label),
            }
        }
        if !facts.is_empty() {
            mapped.told.insert("facts".to_owned(), Value::Array(facts));
        }
        self.judge(&mut mapped);
        mapped
    }

    /// What the status word means, where there is one.
    fn judge(&self, mapped: &mut Mapped) {
        let Some(word) = mapped.told.get("status").and_then(word) else {
            return;
        };
        let meaning = self.words.of(&word);
        let state = meaning.map_or(BuildState::Unknown, |meaning| meaning.state);
        let ends = meaning.is_some_and(|meaning| meaning.ends);
        mapped.told.insert("state".to_owned(), state.word().into());
        mapped.told.insert("ends".to_owned(), ends.into());
        if meaning.is_none() {
            mapped.unknown_word = Some(word);
        }
    }

    fn share<'a>(&self, value: &Value, find: &Find<'a>) -> Value {
        let whole = match &self.progress_of {
            Whole::Number(1) => return value.clone(),
            Whole::Number(whole) => Some(f64::from(*whole)),
            Whole::At(place) => find(place).and_then(number),
        };
        match (number(value), whole.filter(|whole| *whole > 0.0)) {
            (Some(part), Some(whole)) => json!(part / whole),
            _ => Value::Null,
        }
    }
}

/// A text that says something, or whatever stands there in JSON.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.trim().to_owned()),
        other => Some(other.to_string()),
    }
}

/// A number, or a text of one, with or without a percent sign.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().trim_end_matches('%').trim_end().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// What stands first of several places; null and blank are nothing.
fn first<'a>(places: &[Pointer], find: &Find<'a>) -> Option<&'a Value> {
    let is_something = |value: &&Value| match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    };
    places.iter().filter_map(find).find(is_something)
}

fn listed(places: &[Pointer]) -> String {
    let texts: Vec<String> = places.iter().map(Pointer::to_string).collect();
    texts.join(" or ")
}

/// As much of a value as is mapped; none for what is too large.
fn bounded(value: Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(Value::String(cut(&text, MAX_CHARS))),
        Value::Array(_) | Value::Object(_) => {
            (value.to_string().len() <= MAX_BYTES).then_some(value)
        }
        other => Some(other),
    }
}

/// Cuts a text to a number of characters, and says so with an ellipsis.
fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Sets a member, `a.b` in an object of that name.
fn set(told: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            told.insert(key.to_owned(), value);
        }
        Some((outer, inner)) => {
            let outer = told.entry(outer).or_insert_with(|| json!({}));
            if let Value::Object(members) = outer {
                members.insert(inner.to_owned(), value);
            }
        }
    }
}
