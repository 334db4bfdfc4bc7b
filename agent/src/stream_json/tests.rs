//! What stream-JSON files add up to: real shapes, oddities, restarts.

use protocol::Timestamp;
use protocol::json::Json;
use serde_json::{Value, json};

use super::*;

mod attempts;
mod following;
mod foundry;
mod hooks;
mod played;
mod tools;

/// A file's lines, fed in one way or another.
#[derive(Default)]
struct Feed(Accumulator);

impl Feed {
    fn lines(lines: &[Value]) -> Self {
        let mut feed = Self::default();
        feed.add(lines);
        feed
    }

    fn add(&mut self, lines: &[Value]) -> &mut Self {
        for line in lines {
            self.0.feed(format!("{line}\n").as_bytes());
        }
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.feed(text.as_bytes());
        self
    }

    fn digest(&self) -> Value {
        digest_of(&self.0.sums.digest())
    }

    fn attempt(&self, n: usize) -> Value {
        self.digest()["attempts"][n].clone()
    }
}

fn digest_of(digest: &Json) -> Value {
    serde_json::from_str(&protocol::canonical::write(digest)).unwrap()
}

fn init(session: &str) -> Value {
    json!({"type":"system","subtype":"init","cwd":"/w","session_id":session,
           "model":"claude-sonnet-4-5-20250929","uuid":format!("first line of {session}")})
}

/// One block of a message: the same usage repeats on each.
fn block(session: &str, message: &str, content: &Value) -> Value {
    json!({"type":"assistant","session_id":session,"parent_tool_use_id":null,"message":{
        "id":message,"model":"claude-sonnet-4-5-20250929","role":"assistant","content":[content],
        "usage":{"input_tokens":3,"output_tokens":5,"cache_creation_input_tokens":100,
                 "cache_creation":{"ephemeral_5m_input_tokens":100},"cache_read_input_tokens":1000}}})
}

fn says(session: &str, message: &str) -> Value {
    block(session, message, &json!({"type":"text","text":"words"}))
}

fn uses(session: &str, id: &str, name: &str) -> Value {
    let call = json!({"type":"tool_use","id":id,"name":name,"input":{"command":"secret"}});
    block(session, &format!("message of {id}"), &call)
}

fn todo_list(session: &str, id: &str, todos: &Value) -> Value {
    let call = json!({"type":"tool_use","id":id,"name":"TodoWrite","input":{"todos":todos}});
    block(session, &format!("message of {id}"), &call)
}

fn answer(session: &str, id: &str, is_error: bool) -> Value {
    json!({"type":"user","session_id":session,"message":{"role":"user","content":[
        {"type":"tool_result","tool_use_id":id,"content":"secret output","is_error":is_error}]},
        "tool_use_result":{"stdout":"secret output"}})
}

fn result(session: &str, cost: &Value) -> Value {
    json!({"type":"result","subtype":"success","is_error":false,"duration_ms":44287,"num_turns":9,
        "result":"secret text","session_id":session,"total_cost_usd":cost,
        "usage":{"input_tokens":2,"cache_creation_input_tokens":13704,"cache_read_input_tokens":214365,"output_tokens":1832},
        "modelUsage":{
            "claude-haiku-4-5-20251001":{"inputTokens":2665,"outputTokens":92,"cacheReadInputTokens":0,
                "cacheCreationInputTokens":0,"webSearchRequests":0,"costUSD":0.0031249999999999997,"contextWindow":200_000},
            "claude-opus-4-5-20251101":{"inputTokens":2,"outputTokens":1832,"cacheReadInputTokens":214365,
                "cacheCreationInputTokens":13704,"webSearchRequests":0,"costUSD":0.2386425,"contextWindow":200_000}},
        "permission_denials":[],"uuid":format!("end of {session}")})
}
