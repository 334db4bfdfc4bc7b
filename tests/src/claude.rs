//! `claude -p --output-format stream-json > raw_output.jsonl`: the file is cut
//! off by the shell, then held open and written line by line, as Claude Code
//! does. Shapes and oddities are those of real files.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Text that must not leave the host: it stands in every line that has a text.
pub const SECRET: &str = "postgres://app:hunter2@db/shop";

/// What a result line says.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// `total_cost_usd`, as it is printed.
    pub usd: &'static str,
    /// `output_tokens`.
    pub output: u64,
}

/// One process that writes.
#[derive(Debug)]
pub struct Claude {
    file: File,
    session: String,
}

impl Claude {
    /// Starts it on a file: cut off, or made.
    ///
    /// # Panics
    /// When the file cannot be made.
    #[must_use]
    pub fn start(path: &Path, session: &str) -> Self {
        fs::create_dir_all(path.parent().expect("a directory")).expect("the agent's directory");
        let mut claude = Self {
            file: File::create(path).expect("the output"),
            session: session.to_owned(),
        };
        claude.say(
            &json!({"type":"system","subtype":"init","cwd":SECRET,"session_id":session,
            "tools":["Bash","TodoWrite"],"mcp_servers":[],"model":"claude-sonnet-4-5-20250929",
            "permissionMode":"bypassPermissions","uuid":format!("first-{session}")}),
        );
        claude
    }

    /// One block of a message; the usage is that of the whole message.
    pub fn block(&mut self, message: &str, content: &Value) {
        let line = json!({"type":"assistant","parent_tool_use_id":null,"session_id":self.session,"message":{
            "id":message,"type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[content],
            "usage":{"input_tokens":2,"cache_creation_input_tokens":3_566,"cache_read_input_tokens":15_430,
                     "cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":3_566},
                     "output_tokens":5,"service_tier":"standard"}}});
        self.say(&line);
    }

    /// A message of one text.
    pub fn text(&mut self, message: &str) {
        self.block(message, &json!({"type":"text","text":SECRET}));
    }

    /// A call of a tool.
    pub fn call(&mut self, id: &str, name: &str) {
        let call = json!({"type":"tool_use","id":id,"name":name,"input":{"command":SECRET}});
        self.block(&format!("message-{id}"), &call);
    }

    /// What a tool gave.
    pub fn output(&mut self, id: &str, is_error: bool) {
        let line = json!({"type":"user","session_id":self.session,"message":{"role":"user","content":[
            {"type":"tool_result","tool_use_id":id,"content":SECRET,"is_error":is_error}]},
            "tool_use_result":{"stdout":SECRET}});
        self.say(&line);
    }

    /// The whole todo list: text and status of each point.
    pub fn todos(&mut self, id: &str, points: &[(&str, &str)]) {
        let todos: Vec<Value> = points
            .iter()
            .map(
                |(content, status)| json!({"content":content,"status":status,"activeForm":content}),
            )
            .collect();
        let call = json!({"type":"tool_use","id":id,"name":"TodoWrite","input":{"todos":todos}});
        self.block(&format!("message-{id}"), &call);
    }

    /// The last line; then the file is closed.
    pub fn end(mut self, spent: Spent) {
        let line = self.result(spent);
        self.raw(&line);
    }

    /// The last line without its line break, and then nothing more.
    pub fn end_without_a_line_break(mut self, spent: Spent) {
        let line = self.result(spent);
        self.raw(line.trim_end());
    }

    /// The last line as it is written, with its line break.
    #[must_use]
    pub fn result(&self, spent: Spent) -> String {
        let (session, usd, output) = (&self.session, spent.usd, spent.output);
        let tokens = format!(
            r#""inputTokens":12,"outputTokens":{output},"cacheReadInputTokens":58582,"cacheCreationInputTokens":9080"#
        );
        let usage = format!(
            r#""input_tokens":12,"cache_creation_input_tokens":9080,"cache_read_input_tokens":58582,"output_tokens":{output}"#
        );
        format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"duration_ms":18067,"num_turns":3,"result":"{SECRET}","session_id":"{session}","total_cost_usd":{usd},"usage":{{{usage}}},"modelUsage":{{"claude-sonnet-4-5-20250929":{{{tokens},"webSearchRequests":0,"costUSD":{usd},"contextWindow":200000}}}},"permission_denials":[],"uuid":"end-{session}"}}"#
        ) + "\n"
    }

    /// Any bytes.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn raw(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).expect("a write");
    }

    fn say(&mut self, line: &Value) {
        self.raw(&format!("{line}\n"));
    }
}

/// Where an agent of a workflow writes: `agents/<id>/<agent>/raw_output.jsonl`.
#[must_use]
pub fn output_of(workflow: &Path, agent: &str) -> PathBuf {
    workflow.join(agent).join("raw_output.jsonl")
}
