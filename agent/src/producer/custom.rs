//! Producers that the configuration names: a `[[producer]]` table for each, with
//! the place of its file, where in it what stands, and what its status words
//! mean. Checked wholly before anything starts: the first thing that cannot be
//! used is one sentence.

use std::path::Path;
use std::sync::Arc;

use protocol::ContentHash;
use protocol::mapping::{FIELDS, FactRow, Mapping, Pointer, Shown, Table, Whole, Words, field};
use toml::Value;

use super::{Format, Identity, Pattern, Role, Source, built_in};
use crate::config::{BadSetting, Prune};
use crate::stream_json::Kind;

/// Tables of one configuration: each file of a directory is held against all of them.
const MAX_TABLES: usize = 64;
/// Longest name, bytes; it is part of subjects and addresses.
const MAX_NAME: usize = 64;
/// Names and words that one table may list: five times what real ones need.
const MAX_ROWS: usize = 128;
/// Names whose meaning is known without a table.
const TAKEN: [&str; 5] = [
    "adw",
    "claude-code",
    "context-foundry",
    "http",
    "openbuilder",
];
/// The keys of a table.
const KEYS: [&str; 9] = [
    "name",
    "file",
    "format",
    "fields",
    "facts",
    "states",
    "ends",
    "progress_of",
    "volatile",
];

/// The producers of a configuration, checked.
#[derive(Debug, Clone, Default)]
pub struct Custom(Vec<Source>);

/// One table while it is read.
struct Reader<'a> {
    table: &'a toml::Table,
    /// How it is called in a sentence.
    title: String,
}

