//! What one line of Claude Code's stream-JSON says, as far as it is counted.
//! Texts, tool inputs and outputs are passed over where they lie; only the
//! todos of TodoWrite are taken. A member that is missing or of another type
//! is absent, and no line is refused for it.

use protocol::{ContentHash, Money};
use serde::{Deserialize, Serialize};

use super::cursor::{Broken, Cursor};
use super::texts;

/// Characters of a name (model, session, tool) that are kept.
const MAX_NAME: usize = 120;
/// Characters of a todo that are kept: it is one line on a page.
const MAX_TODO_TEXT: usize = 300;
/// Todos of one list that are kept: real lists have up to 20.
pub(super) const MAX_TODOS: usize = 100;
/// Models of one result line that are kept: real ones have up to 3.
pub(super) const MAX_MODELS: usize = 16;
/// Characters of a path that are kept: as many as Linux allows.
const MAX_PATH: usize = 4_096;
/// Bytes of an id that are looked at; real ones have 30.
const MAX_ID: usize = 256;

/// An id, as the first 64 bits of its SHA-256: thousands of them are remembered.
pub(super) type Id = u64;

/// Token counts; absent ones are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) cache_read: Option<u64>,
    pub(super) cache_write: Option<u64>,
}

/// What a result line says of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ModelUse {
    pub(super) name: String,
    pub(super) usage: Usage,
    pub(super) cost: Option<Money>,
    /// Tokens that its context holds.
    pub(super) window: Option<u64>,
}

/// One point of a todo list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Todo {
    pub(super) text: String,
    /// The producer's word: `pending`, `in_progress`, `completed`.
    pub(super) state: String,
    /// Tools called while it was in progress.
    #[serde(default)]
    pub(super) tools: u64,
}

/// A todo list, and how many points of it were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Todos {
    pub(super) list: Vec<Todo>,
    pub(super) left_out: u64,
}

/// A call of a tool.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: Option<Id>,
    pub(super) name: Option<String>,
    /// The list that it writes: TodoWrite only.
    pub(super) todos: Option<Todos>,
    /// What it was given; only where texts may leave the host.
    pub(super) input: Option<String>,
}

/// What came back of a tool.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) id: Option<Id>,
    pub(super) is_error: bool,
    /// What it gave; only where texts may leave the host.
    pub(super) text: Option<String>,
}

/// What the end of an attempt says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Closing {
    pub(super) subtype: Option<String>,
    pub(super) is_error: Option<bool>,
    pub(super) turns: Option<u64>,
    pub(super) duration_ms: Option<u64>,
    pub(super) cost: Option<Money>,
    pub(super) usage: Option<Usage>,
    pub(super) models: Vec<ModelUse>,
}

/// One line.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) kind: Kind,
    pub(super) session: Option<String>,
    /// The directory that the session works in; transcripts say it on each line.
    pub(super) cwd: Option<String>,
    pub(super) uuid: Option<Id>,
    /// Of `system` lines: `init`; of results: how it went.
    subtype: Option<String>,
    /// A sub-agent speaks.
    pub(super) is_nested: bool,
    pub(super) model: Option<String>,
    pub(super) message: Option<Id>,
    pub(super) usage: Option<Usage>,
    pub(super) calls: Vec<Call>,
    pub(super) outputs: Vec<Output>,
    pub(super) closing: Closing,
}

/// Which line it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first of a session.
    Init,
    /// Something the model said or did.
    Assistant,
    /// Something it was told, such as what a tool gave.
    User,
    /// The last of an attempt.
    Result,
    /// Anything else.
    #[default]
    Other,
}

