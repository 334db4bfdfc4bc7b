//! Producers' calls that come to the aggregator's own port: each becomes an
//! event in the stream, like those of agents, and is answered once the broker
//! has stored it.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::context::{Context, ContextBuilder, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use ingest::{Call, Carried, Carrier, Lines, NotKept, Sink};
use protocol::{AgentId, Event, Timestamp, subject};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::nats::Nats;

/// What a caller waits for the broker: the shortest patience of a real one is 2 s.
const ACK_TIMEOUT: Duration = Duration::from_millis(1_500);

/// What log lines of runners wait for it: nobody waits for them.
const LOG_ACK_TIMEOUT: Duration = Duration::from_secs(5);

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

    /// Where log lines of runners wait, under the same identity.
    pub(crate) fn lines(&self) -> Lines {
        Lines::new(self.agent, &self.host)
    }

    fn event(&self, call: Call, seq: u64) -> Result<Event, NotKept> {
        let now = Timestamp::from_system_time(SystemTime::now());
        let event = call
            .into_event(&self.host, now)
            .map_err(|error| NotKept(format!("the body cannot be stored: {error}")))?;
        Ok(Event {
            agent: self.agent,
            boot: self.boot,
            seq,
            ..event
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

/// The way of log lines to their stream.
pub(crate) struct LogWay(Context);

impl LogWay {
    pub(crate) fn new(nats: &Nats) -> Self {
        let context = ContextBuilder::new()
            .timeout(LOG_ACK_TIMEOUT)
            .ack_timeout(LOG_ACK_TIMEOUT)
            .build(nats.client.clone());
        Self(context)
    }
}

impl Carrier for LogWay {
    async fn carry(&self, subject: String, id: String, payload: Vec<u8>) -> Carried {
        let message = PublishMessage::build()
            .message_id(id)
            .payload(payload.into());
        let result = match self.0.send_publish(subject, message).await {
            Ok(ack) => ack.await,
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => Carried::Stored,
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Carried::Never(error.to_string())
            }
            Err(error) => Carried::Again(error.to_string()),
        }
    }
}
