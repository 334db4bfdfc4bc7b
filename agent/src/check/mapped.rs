//! What a table makes of a document, and what of that should be looked at.

use std::collections::BTreeSet;

use protocol::BuildState;
use protocol::mapping::{BuiltIn, Mapped, Pointer, Table};
use protocol::text::cut;
use serde_json::Value;

use super::{Line, Report};

/// Names of members that are listed.
const MAX_NAMES: usize = 40;

/// Characters of a value in a warning: as many as a table's are cut to.
const MAX_CHARS: usize = 80;

/// What a program says only when there is something to say.
const SAID_AT_TIMES: [&str; 2] = ["error", "pr_url"];

/// By a table of the configuration: everything it names was meant to be there.
pub(super) fn by_table(report: &mut Report, table: &Table, document: &Value) {
    let mapped = table.apply(document);
    report.fill(table, &mapped, document);
    for (name, places) in &mapped.missing {
        // Null and blank are said on purpose.
        let is_there = |place: &Pointer| place.find(document).is_some();
        let is_there = places_of(table, name).is_some_and(|places| places.iter().any(is_there));
        if !is_there && !SAID_AT_TIMES.contains(&name.as_str()) {
            report.warn(format!("{name}: nothing stands at {places}"));
        }
    }
    if let Some(word) = &mapped.unknown_word {
        report.warn(format!(
            "status: nobody said what {word:?} means; name it in states, or any other word as \"*\""
        ));
    }
    if report.state.is_none() {
        report.state = Some(BuildState::Running.word().to_owned());
        report.ends = Some(false);
        let has_status = table.fields.iter().any(|(field, _)| field.key == "status");
        report.reason = Some(match has_status {
            true => {
                "it has no status: it counts as running while nothing says otherwise".to_owned()
            }
            false => "its table names no status: it counts as running, and as stalled in silence"
                .to_owned(),
        });
    }
    if document.is_object() || document.is_array() {
        return;
    }
    report.warn("it holds JSON, but neither an object nor a list: nothing can be found in it");
}

/// By the table of a producer that is known: most of its fields may be missing.
pub(super) fn by_built_in(report: &mut Report, table: &Table, document: &Value, known: &BuiltIn) {
    let mapped = table.apply(document);
    report.fill(table, &mapped, document);
    let drifted = |name: &str, places: &str| {
        let always = known.always.contains(&name);
        always.then(|| format!("{name}: nothing stands at {places}, where it always did"))
    };
    for (name, places) in &mapped.missing {
        report.warnings.extend(drifted(name, places));
    }
    for (member, name, kind) in known.shown {
        let at = format!("/{member}");
        report.kept.retain(|kept| kept != member);
        let Some(value) = document.get(member).filter(|value| !value.is_null()) else {
            report.warnings.extend(drifted(name, &at));
            continue;
        };
        if let Some(kind) = kind.filter(|kind| !kind.fits(value)) {
            let expected = kind.expected();
            let stands = cut(&value.to_string(), MAX_CHARS);
            report.warn(format!(
                "{name}: {stands} stands there, expected {expected}"
            ));
        }
        report.fields.push(Line {
            name: (*name).to_owned(),
            at,
            value: value.clone(),
        });
    }
    if let Some(word) = &mapped.unknown_word {
        report.warn(format!("status: {word:?} is none of its known words"));
    }
    if let (Some(verdict), Some(members)) = (known.verdict, document.as_object()) {
        let (state, reason) = verdict(members);
        report.state = Some(state.word().to_owned());
        report.reason = Some(reason);
        report.ends = Some(true);
    }
    let beyond = known.beyond;
    report.reason = Some(match report.reason.take() {
        Some(reason) => format!("{reason}; {beyond}"),
        None => beyond.to_owned(),
    });
}

/// Without a table: the members as they are.
pub(super) fn whole(report: &mut Report, document: &Value) {
    let members = document.as_object().into_iter().flatten();
    for (name, value) in members.take(MAX_NAMES) {
        report.fields.push(Line {
            name: name.clone(),
            at: String::new(),
            value: value.clone(),
        });
    }
}

impl Report {
    fn fill(&mut self, table: &Table, mapped: &Mapped, document: &Value) {
        let told = Value::Object(mapped.told.clone());
        for (field, places) in &table.fields {
            let path = format!("/{}", field.key.replace('.', "/"));
            if let Some(value) = told.pointer(&path) {
                self.fields.push(line(field.key, places, value));
            }
        }
        let facts = told.get("facts").and_then(Value::as_array);
        for fact in facts.into_iter().flatten() {
            let row = table
                .facts
                .iter()
                .find(|row| fact["key"] == row.key.as_str());
            if let Some(row) = row {
                self.fields
                    .push(line(&row.label, &row.places, &fact["value"]));
            }
        }
        for (name, _) in &mapped.missing {
            let places = places_of(table, name).unwrap_or_default();
            self.missing.push(line(name, places, &Value::Null));
        }
        for (name, value, expected) in &mapped.odd {
            self.warn(format!("{name}: {value} stands there, expected {expected}"));
        }
        self.judge(mapped);
        self.name_the_rest(table, document);
    }

    fn judge(&mut self, mapped: &Mapped) {
        let told = |key: &str| mapped.told.get(key);
        let Some(state) = told("state").and_then(Value::as_str) else {
            return;
        };
        let ends = told("ends").and_then(Value::as_bool) == Some(true);
        let word = told("status").map_or_else(String::new, Value::to_string);
        let of_phase = matches!(state, "completed" | "failed" | "cancelled") && !ends;
        self.reason = Some(match (&mapped.unknown_word, ends) {
            (Some(_), _) => format!("nobody said what the status {word} means"),
            (None, true) => format!("the status {word} means {state} and ends the build"),
            (None, false) if of_phase => format!(
                "the status {word} is said of the phase, which is {state}, and ends no build"
            ),
            (None, false) => format!("the status {word} means {state}"),
        });
        let of_build = if of_phase {
            BuildState::Running.word()
        } else {
            state
        };
        self.state = Some(of_build.to_owned());
        self.ends = Some(ends);
    }

    /// Members of the document that no row leads into: they are kept, and shown raw.
    fn name_the_rest(&mut self, table: &Table, document: &Value) {
        let fields = table.fields.iter().flat_map(|(_, places)| places);
        let facts = table.facts.iter().flat_map(|row| &row.places);
        let named: BTreeSet<&str> = fields.chain(facts).filter_map(Pointer::first).collect();
        let members = document.as_object().into_iter().flatten();
        let rest = members.filter(|(name, _)| !named.contains(name.as_str()));
        self.kept = rest.map(|(name, _)| name.clone()).take(MAX_NAMES).collect();
    }
}

/// Where a name of the table is looked for.
fn places_of<'a>(table: &'a Table, name: &str) -> Option<&'a [Pointer]> {
    let fields = table
        .fields
        .iter()
        .map(|(field, places)| (field.key, places));
    let facts = table
        .facts
        .iter()
        .map(|row| (row.label.as_str(), &row.places));
    let mut all = fields.chain(facts);
    all.find(|(known, _)| *known == name)
        .map(|(_, places)| places.as_slice())
}

fn line(name: &str, places: &[Pointer], value: &Value) -> Line {
    let places: Vec<String> = places.iter().map(Pointer::to_string).collect();
    Line {
        name: name.to_owned(),
        at: places.join(" or "),
        value: value.clone(),
    }
}