/// Reads one line; `texts`: what tools were given and gave too.
///
/// # Errors
/// When it is no JSON object.
pub(super) fn read(line: &[u8], texts: bool) -> Result<Said, Broken> {
    let mut cursor = Cursor::new(line);
    if is_of_no_interest(line) {
        cursor.skip()?;
        cursor.end()?;
        return Ok(Said::default());
    }
    let mut said = Said::default();
    let mut kind: &[u8] = b"";
    let is_object = cursor.object(|key, cursor| {
        match key {
            b"type" => kind = cursor.spelled_text()?.unwrap_or_default(),
            b"subtype" => said.subtype = cursor.text(MAX_NAME)?,
            b"session_id" | b"sessionId" => said.session = cursor.text(MAX_NAME)?,
            b"cwd" => said.cwd = cursor.text(MAX_PATH)?,
            b"isSidechain" => said.is_nested |= cursor.flag()? == Some(true),
            b"uuid" => said.uuid = id(cursor)?,
            b"model" => said.model = cursor.text(MAX_NAME)?,
            b"parent_tool_use_id" => said.is_nested |= cursor.spelling()? != b"null",
            b"message" => message(cursor, &mut said, texts)?,
            b"is_error" => said.closing.is_error = cursor.flag()?,
            b"num_turns" => said.closing.turns = cursor.count()?,
            b"duration_ms" => said.closing.duration_ms = cursor.count()?,
            b"total_cost_usd" => said.closing.cost = money(cursor)?,
            b"usage" => said.closing.usage = usage(cursor)?,
            b"modelUsage" => said.closing.models = models(cursor)?,
            _ => {}
        }
        Ok(())
    })?;
    cursor.end()?;
    if !is_object {
        return Err(Broken);
    }
    said.kind = match kind {
        b"system" if said.subtype.as_deref() == Some("init") => Kind::Init,
        b"assistant" => Kind::Assistant,
        b"user" => Kind::User,
        b"result" => Kind::Result,
        _ => Kind::Other,
    };
    said.closing.subtype = said.subtype.take();
    Ok(said)
}

/// Whether the line begins with a type that nothing is taken from: parts of
/// messages (`stream_event`) come by the thousand and are told again whole.
fn is_of_no_interest(line: &[u8]) -> bool {
    let value = (|| {
        let rest = line.trim_ascii_start().strip_prefix(b"{")?;
        let rest = rest.trim_ascii_start().strip_prefix(b"\"type\"")?;
        let rest = rest.trim_ascii_start().strip_prefix(b":")?;
        rest.trim_ascii_start().strip_prefix(b"\"")
    })();
    value.is_some_and(|value| {
        let counted: [&[u8]; 4] = [b"assistant\"", b"user\"", b"system\"", b"result\""];
        // An escaped spelling of a type is read the long way.
        !value.starts_with(b"\\") && !counted.iter().any(|word| value.starts_with(word))
    })
}

