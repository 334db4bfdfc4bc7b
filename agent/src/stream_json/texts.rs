//! The newest calls of tools: which tool, for which point of the todo list, how
//! it stands and when. What tools were given and gave is kept where it may leave
//! the host: as text, its secrets masked, cut.

use std::collections::VecDeque;

use protocol::text::shorten;
use protocol::{Timestamp, mask};
use serde::{Deserialize, Serialize};

use super::cursor::{Broken, Cursor};
use super::line::{Call, Id, Output};

/// Calls that are told: what a person looks over. Without texts they are some 5 KB of a digest.
const MAX_CALLS: usize = 40;
/// Characters that are kept of each text.
const MAX_TEXT: usize = 400;
/// Characters that are looked at: more than are kept, so that a secret across the border is seen whole.
const MAX_LOOKED_AT: usize = 4_000;

/// A call as it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) id: Option<Id>,
    pub(super) name: Option<String>,
    /// The point of the todo list that was in progress.
    pub(super) todo: Option<String>,
    pub(super) input: Option<String>,
    pub(super) output: Option<String>,
    pub(super) is_error: bool,
    /// Something came back.
    pub(super) is_done: bool,
    /// When its line was written; not known of lines that were there before anybody looked.
    pub(super) began_at: Option<Timestamp>,
    /// When something came back.
    pub(super) ended_at: Option<Timestamp>,
}

/// The newest calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Calls(pub(super) VecDeque<Told>);

impl Calls {
    /// A call, for the first time.
    pub(super) fn call(&mut self, call: &Call, todo: Option<&str>, at: Option<Timestamp>) {
        let told = self.of(call.id);
        told.name.clone_from(&call.name);
        told.input.clone_from(&call.input);
        told.todo = todo.map(str::to_owned);
        told.began_at = at;
    }

    /// What came back, which may be before the call.
    pub(super) fn output(&mut self, output: &Output, at: Option<Timestamp>) {
        let told = self.of(output.id);
        told.output.clone_from(&output.text);
        told.is_error = output.is_error;
        if !std::mem::replace(&mut told.is_done, true) {
            told.ended_at = at;
        }
    }

    /// Those whose call was seen: of the others only that something came back.
    pub(super) fn seen(&self) -> impl Iterator<Item = &Told> {
        self.0.iter().filter(|told| told.name.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets what tools were given and gave: it may not leave the host any more.
    pub(super) fn forget_texts(&mut self) {
        for told in &mut self.0 {
            told.input = None;
            told.output = None;
        }
    }

    fn of(&mut self, id: Option<Id>) -> &mut Told {
        let known = self.0.iter().position(|told| id.is_some() && told.id == id);
        let at = known.unwrap_or_else(|| {
            if self.0.len() == MAX_CALLS {
                self.0.pop_front();
            }
            self.0.push_back(Told {
                id,
                ..Told::default()
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

/// The members of what a tool was given, one a line.
///
/// # Errors
/// When it is no JSON.
pub(super) fn input(spelled: &[u8]) -> Result<Option<String>, Broken> {
    if spelled.is_empty() {
        return Ok(None);
    }
    let mut lines = Vec::new();
    Cursor::new(spelled).object(|key, cursor| {
        let key = String::from_utf8_lossy(key);
        let value = text(cursor)?;
        lines.push(format!("{key}: {value}"));
        Ok(())
    })?;
    Ok(Some(fit(&lines.join("\n"))))
}

/// What a tool gave: a text, or blocks of which some are texts.
///
/// # Errors
/// When it is no JSON.
pub(super) fn output(spelled: &[u8]) -> Result<Option<String>, Broken> {
    if spelled.is_empty() {
        return Ok(None);
    }
    if !spelled.starts_with(b"[") {
        return Ok(Some(fit(&text(&mut Cursor::new(spelled))?)));
    }
    let mut texts = Vec::new();
    Cursor::new(spelled).array(|cursor| {
        cursor.object(|key, cursor| {
            if key == b"text" {
                texts.extend(cursor.text(MAX_LOOKED_AT)?);
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(Some(fit(&texts.join("\n"))))
}

/// A text as it reads, anything else as it is spelled.
fn text(cursor: &mut Cursor) -> Result<String, Broken> {
    let spelled = cursor.spelling()?;
    let text = Cursor::new(spelled).text(MAX_LOOKED_AT)?;
    Ok(text.unwrap_or_else(|| {
        let looked_at = &spelled[..spelled.len().min(MAX_LOOKED_AT)];
        String::from_utf8_lossy(looked_at).into_owned()
    }))
}

fn fit(text: &str) -> String {
    let mut text = mask::text(text);
    shorten(&mut text, MAX_TEXT);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_masked_and_cut() {
        let given =
            input(br#"{"command":"psql postgres://a:hunter2@db","n":5,"api_key":"abc","l":[1]}"#);
        let given = given.unwrap().unwrap();
        assert_eq!(
            given,
            "command: psql postgres://a:[masked]@db\nn: 5\napi_key: [masked]\nl: [1]"
        );
        let blocks = br#"[{"type":"text","text":"one"},{"type":"image","source":{}},{"type":"text","text":"two"}]"#;
        assert_eq!(output(blocks).unwrap().as_deref(), Some("one\ntwo"));
        let long = format!("\"{}\"", "x".repeat(5_000));
        assert_eq!(
            output(long.as_bytes()).unwrap().unwrap().chars().count(),
            MAX_TEXT + 1
        );
        assert_eq!(output(b"").unwrap(), None);
    }

    #[test]
    fn an_output_before_its_input_is_one_call_and_the_oldest_give_way() {
        let mut calls = Calls::default();
        for id in 0..=MAX_CALLS as u64 {
            calls.output(
                &Output {
                    id: Some(id),
                    is_error: false,
                    text: Some("out".to_owned()),
                },
                None,
            );
        }
        calls.call(
            &Call {
                id: Some(1),
                name: Some("Bash".to_owned()),
                ..Call::default()
            },
            Some("Build"),
            None,
        );
        assert_eq!(calls.0.len(), MAX_CALLS);
        assert_eq!(calls.seen().count(), 1, "of the others no call was seen");
        let first = &calls.0[0];
        assert_eq!(
            (first.name.as_deref(), first.output.as_deref()),
            (Some("Bash"), Some("out"))
        );
    }
}