impl Custom {
    /// Reads the `[[producer]]` tables of a configuration file.
    ///
    /// # Errors
    /// The first key that cannot be used: the table, the key, its value and what was expected.
    pub fn read(tables: &[toml::Table]) -> Result<Self, BadSetting> {
        if tables.len() > MAX_TABLES {
            return Err(BadSetting::new(
                "[[producer]]",
                format!("{} tables", tables.len()),
                &format!("at most {MAX_TABLES}"),
            ));
        }
        let mut sources: Vec<Source> = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            let title = match table.get("name").and_then(Value::as_str) {
                Some(name) => format!("[[producer]] {name:?}"),
                None => format!("[[producer]] number {}", number + 1),
            };
            let source = Reader { table, title }.source(&sources)?;
            sources.push(source);
        }
        Ok(Self(sources))
    }

    /// None is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.0
    }

    /// Whether the directories on the way to each file are walked.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_walked(&self, prune: &Prune) -> Result<(), BadSetting> {
        for source in &self.0 {
            let mut at = std::path::PathBuf::from("/");
            for name in source.pattern.named_dirs() {
                at.push(name);
                if !source.pattern.owns(&at) && prune.skips(&at, || true) {
                    let shown = at.strip_prefix("/").unwrap_or(Path::new(name));
                    return Err(BadSetting {
                        setting: format!("[[producer]] {:?} file", source.producer),
                        value: format!("{:?}", source.pattern.to_string()),
                        expected: format!(
                            "a place whose directories are walked: prune leaves out {}",
                            shown.display()
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}

impl Reader<'_> {
    fn bad(
        &self,
        key: &str,
        value: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> BadSetting {
        BadSetting {
            setting: format!("{} {key}", self.title),
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    fn source(&self, before: &[Source]) -> Result<Source, BadSetting> {
        if let Some(key) = self.table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(self.bad(
                key,
                &self.table[key],
                format!("no key but {}", KEYS.join(", ")),
            ));
        }
        let name = self.name(before)?;
        let pattern = self.pattern(before)?;
        let format = match self.text("format")? {
            None | Some("json") => Format::Json,
            Some("jsonl") => Format::LastLine,
            Some("stream-json") => return self.stream(name, pattern),
            Some(other) => {
                return Err(self.bad("format", quoted(other), "json, jsonl or stream-json"));
            }
        };
        let table = Table {
            fields: self.fields()?,
            facts: self.facts()?,
            words: self.words()?,
            progress_of: self.progress_of()?,
        };
        if table.fields.is_empty() && table.facts.is_empty() {
            let expected = "at least one name with a JSON Pointer, such as phase = \"/phase\"";
            return Err(self.bad("fields", "empty", expected));
        }
        let mut volatile = Vec::new();
        for text in self.texts("volatile")?.unwrap_or_default() {
            volatile.push(self.pointer("volatile", text)?);
        }
        let print = ContentHash::of(format!("{table:?}{volatile:?}").as_bytes());
        Ok(Source {
            producer: Arc::from(name),
            pattern,
            format,
            role: Role::Phase,
            identity: Identity::Named,
            volatile: Vec::new(),
            mapping: Some(Arc::new(Mapping {
                table,
                volatile,
                print,
            })),
            beside: None,
            tree: 0,
        })
    }

    /// Claude Code's stream-JSON, whose lines are known: there is nothing to map.
    fn stream(&self, name: &str, pattern: Pattern) -> Result<Source, BadSetting> {
        let known = ["name", "file", "format"];
        if let Some((key, value)) = self
            .table
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            let expected = "nothing: the lines of stream-json are known";
            return Err(self.bad(key, value, expected));
        }
        Ok(Source {
            producer: Arc::from(name),
            pattern,
            format: Format::Lines(Kind::StreamJson),
            role: Role::Part,
            identity: Identity::Named,
            volatile: Vec::new(),
            mapping: None,
            beside: None,
            tree: 0,
        })
    }

    fn name(&self, before: &[Source]) -> Result<&str, BadSetting> {
        let Some(name) = self.text("name")? else {
            return Err(self.bad("name", "not set", "a name such as \"nightly\""));
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            let expected = format!("1 to {MAX_NAME} letters, digits, -, _ and .");
            return Err(self.bad("name", quoted(name), expected));
        }
        let known = built_in::names().any(|known| known == name);
        if known || TAKEN.contains(&name) {
            let expected =
                "a name of its own: this one is a producer that is known without a table";
            return Err(self.bad("name", quoted(name), expected));
        }
        // Several files may tell of one producer's builds only if each is a build of its own.
        if before.iter().any(|source| &*source.producer == name) {
            return Err(self.bad("name", quoted(name), "a name that no other table has"));
        }
        Ok(name)
    }

    fn pattern(&self, before: &[Source]) -> Result<Pattern, BadSetting> {
        let expected = "a file's place relative to its project, such as status/build.json, logs/*.jsonl or runs/{id}/state.json";
        let Some(text) = self.text("file")? else {
            return Err(self.bad("file", "not set", expected));
        };
        let pattern = Pattern::parse(text)
            .map_err(|error| self.bad("file", quoted(text), format!("{expected}: {error}")))?;
        let others = built_in::sources();
        let same = before
            .iter()
            .chain(&others)
            .find(|source| source.pattern == pattern);
        if let Some(other) = same {
            let expected = format!("another place than that of {}", other.producer);
            return Err(self.bad("file", quoted(text), expected));
        }
        Ok(pattern)
    }

    fn fields(&self) -> Result<Vec<(protocol::mapping::Field, Vec<Pointer>)>, BadSetting> {
        let mut fields = Vec::new();
        for (key, value) in flat(self.rows("fields")?) {
            let shown = format!("fields.{key}");
            let Some(field) = field(&key) else {
                let known: Vec<&str> = FIELDS.iter().map(|field| field.key).collect();
                let expected = format!(
                    "a name out of {}; any other goes into facts",
                    known.join(", ")
                );
                return Err(self.bad(&shown, value, expected));
            };
            fields.push((field, self.places(&shown, value)?));
        }
        // In the order of the list, so that it does not matter how the table is sorted.
        fields.sort_by_key(|(field, _)| FIELDS.iter().position(|known| known == field));
        Ok(fields)
    }

    fn facts(&self) -> Result<Vec<FactRow>, BadSetting> {
        let rows = self.rows("facts")?;
        let facts = rows
            .iter()
            .flat_map(|rows| rows.iter())
            .map(|(label, value)| {
                Ok(FactRow {
                    key: label.clone(),
                    label: label.clone(),
                    places: self.places(&format!("facts.{label}"), value)?,
                    shown: Shown::Words,
                })
            });
        facts.collect()
    }

    fn words(&self) -> Result<Words, BadSetting> {
        let mut states = Vec::new();
        for (word, value) in self.rows("states")?.into_iter().flatten() {
            let key = format!("states.{word:?}");
            let expected = "one of our states, such as \"running\"";
            let state = value
                .as_str()
                .ok_or_else(|| self.bad(&key, value, expected))?;
            states.push((word.as_str(), state));
        }
        let ends = self.texts("ends")?;
        Words::new(states, ends.as_deref()).map_err(|bad| {
            let key = format!("{}.{:?}", bad.key, bad.word);
            match bad.value {
                Some(value) => self.bad(&key, quoted(&value), bad.expected),
                None => self.bad(bad.key, quoted(&bad.word), bad.expected),
            }
        })
    }

    fn progress_of(&self) -> Result<Whole, BadSetting> {
        let expected = "a whole number such as 100, or a JSON Pointer such as /total";
        match self.table.get("progress_of") {
            None => Ok(Whole::Number(1)),
            Some(Value::Integer(whole)) => match u32::try_from(*whole) {
                Ok(whole @ 1..) => Ok(Whole::Number(whole)),
                _ => Err(self.bad("progress_of", whole, expected)),
            },
            Some(Value::String(text)) => match text.parse() {
                Ok(place) => Ok(Whole::At(place)),
                Err(_) => Err(self.bad("progress_of", quoted(text), expected)),
            },
            Some(other) => Err(self.bad("progress_of", other, expected)),
        }
    }

    /// One JSON Pointer, or several of which the first that finds something counts.
    fn places(&self, key: &str, value: &Value) -> Result<Vec<Pointer>, BadSetting> {
        let expected = "a JSON Pointer such as \"/step/name\", or a list of them";
        match value {
            Value::String(text) => Ok(vec![self.pointer(key, text)?]),
            Value::Array(items) if (1..=MAX_ROWS).contains(&items.len()) => items
                .iter()
                .map(|item| match item.as_str() {
                    Some(text) => self.pointer(key, text),
                    None => Err(self.bad(key, item, expected)),
                })
                .collect(),
            other => Err(self.bad(key, other, expected)),
        }
    }

    fn pointer(&self, key: &str, text: &str) -> Result<Pointer, BadSetting> {
        text.parse()
            .map_err(|error: protocol::mapping::BadPointer| {
                self.bad(key, quoted(text), error.to_string())
            })
    }

    fn text(&self, key: &str) -> Result<Option<&str>, BadSetting> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.bad(key, other, "a text")),
        }
    }

    fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, BadSetting> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let items = value.as_array().filter(|items| items.len() <= MAX_ROWS);
        let texts = items.and_then(|items| items.iter().map(Value::as_str).collect());
        match texts {
            Some(texts) => Ok(Some(texts)),
            None => Err(self.bad(key, value, format!("a list of at most {MAX_ROWS} texts"))),
        }
    }

    fn rows(&self, key: &str) -> Result<Option<&toml::Table>, BadSetting> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::Table(rows)) if rows.len() <= MAX_ROWS => Ok(Some(rows)),
            Some(other) => Err(self.bad(key, other, format!("a table of at most {MAX_ROWS} rows"))),
        }
    }
}

/// Rows, those of an inner table as `outer.inner`.
fn flat(rows: Option<&toml::Table>) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (key, value) in rows.into_iter().flatten() {
        match value {
            Value::Table(inner) => {
                all.extend(
                    inner
                        .iter()
                        .map(|(name, value)| (format!("{key}.{name}"), value)),
                );
            }
            value => all.push((key.clone(), value)),
        }
    }
    all
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests;
