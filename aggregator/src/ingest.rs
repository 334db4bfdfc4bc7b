//! Producers' calls that come to the aggregator's own port: each becomes an
//! event in the stream, like those of agents, and is answered once the broker
//! has stored it.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::jetstream::message::PublishMessage;
use ingest::{Call, NotKept, Place, Sink};
use protocol::event::{EVENT_VERSION, MAX_TEXT_BYTES};
use protocol::{AgentId, Event, EventKind, ProjectToken, Timestamp, subject};
use serde_json::value::RawValue;
use std::path::Path;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::nats::Nats;

/// What a caller waits for the broker: the shortest patience of a real one is 2 s.
const ACK_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Root of builds that are not known from files.
const ROOT: &str = "http";

/// Puts calls into the stream, under an identity of this start.
pub(crate) struct StreamSink {
    nats: Nats,
    context: Context,
    host: String,
    agent: AgentId,
    boot: Uuid,
    /// Held from numbering to sending, so that the stream has them in their order.
    seq: Mutex<u64>,
}

impl StreamSink {
    /// `host` is that of callers on this machine.
    pub(crate) fn new(nats: Nats, host: String) -> Self {
        let context = ContextBuilder::new()
            .timeout(ACK_TIMEOUT)
            .ack_timeout(ACK_TIMEOUT)
            .build(nats.client.clone());
        Self {
            nats,
            context,
            host,
            agent: AgentId(rand::random()),
            boot: Uuid::now_v7(),
            seq: Mutex::new(0),
        }
    }

    fn event(&self, call: Call, seq: u64) -> Result<Event, NotKept> {
        let now = Timestamp::from_system_time(SystemTime::now());
        let host = call.host.unwrap_or_else(|| self.host.clone());
        let (token, session) = match call.place {
            Place::Own(id) => (id, None),
            Place::Session(session) => {
                let token = format!("{ROOT}:{}:{session}", call.producer);
                (token, Some(cut(&session)))
            }
        };
        let document = RawValue::from_string(call.document.text)
            .map_err(|error| NotKept(format!("the body cannot be stored: {error}")))?;
        Ok(Event {
            v: EVENT_VERSION,
            agent: self.agent,
            boot: self.boot,
            seq,
            host,
            producer: call.producer.to_owned(),
            project_token: ProjectToken::of(Path::new(&token)),
            project: cut(&call.project),
            root: ROOT.to_owned(),
            path: ".".to_owned(),
            file: call.file,
            session,
            near: None,
            kind: EventKind::Content,
            found: false,
            recreated: false,
            changed_at: now,
            observed_at: now,
            hash: Some(call.document.hash),
            size: call.size,
            document: Some(document),
            unreadable: None,
            git: None,
            gap: false,
        })
    }
}

impl Sink for StreamSink {
    async fn keep(&self, call: Call) -> Result<(), NotKept> {
        let away = |why: String| NotKept(format!("the broker did not take it: {why}"));
        if !self.nats.is_connected() {
            return Err(away("there is no connection".to_owned()));
        }
        let mut seq = self.seq.lock().await;
        *seq += 1;
        let event = self.event(call, *seq)?;
        let payload = serde_json::to_vec(&event).map_err(|error| away(error.to_string()))?;
        let message = PublishMessage::build()
            .message_id(event.message_id())
            .payload(payload.into());
        let sent = self
            .context
            .send_publish(subject::event(&event), message)
            .await;
        drop(seq);
        let ack = sent.map_err(|error| away(error.to_string()))?;
        ack.await.map_err(|error| away(error.to_string()))?;
        Ok(())
    }
}

/// A name is never empty, holds no NUL and fits an event.
fn cut(text: &str) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    if text.trim().is_empty() {
        return "(unnamed)".to_owned();
    }
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
