//! What a producer's document says in the words of a build: a table of places
//! (JSON Pointers) and of status words. Agents apply the tables of their
//! configuration and ship both, document and what was mapped, so that a rebuild
//! needs no configuration; the fold interprets. Another table makes an unchanged
//! file news. Nothing is computed: it is a table, not a language. The tables of
//! the producers that are known without being told are in `built_in`. Pure.

mod built_in;
mod pointer;
mod table;
mod words;

use std::str::FromStr as _;

use serde_json::{Map, Value};

use crate::canonical::{ContentHash, Document, write};
use crate::json::{Json, JsonError};

pub use built_in::{
    ADW_STATE, BuiltIn, FOUNDRY_PHASE, FOUNDRY_SUMMARY, OF_THE_SUMMARY, Verdict, built_in,
    summary_verdict,
};
pub use pointer::{BadPointer, Pointer};
pub use table::{FIELDS, FactRow, Field, Kind, Mapped, Shown, Table, Whole, field};
pub use words::{ANY, BadWords, Meaning, Words};

/// `digest` of an event's document that holds a document and what was mapped of it.
const DIGEST: &str = "mapped";
/// Version of its shape.
const VERSION: u64 = 1;

/// A producer's document and what was mapped of it, as an event holds them.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// What was mapped: members of a build by their names, `state`, `ends`, `facts`.
    pub told: &'a Map<String, Value>,
    /// As the producer wrote it.
    pub document: &'a Value,
}

/// Whether an event's document is of this kind, and its parts.
#[must_use]
pub fn parts(envelope: &Map<String, Value>) -> Option<Parts<'_>> {
    let is_ours = envelope.get("digest").and_then(Value::as_str) == Some(DIGEST)
        && envelope.get("v").and_then(Value::as_u64) == Some(VERSION);
    Some(Parts {
        told: envelope.get("mapped")?.as_object().filter(|_| is_ours)?,
        document: envelope.get("document")?,
    })
}

/// A table with what of a document is no change of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The table.
    pub table: Table,
    /// Places whose values change without meaning anything by it.
    pub volatile: Vec<Pointer>,
    /// Another table has another print: what it makes of an old document is news.
    pub print: ContentHash,
}

impl Mapping {
    /// Reads a producer's bytes and maps them. The hash is over the document
    /// without what is volatile, and over the table.
    ///
    /// # Errors
    /// When the bytes are no JSON within the limits.
    pub fn document(&self, bytes: &[u8]) -> Result<Document, JsonError> {
        let mut document = Json::parse(bytes)?;
        let text = write(&document);
        let value = Value::from_str(&text).unwrap_or(Value::Null);
        let told = Value::Object(self.table.apply(&value).told).to_string();
        // Both are JSON already; put together by hand, the document keeps its numbers as they are.
        let whole = format!(
            "{{\"digest\":\"{DIGEST}\",\"document\":{text},\"mapped\":{told},\"v\":{VERSION}}}"
        );
        for place in &self.volatile {
            place.remove(&mut document);
        }
        let hashed = format!("{}\n{}", self.print, write(&document));
        Ok(Document {
            text: whole,
            hash: ContentHash::of(hashed.as_bytes()),
        })
    }
}

#[cfg(test)]
mod tests;