fn message(cursor: &mut Cursor, said: &mut Said, texts: bool) -> Result<(), Broken> {
    cursor.object(|key, cursor| {
        match key {
            b"id" => said.message = id(cursor)?,
            b"model" => said.model = cursor.text(MAX_NAME)?,
            b"usage" => said.usage = usage(cursor)?,
            b"content" => {
                cursor.array(|cursor| block(cursor, said, texts))?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(())
}

fn block(cursor: &mut Cursor, said: &mut Said, texts: bool) -> Result<(), Broken> {
    let mut kind: &[u8] = b"";
    let mut call = Call::default();
    let mut input: &[u8] = b"";
    let (mut answered, mut is_error) = (None, false);
    let mut content: &[u8] = b"";
    cursor.object(|key, cursor| {
        match key {
            b"type" => kind = cursor.spelled_text()?.unwrap_or_default(),
            b"id" => call.id = id(cursor)?,
            b"name" => call.name = cursor.text(MAX_NAME)?,
            b"input" => input = cursor.spelling()?,
            b"tool_use_id" => answered = id(cursor)?,
            b"is_error" => is_error = cursor.flag()? == Some(true),
            b"content" if texts => content = cursor.spelling()?,
            _ => {}
        }
        Ok(())
    })?;
    match kind {
        b"tool_use" => {
            if call.name.as_deref() == Some("TodoWrite") {
                call.todos = todos(input)?;
            } else if texts {
                call.input = texts::input(input)?;
            }
            said.calls.push(call);
        }
        b"tool_result" => said.outputs.push(Output {
            id: answered,
            is_error,
            text: if texts { texts::output(content)? } else { None },
        }),
        _ => {}
    }
    Ok(())
}

pub(super) fn todos(input: &[u8]) -> Result<Option<Todos>, Broken> {
    let mut found = None;
    Cursor::new(input).object(|key, cursor| {
        if key == b"todos" {
            let mut todos = Todos::default();
            if cursor.array(|cursor| todo(cursor, &mut todos))? {
                found = Some(todos);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

fn todo(cursor: &mut Cursor, todos: &mut Todos) -> Result<(), Broken> {
    let (mut content, mut active, mut state) = (None, None, None);
    let is_object = cursor.object(|key, cursor| {
        match key {
            b"content" => content = cursor.text(MAX_TODO_TEXT)?,
            b"activeForm" => active = cursor.text(MAX_TODO_TEXT)?,
            b"status" => state = cursor.text(MAX_NAME)?,
            _ => {}
        }
        Ok(())
    })?;
    // Either text may be missing; without both there is nothing to show.
    match content.or(active) {
        Some(text) if is_object && todos.list.len() < MAX_TODOS => todos.list.push(Todo {
            text,
            state: state.unwrap_or_else(|| "pending".to_owned()),
            tools: 0,
        }),
        Some(_) => todos.left_out += 1,
        None => {}
    }
    Ok(())
}

fn usage(cursor: &mut Cursor) -> Result<Option<Usage>, Broken> {
    let mut usage = Usage::default();
    cursor.object(|key, cursor| {
        match key {
            b"input_tokens" => usage.input = cursor.count()?,
            b"output_tokens" => usage.output = cursor.count()?,
            b"cache_read_input_tokens" => usage.cache_read = cursor.count()?,
            b"cache_creation_input_tokens" => usage.cache_write = cursor.count()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((usage != Usage::default()).then_some(usage))
}

fn models(cursor: &mut Cursor) -> Result<Vec<ModelUse>, Broken> {
    let mut models = Vec::new();
    cursor.object(|name, cursor| {
        let mut model = ModelUse {
            name: String::from_utf8_lossy(name)
                .chars()
                .take(MAX_NAME)
                .collect(),
            ..ModelUse::default()
        };
        let is_object = cursor.object(|key, cursor| {
            match key {
                b"inputTokens" => model.usage.input = cursor.count()?,
                b"outputTokens" => model.usage.output = cursor.count()?,
                b"cacheReadInputTokens" => model.usage.cache_read = cursor.count()?,
                b"cacheCreationInputTokens" => model.usage.cache_write = cursor.count()?,
                b"costUSD" => model.cost = money(cursor)?,
                b"contextWindow" => model.window = cursor.count()?,
                _ => {}
            }
            Ok(())
        })?;
        if is_object && models.len() < MAX_MODELS {
            models.push(model);
        }
        Ok(())
    })?;
    Ok(models)
}

fn money(cursor: &mut Cursor) -> Result<Option<Money>, Broken> {
    Ok(cursor.number()?.and_then(|text| text.parse().ok()))
}

pub(super) fn id(cursor: &mut Cursor) -> Result<Option<Id>, Broken> {
    let text = cursor.spelled_text()?.filter(|text| !text.is_empty());
    Ok(text.map(id_of))
}

/// The id that is spelled so.
pub(super) fn id_of(text: &[u8]) -> Id {
    let hash = ContentHash::of(&text[..text.len().min(MAX_ID)]);
    let first = hash.0[..8].iter();
    first.fold(0, |id, byte| (id << 8) | u64::from(*byte))
}
